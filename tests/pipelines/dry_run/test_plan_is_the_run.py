"""A plan and the run after it, for any history of a window: the same action, counts, generation, records and
dead letters, and the same refusal; and the plan has written nothing."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipelines.dry_run.dry_run import DryRun
from pipelines.dry_run.plan import WindowPlan
from pipelines.encoding.plain_json import plain
from pipelines.ledger.entry import LedgerEntry
from pipelines.ledger.listing import read_ledger
from pipelines.publishing.request import PublishRequest, Redrive, Replay
from pipelines.publishing.result import PublishResult
from pipelines.publishing.selection import Selection
from pipelines.run_events import problems_of
from pipelines.stages.transform import Transformed
from resources.errors import Problem, SluiceError
from tests.acceptance.murmur2 import java_partition
from tests.fixtures_servers import KafkaServer, RegistryServer
from tests.pipelines.publishing.conftest import WINDOW, Row, Seen, World

PARTITIONS = 3
MIDNIGHT = datetime(2013, 1, 1, tzinfo=UTC)
BODIES = (
    "return rows",
    "return rows.assign(amount=rows['amount'].where(rows['amount'] != 3, None))",
    "return rows.assign(amount=rows['amount'].where(~rows['amount'].isin([1, 3]), None))",
    "return rows[rows['amount'] != 2]",
    "return rows.assign(amount=rows['amount'].mask(rows['amount'] == 4, 40))",
)


@dataclass(frozen=True)
class Step:
    """One action of a user: another module, other rows, and a launch."""

    request: dict[str, Any] = field(default_factory=dict)
    rows: tuple[Row, ...] | None = None
    body: str | None = None


ROWS = st.lists(
    st.tuples(st.sampled_from(["k0", "k1", "k2", "k3", "k4"]), st.integers(0, 30), st.integers(0, 5)),
    max_size=12,
).map(tuple)
MINUTES = st.none() | st.integers(0, 30).map(lambda minutes: MIDNIGHT + timedelta(minutes=minutes))
KEYS = st.frozensets(st.sampled_from(["k0", "k1", "k4"]), max_size=2)
SELECTIONS = st.tuples(KEYS, MINUTES, MINUTES).filter(lambda one: not (one[1] and one[2]) or one[1] < one[2])


@st.composite
def replays(draw: st.DrawFn) -> dict[str, Any]:
    chosen = Selection(*draw(st.just((frozenset(), None, None)) | SELECTIONS))
    return {
        "reason": "asked for",
        "replay": Replay(
            "", draw(st.sampled_from(["stored", "fresh"])), chosen, draw(st.sampled_from([None, "shadow"]))
        ),
    }


PUBLISH = st.builds(
    Step,
    st.sampled_from(["ask", "correct", "replay"]).map(lambda way: {"on_definition_change": way}),
    st.none() | ROWS,
    st.none() | st.sampled_from(BODIES),
)
REPLAY = st.builds(Step, replays(), st.none() | ROWS, st.none() | st.sampled_from(BODIES))
REDRIVE = st.builds(
    Step,
    st.booleans().map(lambda force: {"redrive": Redrive(force)}),
    body=st.none() | st.sampled_from(BODIES),
)
HISTORIES = st.tuples(
    st.booleans(),
    st.builds(Step, rows=ROWS, body=st.sampled_from(BODIES)),
    st.lists(st.one_of(PUBLISH, REPLAY, REDRIVE), min_size=1, max_size=4),
)


class History:
    """Steps on one window, each planned and then done."""

    def __init__(self, world: World, *, tombstones: bool) -> None:
        self._world = world
        self._more = "dead_letters=0.6," + (" tombstones=True," if tombstones else "")
        self._rows: tuple[Row, ...] = ()
        self._number = count(1)
        self._shadow = f"{world.topic}.shadow"

    def take(self, step: Step) -> None:
        world = self._world
        if step.rows is not None:
            self._rows = step.rows
            world.rows(step.rows)
        if step.body is not None:
            world.define(step.body, more=self._more)
        request = dict(step.request)
        if "replay" in request:
            asked: Replay = request["replay"]
            topic = self._shadow if asked.topic else None
            request["replay"] = Replay(f"launch {next(self._number)}", asked.source, asked.selection, topic)
        topic = (request["replay"].topic if "replay" in request else None) or world.topic
        before, seen = self._state(), self._seen(topic)
        with patch.object(os, "fsync", side_effect=AssertionError("a plan waits for no disk")):
            found = self._planned(request)
        assert self._state() == before, "a plan writes nothing"
        outcome, made = self._run(request)
        new = [record for record in self._seen(topic) if record not in seen]
        _compare(found, outcome, made, new)

    def _planned(self, request: dict[str, Any]) -> WindowPlan:
        world, platform = self._world, self._world.platform()
        entries = {entry.key: entry for entry in read_ledger(platform).entries}
        plans = DryRun(world.event, platform, PublishRequest(**request), entries, shown=1_000)
        (found,) = plans.windows([world.event.windows.window(WINDOW)])
        return found

    def _run(self, request: dict[str, Any]) -> tuple[PublishResult | tuple[Problem, ...], Transformed | None]:
        """The result for the window, or the problems that prevented its publication."""
        world, platform = self._world, self._world.platform()
        replay: Replay | None = request.get("replay")
        made: Transformed | None = None
        try:
            if "redrive" not in request and (replay is None or replay.source == "fresh"):
                made = world.prepare(platform)
                if not made.passed:
                    return (), made
            return world.publish(platform, **request), made
        except SluiceError as error:
            return problems_of(error), made

    def _state(self) -> dict[str, Any]:
        """Everything that stays after a process: files, ledger entries, records of the topic."""
        folder, platform = self._world.folder, self._world.platform()
        files = {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
        ledger: list[LedgerEntry] = sorted(read_ledger(platform).entries, key=lambda entry: entry.key)
        return {"files": files, "ledger": ledger, "records": self._seen(self._world.topic)}

    def _seen(self, topic: str) -> list[Seen]:
        if self._world.platform().watch.now(topic).partitions == 0:
            return []
        return self._world.seen(partitions=PARTITIONS, topic=topic)


def _compare(
    found: WindowPlan,
    outcome: PublishResult | tuple[Problem, ...],
    made: Transformed | None,
    new: list[Seen],
) -> None:
    if made is not None:
        assert found.dead == made.dead
    if not isinstance(outcome, PublishResult):
        assert found.refused is not None and new == []
        if found.action == "blocked" and made is not None and outcome == ():
            assert (found.because, made.passed) == (made.verdict, False)
        else:
            assert found.problems == outcome
        return
    assert found.refused is None, found.refused
    assert (found.action, found.generation) == (outcome.action, outcome.generation)
    assert (found.records, found.tombstones, found.gone) == (
        outcome.published, outcome.tombstones, outcome.gone,
    )  # fmt: skip
    assert found.dead == (outcome.dead if made is None else made.dead)
    assert found.because.startswith(outcome.because)
    if not outcome.published:
        assert new == [] and found.outcome == outcome.outcome
        return
    assert len(new) == found.records
    assert sum(record.value is None for record in new) == found.tombstones
    events = [record for record in new if record.value is not None]
    told = [plain(record.value) for record in events]
    if found.action not in ("finish", "resume"):
        assert Counter(map(str, found.sample)) == Counter(map(str, told))
    planned = Counter(java_partition(str(one["id"]).encode(), PARTITIONS) for one in found.sample)
    if len(found.sample) == len(events):
        assert planned == Counter(record.kafka_partition for record in events)


@pytest.fixture
def worlds(
    request: pytest.FixtureRequest, embedded_registry: RegistryServer, tmp_path: Path
) -> Iterator[Callable[[], World]]:
    """New worlds on the broker that the test names."""
    broker: KafkaServer = request.getfixturevalue(request.param)
    made: list[World] = []

    def make() -> World:
        for one in made:
            one.close()
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(World(folder, broker.bootstrap, embedded_registry.url))
        return made[-1]

    yield make
    for one in made:
        one.close()


LONG = settings(deadline=None, suppress_health_check=list(HealthCheck))


def _hold(make: Callable[[], World], history: tuple[bool, Step, list[Step]]) -> None:
    tombstones, first, steps = history
    world = make()
    world.define(more="dead_letters=0.6,")
    world.create_topic(PARTITIONS, **({"cleanup_policy": "compact"} if tombstones else {}))
    told = History(world, tombstones=tombstones)
    for step in (first, *steps):
        told.take(step)


@pytest.mark.parametrize("worlds", ["embedded_broker"], indirect=True)
@given(history=HISTORIES)
@example(
    history=(
        False,
        Step(rows=(("k0", 13, 0), ("k0", 0, 0)), body=BODIES[0]),
        [
            Step(
                {"reason": "asked for", "replay": Replay("", "fresh")},
                (("k0", 13, 0), ("k0", 11, 3), ("k0", 0, 3)),
                BODIES[1],
            )
        ],
    )
).via("a fresh replay of rows that its dead letters block")
@example(
    history=(
        False,
        Step(rows=(("k0", 0, 0), ("k1", 1, 1)), body=BODIES[0]),
        [
            Step(
                {
                    "reason": "asked for",
                    "replay": Replay("", "fresh", Selection(frozenset({"k0"}), None, None)),
                },
                (("k0", 0, 4),),
                BODIES[4],
            )
        ],
    )
).via("a fresh replay of some events, whose correction asks first")
@example(
    history=(
        False,
        Step(rows=(("k0", 0, 0), ("k0", 0, 3)), body=BODIES[1]),
        [Step({"redrive": Redrive(True)})],
    )
).via("a redrive whose letters are as they were")
@example(
    history=(
        False,
        Step(rows=(("k0", 0, 3),), body=BODIES[1]),
        [
            Step(
                {"reason": "asked for", "replay": Replay("", "fresh")},
                (("k0", 0, 0), ("k1", 0, 0), ("k2", 0, 3)),
            )
        ],
    )
).via("a refused replay of rows of which one does not fit")
@example(history=(False, Step(rows=(("k0", 0, 3),), body=BODIES[1]), [Step({"redrive": Redrive(True)})])).via(
    "a redrive of a window that its letters still block"
)
@settings(LONG, max_examples=12)
def test_a_plan_is_what_the_run_then_does(
    worlds: Callable[[], World], history: tuple[bool, Step, list[Step]]
) -> None:
    _hold(worlds, history)


@pytest.mark.parametrize("worlds", ["kafka"], indirect=True)
@given(history=HISTORIES)
@settings(LONG, max_examples=3)
def test_so_it_is_on_a_real_kafka(
    worlds: Callable[[], World], history: tuple[bool, Step, list[Step]]
) -> None:
    _hold(worlds, history)
