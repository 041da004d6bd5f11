"""If this machine cannot run a test's server,
the test is skipped with the reason, or fails if servers are required."""

import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from resources.dev.servers.files import write_json
from resources.dev.servers.process import OwnedProcess, spawn
from tests.fixtures_servers import RegistryServer, _end_orphans

ROOT = Path(__file__).resolve().parents[4]
ASKS = "tests/resources/dev/servers/test_brokers.py::test_a_topic_that_nobody_created_is_an_error"


def run(tmp_path: Path, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "JAVA_HOME")}
    kept.pop("SLUICE_REQUIRE_SERVERS", None)
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "--matrix",
            ASKS,
            f"--basetemp={tmp_path / 't'}",
            *options,
        ],
        cwd=ROOT,
        env={**kept, "PATH": str(tmp_path), **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_java_the_test_is_skipped_with_the_reason(tmp_path: Path) -> None:
    answer = run(tmp_path)
    assert answer.returncode == 0, answer.stdout
    assert "1 skipped" in answer.stdout
    assert "it needs Java 17 or newer" in answer.stdout


@pytest.mark.parametrize("env", [{"CI": "true"}, {"SLUICE_REQUIRE_SERVERS": "1"}])
def test_where_servers_are_required_it_fails(tmp_path: Path, env: dict[str, str]) -> None:
    answer = run(tmp_path, **env)
    assert answer.returncode == 1, answer.stdout
    assert "servers are required here" in answer.stdout
    assert "it needs Java 17 or newer" in answer.stdout


def test_a_server_of_a_killed_session_is_ended_by_the_next(
    embedded_registry: RegistryServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert embedded_registry.running.process.is_alive(), "its session, this one, lives"
    folder = tmp_path_factory.mktemp("orphan")
    orphan = spawn(
        [sys.executable, "-c", "import time; time.sleep(60)"], folder=folder, log=folder / "log", env={}
    )
    write_json(folder / "process.json", asdict(orphan))
    write_json(folder / "owner.json", asdict(OwnedProcess(os.getpid(), "an earlier start of this pid")))
    _end_orphans(tmp_path_factory)
    assert not orphan.is_alive()
    assert embedded_registry.running.process.is_alive()


def test_asking_for_the_fixture_marks_the_test(tmp_path: Path) -> None:
    answer = run(tmp_path, "-m", "not kafka")
    assert answer.returncode == 5, answer.stdout
    assert "1 deselected" in answer.stdout
