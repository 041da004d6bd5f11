"""What every scenario gets: servers, a folder, a seed, a dose, and a way to report what it does."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from resources.dev.sample import build_sample_warehouse
from tests.chaos.ground import Ground, Size
from tests.chaos.launch import PASSING
from tests.chaos.outcome import Outcome
from tests.chaos.processes import Launched
from tests.chaos.witness import Asked, HeldBack, by_window, judge
from tests.fixtures_servers import KafkaServer, RegistryServer


@dataclass(frozen=True)
class Dose:
    """How much of everything is done."""

    name: str
    kills: int
    command_kills: int
    launches: int
    pauses: int
    long_pauses: int
    broker_kills: int
    registry_losses: int
    warehouse_losses: int
    lost_connections: int
    full_disks: int
    raising_rows: int
    ledger_entries: int
    broker_losses: int
    dead_runs: int


SMALL = Dose("small", 30, 1, 2, 1, 0, 1, 2, 2, 1, 3, 3, 100_000, 0, 1)
FULL = Dose("full", 220, 12, 15, 6, 3, 5, 6, 8, 8, 12, 9, 100_000, 12, 14)
DOSES = {dose.name: dose for dose in (SMALL, FULL)}


@dataclass
class Arena:
    """`only`: the one point to replay, otherwise all points of the dose."""

    kafka: KafkaServer
    registry: RegistryServer
    folder: Path
    seed: int
    dose: Dose
    only: int | None = None
    _mark: str = field(default_factory=lambda: uuid4().hex[:8])

    def own_world(self, name: str) -> tuple[Path, dict[str, str]]:
        """For a scenario with this project's own assets: a folder, and the settings of a separate home,
        ledger and sample warehouse (`sample.duckdb` in the folder)."""
        folder = self.folder / name
        folder.mkdir()
        ledger = f"{name}-{folder.stat().st_mtime_ns}.ledger"
        warehouse = build_sample_warehouse(folder / "sample.duckdb")
        return folder, {
            "SLUICE_HOME": str(folder / "home"),
            "SLUICE_CODE_LOCATION": ledger,
            "SLUICE_LEDGER_TOPIC": ledger,
            "SLUICE_LEDGER_PARTITIONS": "2",
            "SLUICE_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "SLUICE_REGISTRY_URL": self.registry.url,
            "SLUICE_WAREHOUSE_DEFAULT": f"duckdb://{warehouse}",
            "SLUICE_SAMPLES": "true",
            "SLUICE_CREATE_TOPICS": "true",
            "SLUICE_REGISTER_CONTRACTS": "true",
        }

    def chance(self, scenario: str, point: int) -> random.Random:
        """A point's own random numbers: the same whether it runs alone or with all others."""
        return random.Random(f"{self.seed} {scenario} {point}")

    def points(self, count: int) -> Iterator[int]:
        """The points to run."""
        yield from range(count) if self.only is None else [self.only]

    def ground(self, scenario: str, size: Size, **more: object) -> Ground:
        """A separate ground for a scenario, on the arena's servers unless `more` says otherwise."""
        name = f"{scenario}-{self._mark}"
        servers = {"bootstrap": self.kafka.bootstrap, "registry_url": self.registry.url}
        return Ground(
            self.folder / name,
            name=name,
            seed=self.seed,
            size=size,
            **{**servers, **more},  # type: ignore[arg-type]
        )

    def replay(self, scenario: str, point: int) -> str:
        """The command that runs one point again."""
        return f"python -m tests.chaos --dose {self.dose.name} --seed {self.seed} --only {scenario} --point {point}"


def settle(
    outcome: Outcome,
    ground: Ground,
    stories: dict[int, list[Asked]],
    replay: Callable[[int], str],
    *,
    since: dict[int, int] | None = None,
) -> None:
    """Judge windows whose last launch succeeded. `stories`: by window number, the requested states; `since`:
    where the topic ended before them, None if nothing else was ever published on it."""
    outcome.checked += len(stories)
    try:
        records, entries = by_window(ground.witness.records(since)), ground.witness.entries()
    except HeldBack as held:
        outcome.failures.append(str(held))
        return
    for number, asked in stories.items():
        problems = judge(asked, records.pop(f"{number:04d}", []), entries.pop(ground.window(number), None))
        outcome.failures += [f"{ground.window(number)}: {problem} [{replay(number)}]" for problem in problems]
    outcome.failures += [f"records of window {name}, which nobody published" for name in sorted(records)]
    if since is None:
        outcome.failures += [f"a ledger entry of {name}, which nobody published" for name in sorted(entries)]


def relaunched(
    outcome: Outcome, launched: Launched, relaunch: Callable[[], Launched], replay: str, most: int = 5
) -> int:
    """Wait for a launch. If it ended with a transient error, which Dagster would retry by itself, launch
    again until one succeeds; returns how many ended with such an error."""
    for again in range(most):
        if launched.wait() == 0:
            return again
        outcome.told += [line for line in launched.said.splitlines() if line.startswith("Error: ")]
        if launched.code != PASSING:
            outcome.failures.append(f"a launch ended with {launched.code}: {launched.said} [{replay}]")
        launched = relaunch()
    launched.kill()
    outcome.failures.append(f"{most} launches in turn did not come to their end: {launched.said} [{replay}]")
    return most


def close(outcome: Outcome, ground: Ground) -> None:
    """The last check of every scenario: no process printed a stack trace."""
    outcome.failures += ground.stack_traces()
    outcome.launches += len(ground.logs)
