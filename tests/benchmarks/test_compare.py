"""The comparison's harness: its arguments, its table, and that it detects a contender with wrong records."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.compare.__main__ import main, parse
from benchmarks.compare.contender import Contender
from benchmarks.compare.contenders import CONTENDERS
from benchmarks.compare.datasets import DATASETS, Dataset, make_dataset
from benchmarks.compare.flame import flame_svg
from benchmarks.compare.job import Job, Measured
from benchmarks.compare.report import figures, notes, put_into, table
from benchmarks.compare.runner import Line, compare
from benchmarks.compare.servers import BenchServers
from benchmarks.compare.tools import CONTENDERS as FOLDER
from benchmarks.compare.verifying import Wrong, verify
from resources.errors import SluiceError
from tests.fixtures_servers import KafkaServer, RegistryServer

_BY_NAME = {one.name: one for one in CONTENDERS}


def test_asked_for_nothing_it_takes_everything() -> None:
    asked = parse([])
    assert asked.data == list(DATASETS)
    assert (asked.scale, asked.runs, asked.rows, asked.only) == (1, 3, None, None)


def test_what_is_asked_for_is_taken() -> None:
    asked = parse(
        [
            "--data",
            "orders",
            "--scale",
            "10",
            "--rows",
            "500",
            "--runs",
            "5",
            "--only",
            "raw-c",
            "sluice",
            "--report",
            "x.md",
        ]
    )
    assert (asked.data, asked.scale, asked.rows, asked.runs) == (["orders"], 10, 500, 5)
    assert (asked.only, asked.report) == (["raw-c", "sluice"], Path("x.md"))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["--only", "sluce"], "choose from 'read-sql'"),
        (["--data", "parts"], "choose from 'lineitem'"),
        (["--rows", "0"], "must be at least 1"),
    ],
)
def test_a_mistake_is_told_with_what_is_allowed(
    wrong: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(wrong)
    assert told in capsys.readouterr().err


def test_every_contender_has_its_module_and_its_names_are_its_own() -> None:
    assert len(_BY_NAME) == len(CONTENDERS)
    for one in CONTENDERS:
        text = (FOLDER / f"{one.module}.py").read_text()
        assert "\ndef run(job: Job, clock: Clock) -> int:" in text, one.name
        if one.prepares:
            assert "\ndef prepare(job: Job) -> None:" in text, one.name
        assert one.guarantees or not one.writes, f"{one.name} does not say what its records are worth"


def _line(contender: Contender, seconds: list[float]) -> Line:
    runs = {at: Measured(1000, each, 2.0, 1.0, 100.0, {}) for at, each in enumerate(seconds)}
    return Line(contender, 1000, runs)


def test_ratios_are_taken_within_a_round(tmp_path: Path) -> None:
    # The machine is ten times slower in the second round: ratios of the medians would be different.
    lines = [_line(_BY_NAME["read-sql"], [1.0, 10.0, 1.0]), _line(_BY_NAME["sluice"], [0.1, 1.0, 0.05])]
    found = figures(lines)
    assert found["sluice"]["times_common"] == pytest.approx(10)
    assert found["sluice"]["rows_per_second"] == pytest.approx(10_000)
    assert found["sluice"]["cpu_seconds_per_million"] == pytest.approx(2000)
    assert found["sluice"]["times_limit"] is None
    said = table(Dataset("flights", tmp_path, tmp_path, "id", 1000, ("id",), "flights"), found)
    assert "10,000" in said.splitlines()[-1]


def test_who_could_not_run_is_told_with_the_reason(tmp_path: Path) -> None:
    lines = [Line(_BY_NAME["raw-c"], 1000, failed="gcc is missing: apt-get install gcc")]
    found = figures(lines)
    assert "none |" in table(Dataset("flights", tmp_path, tmp_path, "id", 1000, ("id",), "f"), found)
    assert "raw-c did not run: gcc is missing" in notes(lines)


def test_a_contender_publishes_and_is_read_back(
    embedded_broker: KafkaServer, embedded_registry: RegistryServer, tmp_path: Path
) -> None:
    dataset = make_dataset("flights", tmp_path / "cache", scale=1, rows=1000)
    servers = BenchServers(
        embedded_broker.bootstrap, embedded_registry.url, embedded_broker.running.process.pid
    )
    said: list[str] = []
    fetchmany = _BY_NAME["fetchmany"]
    (line,) = compare(dataset, [fetchmany], servers, tmp_path, runs=1, say=said.append)
    assert line.failed is None, said
    assert line.seen is not None
    assert (line.seen.records, line.runs[0].rows) == (1000, 1000)
    assert line.runs[0].cpu_seconds > 0
    assert line.runs[0].peak_mib > 10
    assert not list(tmp_path.glob("s*")), "scratch folders are gone"

    silent = replace(fetchmany, name="silent", module="fetchmany", max_rows=500)
    topic = "bench.flights-short.v1"
    servers.create_topic(topic, 3)
    job = Job(
        contender=silent.module, variant="", dataset="flights", database=str(dataset.database), table="flights",
        columns=dataset.columns, key=dataset.key, contract=str(dataset.contract), rows=1000, rows_total=1000,
        topic=topic, kafka_partitions=3, bootstrap=servers.bootstrap, registry_url=servers.registry_url,
        broker_pid=servers.broker_pid, scratch="", shared="", transaction_rows=1000,
    )  # fmt: skip
    with pytest.raises(Wrong, match="0 records on the topic, 1,000 rows to publish"):
        verify(job, silent)


def test_the_table_goes_into_the_report_and_into_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    running = "benchmarks.compare.__main__"
    dataset = Dataset("flights", tmp_path, tmp_path, "id", 1000, ("id",), "f")
    monkeypatch.setattr(f"{running}.make_dataset", lambda *_, **__: dataset)
    monkeypatch.setattr(f"{running}.bench_servers", lambda _: nullcontext())
    missing = [Line(_BY_NAME["raw-c"], 1000, failed="gcc is missing")]
    monkeypatch.setattr(f"{running}.compare", lambda *_, **__: missing)
    page, report = tmp_path / "page.md", tmp_path / "report.md"
    page.write_text("<!-- comparison -->\n<!-- /comparison -->\n")
    assert main(["--data", "flights", "--report", str(report), "--into", str(page)]) == 0
    for told in (page.read_text(), report.read_text(), capsys.readouterr().out):
        assert "**flights**" in told and "gcc is missing" in told
    assert "flights" in json.loads(report.with_suffix(".json").read_text())
    page.write_text("<!-- comparison-10 -->\n<!-- /comparison-10 -->\n")
    assert main(["--data", "flights", "--scale", "10", "--into", str(page)]) == 0
    assert "gcc is missing" in page.read_text()


def test_a_flame_graph_shows_shares_as_widths() -> None:
    drawn = ElementTree.fromstring(flame_svg({("a", "b<c>"): 75, ("a", "d"): 24, ("e",): 1}, "t & u"))
    widths = {}
    for group in drawn.iter("{http://www.w3.org/2000/svg}g"):
        title, box = group[0].text or "", group[1]
        widths[title] = float(box.get("width", "0"))
    assert widths == {"a: 99.0%": 1188.0, "b<c>: 75.0%": 900.0, "d: 24.0%": 288.0, "e: 1.0%": 12.0}


def test_a_page_takes_the_table_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- comparison -->\nold\n<!-- /comparison -->\nafter\n")
    put_into(page, "comparison", "new")
    assert page.read_text() == "before\n<!-- comparison -->\n\nnew\n\n<!-- /comparison -->\nafter\n"
    with pytest.raises(SluiceError, match="has no place for the profile"):
        put_into(page, "profile", "new")
