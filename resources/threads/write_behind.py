"""Work that a thread does behind whoever hands it on, while more is being made."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class Behind(Generic[T]):
    """Does `work` with each item in a thread, one after the other in their order; one is under way at a time.

    What the thread raises is raised where the next item is put, or at the end; the items behind it are dropped. The
    thread starts with the first item and has ended when `finish` or `leave` returns.
    """

    def __init__(self, work: Callable[[T], None], *, name: str) -> None:
        self._work, self._name = work, name
        self._items: SimpleQueue[T | None] = SimpleQueue()
        self._room = threading.Semaphore(1)
        self._left = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def put(self, item: T) -> None:
        """Hand `item` on, when the one before it is done. Raises what that one ended with."""
        self._room.acquire()
        if self._error is not None:
            self._room.release()
            raise self._error
        if self._thread is None:
            # A daemon: a process that is told to end does not wait for what nobody will take.
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._items.put(item)

    def finish(self) -> None:
        """Wait for the last item. Raises what one of them ended with."""
        self._join()
        if self._error is not None:
            raise self._error

    def leave(self) -> None:
        """Drop what is not begun and wait for what is."""
        self._left = True
        self._join()

    def _join(self) -> None:
        if self._thread is not None:
            self._items.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (item := self._items.get()) is not None:
            try:
                if self._error is None and not self._left:
                    self._work(item)
            except BaseException as error:  # raised again where items come from
                self._error = error
            finally:
                del item  # not held while the next one is awaited
                self._room.release()
