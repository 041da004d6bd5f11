"""A run of tests says what it left out, and how to run it."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.documents import ROOT
from tests.fixtures_servers import SERVERS, servers_of

_TESTS = """
import pytest
from tests.matrix import in_the_matrix, one_of

@pytest.fixture(params=one_of("kafka", "embedded_broker"))
def broker(request):
    return request.param

@pytest.mark.parametrize("case", ["a", in_the_matrix(pytest.param("b", id="other"))])
def test_on_a_broker(broker, case): ...

@pytest.mark.matrix
def test_of_the_matrix(): ...

@pytest.mark.slow
def test_slow(): ...

def test_of_a_rule(): ...

def test_with_a_server(request, kafka): ...

@pytest.fixture
def kafka(): ...
"""
_MATRIX_LINE = "left out of the matrix (`make acceptance` runs all): 4 cases"


def _run(folder: Path, *options: str) -> list[str]:
    """The lines of a run of tests with these options, without empty ones."""
    (folder / "test_it.py").write_text(_TESTS)
    (folder / "pytest.ini").write_text(
        "[pytest]\naddopts = --strict-markers\nmarkers =\n  matrix: m\n  slow: s\n  kafka: k\n"
    )
    plugins = ["-p", "tests.fixtures_servers", "-p", "tests.matrix"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", *plugins, "-p", "no:cacheprovider", *options, str(folder)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if line.strip()]


def _passed(lines: list[str]) -> set[str]:
    """The tests that passed: without workers a test's name comes before the word, with workers after it."""
    told = [line for line in lines if "PASSED" in line]
    return {line.split("::")[1].split()[0] for line in told}


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"])
def test_cases_of_the_matrix_are_left_out_and_the_last_line_says_so(tmp_path: Path, workers: str) -> None:
    told = _run(tmp_path, "-n", workers)
    assert _passed(told) == {
        "test_on_a_broker[kafka-a]",
        "test_slow",
        "test_of_a_rule",
        "test_with_a_server",
    }
    assert told[-1] == _MATRIX_LINE


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_whole_matrix_says_nothing(tmp_path: Path, workers: str) -> None:
    told = _run(tmp_path, "--matrix", "-n", workers)
    assert len(_passed(told)) == 8
    assert "passed" in told[-1]


@pytest.mark.slow
def test_a_fast_run_has_no_server_and_nothing_slow(tmp_path: Path) -> None:
    told = _run(tmp_path, "--fast", "-n", "2")
    assert _passed(told) == {"test_of_a_rule"}
    assert told[-2:] == [
        "left out of the matrix (`make acceptance` runs all): 1 case",
        "left out because of a server or as slow (`make test` runs all): 6 cases",
    ]


def test_each_kind_of_server_is_used_without_the_matrix(request: pytest.FixtureRequest) -> None:
    options = request.config.option
    if options.matrix or options.fast or request.config.args != request.config.getini("testpaths"):
        pytest.skip("needs the tests of `make test`, all of them")
    used = Counter(server for item in request.session.items for server in servers_of(item))
    assert {server: used[server] for server in SERVERS if used[server] < 5} == {}
