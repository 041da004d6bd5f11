"""Work that a thread does before its caller takes the results."""

import threading
from collections.abc import Callable, Generator, Iterator
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class _End:
    """Comes after the last item; `error` is the error that ended the items, if any."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(items: Callable[[], Iterator[T]], *, most: int) -> Generator[T, None, None]:
    """The items, made in a thread. At most `most` finished items wait to be taken,
    while the thread makes one more.

    An error in the thread is raised here, after the items before it. The thread starts when the first
    item is taken. It has ended when this generator is exhausted, is closed or has raised; closing
    waits for the item in progress.
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
        except BaseException as error:  # raised again in the caller's thread
            made.put(_End(error))
        else:
            made.put(_End())

    # A daemon thread: a process that is told to end must not wait for items that nobody takes.
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
