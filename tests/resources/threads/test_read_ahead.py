"""Work in advance: the same items, a limited lead, and no thread left behind, however it ends."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from resources.threads.read_ahead import ahead


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sluice-ahead"]


class Count:
    """Numbers from 0 on, and how many were made."""

    def __init__(self, error: BaseException | None = None, end: int = 100) -> None:
        self.made, self._error, self._end = 0, error, end

    def __call__(self) -> Iterator[int]:
        for number in range(self._end):
            self.made += 1
            yield number
        if self._error is not None:
            raise self._error


def test_the_items_come_in_their_order_and_the_thread_ends_with_them() -> None:
    assert list(ahead(Count(), most=2)) == list(range(100))
    assert threads() == []


def test_the_thread_waits_for_room() -> None:
    count = Count()
    with closing(ahead(count, most=2)) as items:
        assert [next(items), next(items)] == [0, 1]
        # Two were taken, two wait, and one was made but does not fit into the queue.
        deadline = time.monotonic() + 60
        while count.made < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        assert count.made == 5
    assert threads() == []


@pytest.mark.parametrize("error", [ValueError("bad row"), KeyboardInterrupt(), SystemExit(3)])
def test_what_the_thread_raises_is_raised_behind_the_items_before_it(error: BaseException) -> None:
    taken = []
    with pytest.raises(type(error)) as caught:
        for item in ahead(Count(error, end=5), most=2):
            taken.append(item)
    assert caught.value is error
    assert taken == [0, 1, 2, 3, 4]
    assert threads() == []


@pytest.mark.parametrize("error", [ValueError("taker"), KeyboardInterrupt()])
def test_a_taker_that_breaks_down_leaves_no_thread(error: BaseException) -> None:
    with pytest.raises(type(error)), closing(ahead(Count(), most=2)) as items:
        for item in items:
            if item == 3:
                raise error
    assert threads() == []


def test_nothing_is_made_before_the_first_is_asked_for() -> None:
    count = Count()
    ahead(count, most=2).close()
    assert (count.made, threads()) == (0, [])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_process_may_drop_what_it_was_forked_with() -> None:
    items = ahead(Count(), most=2)
    next(items)
    child = os.fork()
    if not child:
        items.close()
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert next(items) == 1
    items.close()
