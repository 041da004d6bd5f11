"""A ledger with 100,000 entries of other windows: a window is published once, and what the size costs."""

import json
import statistics
import zlib
from typing import Any

from confluent_kafka import Producer

from tests.chaos import stages
from tests.chaos.arena import Arena, close, settle
from tests.chaos.ground import Ground, Size
from tests.chaos.outcome import Outcome
from tests.chaos.witness import Asked

NAME = "large-ledger"
PROMISE = "a ledger of many windows changes nothing but the time of a launch"

_LAUNCHES = 5


def run(arena: Arena) -> Outcome:
    """Windows before and after the ledger has grown, then all of them again."""
    outcome = Outcome(NAME, PROMISE)
    # As many partitions as in an ordinary installation: a launch reads one of them.
    ground = arena.ground(NAME, Size(windows=_LAUNCHES * 2), environ={"SLUICE_LEDGER_PARTITIONS": "16"})
    small = _seconds(ground, outcome, range(_LAUNCHES))
    entry = dict(next(iter(ground.witness.entries().values())))
    _fill(arena.kafka.bootstrap, ground, entry, arena.dose.ledger_entries)
    large = _seconds(ground, outcome, range(_LAUNCHES, _LAUNCHES * 2))
    ends = ground.witness.written()
    unchanged = _seconds(ground, outcome, range(_LAUNCHES * 2))
    if ground.witness.written() != ends:
        outcome.failures.append("windows that had not changed were published again")
    settle(
        outcome,
        ground,
        {number: [Asked(ground.rows(number))] for number in range(_LAUNCHES * 2)},
        lambda _: arena.replay(NAME, 0),
    )
    outcome.facts = {
        "entries": f"{arena.dose.ledger_entries:,} in 16 partitions",
        "reading the ledger, claimed, in an empty one (ms, median of first looks)": _told(small),
        "the same among the entries": _told(large),
        "ratio": round(statistics.median(large) / statistics.median(small), 1),
        "launches that found nothing to do": _told(unchanged),
    }
    close(outcome, ground)
    return outcome


def _seconds(ground: Ground, outcome: Outcome, numbers: range) -> list[float]:
    """Seconds that one launch of each window spends in the ledger."""
    found = []
    for number in numbers:
        launched = ground.launch(number)
        if launched.wait() != 0:
            outcome.failures.append(f"{ground.window(number)} ended with {launched.code}: {launched.said}")
        durations = launched.durations()
        found.append(sum(durations.get(stages.LEDGER, [])) + sum(durations.get(stages.LEDGER_AGAIN, [])[:1]))
    return found


def _told(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.0f} ms"


def _fill(bootstrap: str, ground: Ground, entry: dict[str, Any], count: int) -> None:
    """Entries of other topics' windows, as other events would have written them."""
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 50})
    partitions = int(ground.environ["SLUICE_LEDGER_PARTITIONS"])
    for number in range(count):
        topic, window = f"other-{number % 50}.v1", f"2013-{number // 50}"
        key = f"{topic}|{window}"
        value = json.dumps({"v": 1, **entry, "topic": topic, "window": window}).encode()
        producer.produce(ground.witness.ledger, value, key, partition=zlib.crc32(key.encode()) % partitions)
        if number % 1000 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise AssertionError("the ledger could not be filled")
