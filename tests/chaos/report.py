"""The report: a page for people, JSON for programs, a short table for the terminal."""

import json
import platform
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import confluent_kafka

from tests.chaos.arena import Dose
from tests.chaos.outcome import Kill, Outcome
from tests.chaos.stages import STAGES

_ROOT = Path(__file__).resolve().parents[2]
TRANSACTION = ("before any transaction", "before a commit", "inside a commit", "after a commit")


def line(outcome: Outcome) -> str:
    """One scenario in one line."""
    kills = f"{len(outcome.kills)} kills, " if outcome.kills else ""
    left_out = f": {outcome.left_out}" if outcome.left_out else ""
    return (
        f"{outcome.name:<16} {outcome.verdict:<8} {kills}{outcome.launches} launches, {outcome.checked} windows "
        f"judged, {outcome.seconds:.0f} s{left_out}"
    )


@dataclass(frozen=True)
class Report:
    """Everything that a run found."""

    dose: Dose
    seed: int
    outcomes: Sequence[Outcome]
    seconds: float

    def table(self) -> str:
        """For the terminal."""
        kills = self._kills()
        phases = Counter(kill.transaction for kill in kills)
        told = ", ".join(f"{phases[phase]} {phase}" for phase in TRANSACTION)
        rows = [f"\nchaos, {self.dose.name} dose, seed {self.seed}, {self.seconds:.0f} s"]
        rows += [f"  {line(outcome)}" for outcome in self.outcomes]
        if kills:
            rows.append(f"  {len(kills)} kills in {len({kill.stage for kill in kills})} stages: {told}")
        return "\n".join(rows)

    def _kills(self) -> list[Kill]:
        return [kill for outcome in self.outcomes for kill in outcome.kills]

    def write(self, path: Path) -> None:
        """The page, and JSON beside it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.page())
        whole = {
            "dose": asdict(self.dose),
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "versions": versions(),
            "scenarios": [outcome.as_json() for outcome in self.outcomes],
        }
        path.with_suffix(".json").write_text(json.dumps(whole, indent=1, default=str) + "\n")

    def page(self) -> str:
        """Markdown."""
        ran = ", ".join(f"{name} {number}" for name, number in versions().items())
        parts = [
            f"# Chaos report\n\n{self.dose.name} dose, seed {self.seed}, {datetime.now(UTC):%Y-%m-%d}, "
            f"{self.seconds:.0f} s. {ran}.",
            "## Scenarios\n\n"
            + _table(
                ("Scenario", "Promise", "Verdict", "Kills", "Launches", "Windows judged", "Seconds"),
                [
                    (o.name, o.promise, _verdict(o), len(o.kills), o.launches, o.checked, f"{o.seconds:.0f}")
                    for o in self.outcomes
                ],
            ),
        ]
        kills = self._kills()
        if kills:
            parts.append(self._where(kills))
        facts = [(o.name, name, fact) for o in self.outcomes for name, fact in o.facts.items()]
        if facts:
            parts.append("## Figures\n\n" + _table(("Scenario", "Figure", "Value"), facts))
        told = Counter((o.name, _without_places(line)) for o in self.outcomes for line in o.told)
        if told:
            parts.append(
                "## What launches said that ended early\n\n"
                + _table(
                    ("Scenario", "Times", "Error"), [(name, n, line) for (name, line), n in told.items()]
                )
            )
        failures = [f"- {o.name}: {failure}" for o in self.outcomes for failure in o.failures]
        if failures:
            parts.append("## Failures\n\n" + "\n".join(failures))
        return "\n\n".join(parts) + "\n"

    def _where(self, kills: Sequence[Kill]) -> str:
        phases = Counter(kill.transaction for kill in kills)
        inside = Counter(kill.stage for kill in kills if kill.where == "in")
        behind = Counter(kill.stage for kill in kills if kill.where == "after")
        aimed = Counter(kill.aimed_at for kill in kills)
        order = [*STAGES, *sorted((aimed.keys() | inside.keys() | behind.keys()) - set(STAGES))]
        partly = sum(1 for kill in kills if kill.rows and kill.of and kill.rows < kill.of)
        return (
            f"## Where the kills fell\n\n{len(kills)} kills. A process tells each stage it enters and leaves; where "
            f"it died is what it had told last. {partly} left a window partly committed.\n\n"
            + _table(("Transaction", "Kills"), [(phase, phases[phase]) for phase in TRANSACTION])
            + "\n\n"
            + _table(
                ("Stage", "Aimed at", "Died in it", "Died just behind it"),
                [(s, aimed[s], inside[s], behind[s]) for s in order if aimed[s] or inside[s] or behind[s]],
            )
        )


def versions() -> dict[str, str]:
    """The versions of what ran."""
    pom = (_ROOT / "resources/dev/servers/maven/kafka/pom.xml").read_text()
    kafka = re.search(r"<artifactId>kafka_2.13</artifactId>\s*<version>([\d.]+)<", pom)
    return {
        "Sluice": version("sluice"),
        "Apache Kafka": kafka[1] if kafka else "unknown",
        "librdkafka": confluent_kafka.libversion()[0],
        "confluent-kafka": version("confluent-kafka"),
        "Python": platform.python_version(),
        "Linux" if platform.system() == "Linux" else platform.system(): platform.release(),
    }


def _verdict(outcome: Outcome) -> str:
    return f"left out: {outcome.left_out}" if outcome.left_out else outcome.verdict


def _without_places(line: str) -> str:
    """The line without the names of windows, topics and addresses."""
    line = re.sub(r"\d{4}-\d\d-\d\d", "WINDOW", line.removeprefix("Error: "))
    line = re.sub(r"[a-z]+(-[a-z]+)*-[0-9a-f]{8}", "NAME", line)
    return re.sub(r"127\.0\.0\.1:\d+", "HOST:PORT", line)


def _table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in lines)
