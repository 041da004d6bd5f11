"""`sluice publish --processes` on real Apache Kafka:
in parallel, stopped, and with one process or all of them killed."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import dagster as dg
import duckdb
import pytest

from resources.dev.servers.process import OwnedProcess
from tests.acceptance.outsiders import Outsider
from tests.fixtures_servers import KafkaServer, RegistryServer
from tests.pipelines.cli.conftest import ROOT, command, environment
from tests.pipelines.publishing.conftest import MODULE

_SECONDS = 120
DAYS, ROWS = 6, 24
WINDOWS = "2013-01-01..2013-01-06"
FIRST, SECOND = "2013-01-01..2013-01-03", "2013-01-04..2013-01-06"
# Eighteen seconds for each of two runs: on a busy machine one begins long before the other, and both must be
# at work at the same time.
SLOWLY = ("--max-rows-per-second", "8")
CONTRACT = """{"type": "record", "name": "Happened", "namespace": "tests", "doc": "It.", "fields": [
{"name": "id", "type": "string", "doc": "what"}, {"name": "amount", "type": "long", "doc": "pieces"},
{"name": "happened_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "when, UTC"}]}"""


@dataclass
class Place:
    """A project with two events over one table, and its home."""

    tree: Path
    environ: dict[str, str]
    names: tuple[str, str]
    outsider: Outsider

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command("publish", *arguments), cwd=self.tree, env=self.environ, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def publish(self, *arguments: str) -> tuple[int, str]:
        run = self.start(*arguments)
        told = run.communicate(timeout=_SECONDS)[0]
        assert "Traceback" not in told, told
        return run.returncode, told

    @contextmanager
    def dagster(self) -> Iterator[dg.DagsterInstance]:
        with dg.DagsterInstance.from_config(self.environ["DAGSTER_HOME"]) as found:
            yield found

    def runs(self, name: str) -> list[dg.RunRecord]:
        with self.dagster() as instance:
            return list(instance.get_run_records(dg.RunsFilter(tags={"sluice/event": f"tests/{name}"})))

    def assert_once(self, name: str) -> None:
        """Every row of the event's windows is on the topic, as often as it should be."""
        records = self.outsider.read(f"{self.environ['TOPICS']}.{name}.v1", {})
        times = Counter((record.value or {})["id"] for record in records)
        assert times == {f"{day}-{row}": 1 for day in range(DAYS) for row in range(ROWS)}


@pytest.fixture(scope="module")
def place(
    kafka: KafkaServer, embedded_registry: RegistryServer, tmp_path_factory: pytest.TempPathFactory
) -> Place:
    folder, ours = tmp_path_factory.mktemp("beside"), f"t{uuid4().hex[:8]}"
    for package in ("pipelines", "resources"):
        shutil.copytree(
            ROOT / package, folder / "tree" / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    assets = folder / "tree" / "assets" / "tests"
    assets.mkdir(parents=True)
    names = ("came", "went")
    for name in names:
        text = MODULE.format(topic=f"{ours}.{name}.v1", key="id", more="", body="return rows", doc="Same.")
        (assets / f"{name}.py").write_text(text.replace("def happened", f"def {name}"))
        (assets / f"{name}.avsc").write_text(CONTRACT)
    with duckdb.connect(str(folder / "dwh.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE happenings AS SELECT d || '-' || r AS id, r::BIGINT AS amount, "
            "TIMESTAMPTZ '2013-01-01 00:00:00+00' + to_days(d::INTEGER) + to_minutes(r) AS happened_at "
            f"FROM range({DAYS}) AS days(d), range({ROWS}) AS rows(r)"
        )
    (folder / "dagster").mkdir()
    (folder / "dagster" / "dagster.yaml").write_text(
        "concurrency: {pools: {default_limit: 2}}\ntelemetry: {enabled: false}\n"
    )
    environ = environment(
        folder / "home",
        DAGSTER_HOME=str(folder / "dagster"),
        SLUICE_KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap,
        SLUICE_REGISTRY_URL=embedded_registry.url,
        SLUICE_WAREHOUSE_DEFAULT=f"duckdb://{folder / 'dwh.duckdb'}",
        SLUICE_LEDGER_TOPIC=f"{ours}.ledger",
        SLUICE_CREATE_TOPICS="true",
        SLUICE_REGISTER_CONTRACTS="true",
        TOPICS=ours,
    )
    return Place(folder / "tree", environ, names, Outsider(kafka.bootstrap, embedded_registry.url))


def heard(run: "subprocess.Popen[str]", enough: Callable[[str], bool]) -> str:
    """The output of the command, until `enough` is true for it."""
    assert run.stdout is not None
    told = ""
    while not enough(told):
        line = run.stdout.readline()
        assert line, f"it has ended:\n{told}"
        told += line
    return told


def both_publish(told: str) -> bool:
    """Each of two runs has finished a window and is in the next."""
    return all(f" 2013-01-0{day}: " in told for day in (2, 5))


def processes_of(told: str) -> list[OwnedProcess]:
    found = [
        OwnedProcess(int(pid), mark_of(int(pid))) for pid in re.findall(r" in process (\d+), run ", told)
    ]
    assert len(found) == 2
    return found


def mark_of(pid: int) -> str:
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{stat[19]}"


def test_runs_side_by_side_stand_or_fall_apart_and_end_with_their_command(place: Place) -> None:
    name, other = place.names

    # Ctrl-C at the command ends both runs cleanly.
    run = place.start(name, WINDOWS, "--processes", "2", *SLOWLY)
    told = heard(run, both_publish)
    workers = processes_of(told)
    assert f"tests/{name} {FIRST}: limits: 4 rows/s" in told, "the limit is shared"
    run.send_signal(signal.SIGINT)
    told += run.communicate(timeout=_SECONDS)[0]
    assert run.returncode == 130 and "Traceback" not in told, told
    stopped = re.search(r"Stopped\. (\d+) of 6 windows are complete", told)
    assert stopped and 2 <= int(stopped[1]) < 6, told
    assert f"Next: sluice publish {name} {WINDOWS} --processes 2" in told
    assert not any(worker.is_alive() for worker in workers)
    first, second = place.runs(name)
    assert first.start_time and second.start_time and first.end_time and second.end_time
    assert max(first.start_time, second.start_time) < min(first.end_time, second.end_time), "at one time"
    for record in (first, second):
        run_id = record.dagster_run.run_id
        assert record.dagster_run.is_finished and run_id[:8] in told
        with place.dagster() as instance:
            said = [entry.message for entry in instance.all_logs(run_id)]
        assert not [text for text in said if "its process" in text], "it ended by itself"

    # Ctrl-C twice does not wait for runs that do not end.
    run = place.start(other, WINDOWS, "--processes", "2", *SLOWLY)
    told = heard(run, both_publish)
    workers = processes_of(told)
    for worker in workers:
        os.kill(worker.pid, signal.SIGSTOP)
    run.send_signal(signal.SIGINT)
    told += heard(
        run, lambda told: "stopping: 2 runs end in order; once more ends their processes at once" in told
    )
    run.send_signal(signal.SIGINT)
    told += run.communicate(timeout=_SECONDS)[0]
    assert run.returncode == 130 and "Traceback" not in told, told
    assert "ending 2 processes at once" in told
    assert f"Next: sluice publish {other} {WINDOWS} --processes 2" in told
    assert not any(worker.is_alive() for worker in workers)
    assert all(record.dagster_run.is_finished for record in place.runs(other))

    # One process killed: the other's windows are published.
    run = place.start(name, WINDOWS, "--processes", "2", *SLOWLY)
    told = heard(run, both_publish)
    workers = processes_of(told)
    workers[0].kill()
    told += run.communicate(timeout=_SECONDS)[0]
    assert run.returncode == 1 and "Traceback" not in told, told
    failed = re.search(rf"tests/{name}: not published: ([0-9, -]+)", told)
    assert failed and failed[1].endswith("2013-01-03") and "2013-01-04" not in failed[1], told
    assert f"its process {workers[0].pid} was ended by SIGKILL" in told
    assert f"next: sluice publish {name} {WINDOWS} --processes 2" in re.sub(r"\s+", " ", told)
    statuses = {record.dagster_run.status for record in place.runs(name)[:2]}
    assert statuses == {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS}

    # The command killed, with two events in progress: nothing continues without it.
    run = place.start("--all", WINDOWS, "--processes", "2", "--max-rows-per-second", "6")
    told = heard(run, lambda told: all(f"  tests/{each} 2013-01-0" in told for each in place.names))
    workers = processes_of(told)
    run.kill()
    deadline = time.monotonic() + _SECONDS
    while any(worker.is_alive() for worker in workers):
        assert time.monotonic() < deadline, "a process outlived the command"
        time.sleep(0.1)
    run.communicate()
    for each in place.names:
        assert place.runs(each)[0].dagster_run.is_finished, "in order, with nobody left to say so for it"
    assert place.runs(other)[0].dagster_run.status == dg.DagsterRunStatus.FAILURE, (
        "it did not go on to its end"
    )

    # Everything once more, without a fault: each event in order.
    code, told = place.publish("--all", WINDOWS, "--processes", "2")
    assert code == 0 and "Dagster runs " in told, told
    for each in place.names:
        windows = re.findall(rf"tests/{each} (2013-01-\d\d): \w+: \d+ published", told)
        assert windows == sorted(windows) and len(windows) == DAYS
        place.assert_once(each)
    assert (len(place.runs(name)), len(place.runs(other))) == (6, 4)
