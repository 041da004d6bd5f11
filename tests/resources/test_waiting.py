"""What a process waits for is reported after some seconds of waiting, and not before."""

import threading

from resources.process import waiting
from resources.process.waiting import AGAIN_SECONDS, FIRST_SECONDS, Waits


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_wait_is_said_once_it_has_lasted_and_again_much_later() -> None:
    said: list[str] = []
    clock = Clock()
    waits = Waits(said.append, clock)
    with waits.waiting_for("Kafka at here:9092"):
        waits.look()
        assert said == []
        clock.now += FIRST_SECONDS
        waits.look()
        waits.look()
        assert said == ["waiting for Kafka at here:9092 (for 5 s)"]
        clock.now += AGAIN_SECONDS
        waits.look()
        assert said[1:] == ["still waiting for Kafka at here:9092 (for 65 s)"]
    clock.now += AGAIN_SECONDS
    waits.look()
    assert len(said) == 2


def test_a_wait_that_ends_with_an_error_is_over() -> None:
    said: list[str] = []
    clock = Clock()
    waits = Waits(said.append, clock)
    try:
        with waits.waiting_for("it"):
            raise OSError
    except OSError:
        clock.now += AGAIN_SECONDS
        waits.look()
    assert said == []


def test_only_who_listens_is_told() -> None:
    heard: list[str] = []
    with waiting.telling(heard.append):
        waiting.log.info("waiting for it (for 5 s)")
    waiting.log.info("waiting for another (for 5 s)")
    assert heard == ["waiting for it (for 5 s)"]
    assert FIRST_SECONDS < 10, "it is said within ten seconds"
    assert threading.current_thread().name != "sluice-waiting"


def test_what_is_made_of_many_short_waits_is_said_once() -> None:
    said: list[str] = []
    clock = Clock()
    waits = Waits(said.append, clock)
    began = clock.now
    for _ in range(20):
        clock.now += 1
        with waits.waiting_for("records of topic t", since=began):
            waits.look()
    assert said == ["waiting for records of topic t (for 5 s)"]
    with waits.waiting_for("records of topic t", since=clock.now):
        waits.look()
    assert len(said) == 1


def test_a_part_of_a_wait_is_not_said_besides() -> None:
    said: list[str] = []
    clock = Clock()
    waits = Waits(said.append, clock)
    with waits.waiting_for("the window"), waits.waiting_for("a request"):
        clock.now += FIRST_SECONDS
        waits.look()
    assert said == ["waiting for the window (for 5 s)"]
    with waits.waiting_for("a request"):
        clock.now += FIRST_SECONDS
        waits.look()
    assert said[1:] == ["waiting for a request (for 5 s)"]
