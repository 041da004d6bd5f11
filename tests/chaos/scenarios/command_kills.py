"""`sluice publish` itself, Dagster's run included, killed at random instants and launched again."""

import sys
import time
from pathlib import Path

from pipelines import Event, load_catalogue
from tests.acceptance.expected import canonical, warehouse_rows
from tests.acceptance.outsiders import Received
from tests.chaos import stages
from tests.chaos.arena import Arena
from tests.chaos.outcome import Kill, Outcome
from tests.chaos.processes import ROOT, Launched, command
from tests.chaos.scenarios.kills import transaction_of
from tests.chaos.witness import Witness, ledger_problems

NAME = "command-kills"
PROMISE = "a `sluice publish` killed at any instant, and entered again, publishes each event once"

_EVENT = "flight_departed"
# The stages of an operator's run; the instants that matter most have more weight.
_AIMS = (
    stages.COMMITTING, stages.SETTLING, stages.COMMITTED, stages.SOURCING, stages.COMMITTING, stages.RECONCILING,
    stages.CLAIMING, stages.SENDING, stages.TRANSFORMING, stages.COMMITTING, stages.LEDGER_AGAIN, stages.POINTER,
)  # fmt: skip


def run(arena: Arena) -> Outcome:
    """One window for each point."""
    outcome = Outcome(NAME, PROMISE)
    folder, environ = arena.own_world(NAME)
    event = load_catalogue(ROOT / "assets").find(_EVENT)
    warehouse, ledger = folder / "sample.duckdb", environ["SLUICE_LEDGER_TOPIC"]
    environ |= {
        "SLUICE_TRANSACTION_ROWS": "50",
    }
    witness = Witness(arena.kafka.bootstrap, arena.registry.url, event.topic, ledger)
    for point in arena.points(arena.dose.command_kills):
        story = _Story(arena, outcome, event, witness, environ, folder, warehouse)
        story.run(point)
    return outcome


class _Story:
    def __init__(
        self,
        arena: Arena,
        outcome: Outcome,
        event: Event,
        witness: Witness,
        environ: dict[str, str],
        folder: Path,
        warehouse: Path,
    ) -> None:
        self._arena, self._outcome, self._event, self._witness = arena, outcome, event, witness
        self._environ, self._folder, self._warehouse = environ, folder, warehouse

    def run(self, point: int) -> None:
        chance = self._arena.chance(NAME, point)
        window = self._event.windows.window(f"2013-0{1 + point // 28}-{1 + point % 28:02d}")
        since = self._witness.ends()
        aim = _AIMS[point % len(_AIMS)]
        launched = self._launch("tests.chaos.command", window.key, point, "killed")
        many = aim in (stages.COMMITTING, stages.SETTLING, stages.COMMITTED, stages.SENDING)
        launched.reach(aim, chance.randrange(8) if many else 0)
        delay = chance.uniform(0, 0.01)
        time.sleep(delay)
        if launched.kill():
            where, stage = launched.position
            phase = transaction_of(launched, where, stage)
            kill = Kill(point, "sluice publish", aim, where, stage, phase, round(delay * 1000, 2))
            self._outcome.kills.append(kill)
        again = self._launch("pipelines.cli", window.key, point, "again")
        if again.wait() != 0:
            self._fail(point, f"`sluice publish` ended with {again.code}:\n{again.said}")
            return
        for one in (launched, again):
            if "Traceback" in one.said:
                self._fail(point, f"a stack trace was shown:\n{one.said}")
        wanted = warehouse_rows(self._warehouse, self._event, [window])
        records = self._witness.records(since)
        found = [{k: v for k, v in (r.value or {}).items() if k != self._event.event_id} for r in records]
        if sorted(map(repr, map(canonical, found))) != sorted(map(repr, map(canonical, wanted))):
            self._fail(
                point, f"{len(found)} records on the topic, {len(wanted)} rows in the warehouse, or others"
            )
        for problem in [
            *self._order(records),
            *ledger_problems(records, self._witness.entries().get(window.key)),
        ]:
            self._fail(point, problem)
        self._outcome.checked += 1

    def _order(self, records: list[Received]) -> list[str]:
        newest: dict[bytes, object] = {}
        problems = []
        for record in records:
            key, at = record.key or b"", (record.value or {})[self._event.event_time]
            if newest.get(key, at) > at:
                problems.append(f"key {key!r} is out of order at offset {record.offset}")
            newest[key] = at
        return problems

    def _launch(self, module: str, window: str, point: int, name: str) -> Launched:
        self._outcome.launches += 1
        argv = [sys.executable, "-m", module, "publish", _EVENT, window]
        return command(argv, environ=self._environ, log=self._folder / f"{point:03d}-{name}.log")

    def _fail(self, point: int, problem: str) -> None:
        self._outcome.failures.append(f"{problem} [{self._arena.replay(NAME, point)}]")
