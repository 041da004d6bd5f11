"""Runs the scenarios on servers of its own and writes the report."""

import argparse
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from resources.dev.servers.errors import ServerUnavailable
from resources.dev.servers.kinds.apache_kafka import ApacheKafka
from resources.dev.servers.kinds.embedded_registry import EmbeddedRegistry
from resources.dev.servers.server import Server, start
from tests.chaos import report
from tests.chaos.arena import DOSES, Arena
from tests.chaos.outcome import Outcome
from tests.chaos.scenarios import SCENARIOS
from tests.fixtures_servers import HandleT, KafkaServer, RegistryServer


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Exit code 0: every scenario holds; 1: one does not; 2: the servers cannot run here."""
    asked = _parser().parse_args(arguments)
    dose = DOSES[asked.dose]
    if asked.points is not None:
        dose = replace(dose, kills=asked.points)
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(10**8)
    names = asked.only or list(SCENARIOS)
    print(f"chaos, {dose.name} dose, seed {seed}: {', '.join(names)}", flush=True)
    # The servers are separate processes: whatever ends this process must end them too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    outcomes = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-chaos-")))
        try:
            kafka = stack.enter_context(_served(KafkaServer, ApacheKafka(), folder / "kafka"))
            registry = stack.enter_context(_served(RegistryServer, EmbeddedRegistry(), folder / "registry"))
        except ServerUnavailable as missing:
            print(missing)
            return 2
        arena = Arena(kafka, registry, folder, seed, dose, only=asked.point)
        for name in names:
            outcome = timed(name, arena)
            outcomes.append(outcome)
            print(report.line(outcome), flush=True)
            for failure in outcome.failures[:10]:
                print(f"    {failure}", flush=True)
    told = report.Report(dose, seed, outcomes, time.monotonic() - began)
    print(told.table())
    if asked.report:
        told.write(asked.report)
        print(f"report: {asked.report}, {asked.report.with_suffix('.json')}")
    return 0 if all(not outcome.failures for outcome in outcomes) else 1


def timed(name: str, arena: Arena) -> Outcome:
    """The scenario's outcome with the seconds it took; a scenario that raises has failed."""
    began = time.monotonic()
    try:
        outcome = SCENARIOS[name](arena)
    except Exception:
        outcome = Outcome(name, "", failures=[traceback.format_exc()])
    outcome.seconds = time.monotonic() - began
    return outcome


@contextmanager
def _served(handle_type: type[HandleT], server: Server, folder: Path) -> Iterator[HandleT]:
    handle = handle_type(server, start(server, folder))
    try:
        yield handle
    finally:
        handle.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--dose", choices=DOSES, default="full", help="how much of everything (default: full)"
    )
    parser.add_argument("--seed", type=int, help="where and when things break (default: a new one, printed)")
    parser.add_argument("--points", type=int, help="kills of launches, instead of the dose's number")
    parser.add_argument(
        "--only",
        action="append",
        choices=SCENARIOS,
        metavar="SCENARIO",
        help=f"one of {', '.join(SCENARIOS)}",
    )
    parser.add_argument("--point", type=int, help="one point of a scenario again, as a failure names it")
    parser.add_argument("--report", type=Path, help="write this Markdown file, and JSON beside it")
    return parser
