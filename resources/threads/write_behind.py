"""Work that a thread does while its caller already makes the next item."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class Behind(Generic[T]):
    """Does `work` with each item in a thread, in the order of the items, one at a time.

    An error in the thread is raised by the next `put`, or at the end; the items after it are dropped. The
    thread starts with the first item, and has ended when `finish` or `leave` returns.
    """

    def __init__(self, work: Callable[[T], None], *, name: str) -> None:
        self._work, self._name = work, name
        self._items: SimpleQueue[T | None] = SimpleQueue()
        self._room = threading.Semaphore(1)
        self._left = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def put(self, item: T) -> None:
        """Hand `item` to the thread, after the item before it is done. Raises
        the error of an earlier item."""
        self._room.acquire()
        if self._error is not None:
            self._room.release()
            raise self._error
        if self._thread is None:
            # A daemon thread: a process that is told to end must not wait for work that nobody needs.
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._items.put(item)

    def finish(self) -> None:
        """Wait until the last item is done. Raises the error of an item."""
        self._join()
        if self._error is not None:
            raise self._error

    def leave(self) -> None:
        """Drop the items that were not started, and wait for the one in progress."""
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
            except BaseException as error:  # raised again in the caller's thread
                self._error = error
            finally:
                del item  # so that it is not kept in memory until the next item comes
                self._room.release()
