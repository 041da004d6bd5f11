"""Work that a thread does ahead of whoever takes its results."""

import threading
from collections.abc import Callable, Generator, Iterator
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class _End:
    """Behind the last item; `error` is what the items ended with."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(items: Callable[[], Iterator[T]], *, most: int) -> Generator[T, None, None]:
    """The items, made in a thread, of which at most `most` wait to be taken while it makes one more.

    What the thread raises is raised here, behind the items before it. The thread starts when the first item is asked
    for and has ended when this is exhausted, closed or has raised; closing waits for the item that is being made.
    """
    made: SimpleQueue[T | _End] = SimpleQueue()
    room, left = threading.Semaphore(most), threading.Event()

    def make() -> None:
        try:
            for item in items():
                room.acquire()
                if left.is_set():
                    return
                made.put(item)
        except BaseException as error:  # raised again where the items are taken
            made.put(_End(error))
        else:
            made.put(_End())

    # A daemon: a process that is told to end does not wait for what nobody will take.
    thread = threading.Thread(target=make, name="sluice-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item = made.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            room.release()
            yield item
    finally:
        left.set()
        room.release()
        thread.join()
