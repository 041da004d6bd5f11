"""`sluice check`: every finding of the preflight, for people and for programs."""

import json
from typing import TYPE_CHECKING

import pytest

from pipelines.cli.output.findings import in_numbers, show, tried
from pipelines.preflight.finding import Finding
from resources.errors import SluiceError

if TYPE_CHECKING:
    from tests.pipelines.cli.conftest import Sluice


def test_findings_are_aligned_and_a_repeated_subject_is_named_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    findings = [
        Finding("topic", "ok", "there"),
        Finding("rights", "failed", "no Write", "grant it"),
        Finding("rights", "warning", "no Read", "grant it", "Read"),
        Finding("transactional id", "unknown", "not told"),
    ]
    assert show(findings) == findings
    assert capsys.readouterr().out.splitlines() == [
        "  ok    topic             there",
        "  FAIL  rights            no Write",
        "                          next:    grant it",
        "  warn                    no Read",
        "                          allowed: Read",
        "  ?     transactional id  not told",
    ]
    assert in_numbers(findings) == "4 checks: 1 ok, 1 warning, 1 unknown, 1 failed"


def test_what_is_wrong_becomes_a_finding_with_its_next_step() -> None:
    def look() -> str:
        raise SluiceError("here", "wrong", allowed="right", next_step="mend it")

    assert list(tried("it", look)) == [Finding("it", "failed", "here: wrong", "mend it", "right")]
    assert list(tried("it", lambda: "well")) == [Finding("it", "ok", "well")]


def test_check_gives_programs_everything_it_gives_people(sluice: "Sluice") -> None:
    told = sluice("check", "flight_cancelled", "2013-01-01..2013-01-03", "--json")
    assert told.returncode == 0, told.stdout + told.stderr
    (report,) = json.loads(told.stdout)
    assert report["event"] == "flights/flight_cancelled"
    levels = {finding["subject"]: finding["level"] for finding in report["findings"]}
    assert "failed" not in levels.values()
    assert {"query", "compatibility", "topic", "ledger", "snapshot room"} <= set(levels)


def test_check_fails_only_for_what_fails_and_tells_all_of_it(sluice: "Sluice") -> None:
    told = sluice("check", "carrier_day_closed", "2013-01-01", SLUICE_CREATE_TOPICS="false",
                  SLUICE_REGISTER_CONTRACTS="false")  # fmt: skip
    assert told.returncode == 1
    lines = told.stdout.splitlines()
    failed = [line.split()[1] for line in lines if line.startswith("  FAIL")]
    assert failed[0] == "topic" and set(failed) <= {"topic", "ledger"}
    assert any(line.startswith("  warn  compatibility") for line in lines)
    assert "--create --topic flights.carrier-day-closed.v1" in told.stdout
    assert "Not well: flights/carrier_day_closed." in told.stdout

    refused = sluice("check", "carrier_day_closed", "2012-01-01")
    assert refused.returncode == 1 and "window '2012-01-01'" in refused.stderr
