"""Which web server the commands start, and with which options."""

import inspect
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from click.testing import CliRunner

import pipelines.webserver.serving as serving
from pipelines.cli.actions import webserver as action
from pipelines.cli.root import sluice
from pipelines.webserver.__main__ import instead_of_dagsters
from resources.errors import SluiceError
from resources.settings import ROOT

_ENTRY = str(ROOT / "pipelines/webserver/__main__.py")

DESTINATION = "Environment not chosen: Kafka 127.0.0.1:1, registry http://127.0.0.1:1, no topic prefix\n"


@pytest.fixture
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("SLUICE_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    for name, value in {
        "SLUICE_HOME": str(tmp_path / "home"),
        "SLUICE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "SLUICE_REGISTRY_URL": "http://127.0.0.1:1",
        # The commands set it for their child processes; it is removed after the test.
        "DAGSTER_HOME": "",
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        "DAGSTER_WEBSERVER_READ_ONLY": "",
        "DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR": "",
        "PYTHONWARNINGS": "ignore",
    }.items():
        monkeypatch.setenv(name, value)


def _developed(monkeypatch: pytest.MonkeyPatch, *commands: list[str]) -> list[Sequence[str]]:
    """What is started when `dagster dev` starts these commands."""
    dev = import_module("dagster._cli.dev")
    started: list[Sequence[str]] = []

    class Command:
        def main(self, arguments: list[str], **_: Any) -> None:
            assert arguments == ["-p", "1"]
            for command in commands:
                dev.open_ipc_subprocess(command)

    monkeypatch.setattr(dev, "open_ipc_subprocess", lambda parts, **_: started.append(parts))
    monkeypatch.setattr(dev, "dev_command", Command())
    serving.develop(["-p", "1"])
    return started


def test_dagster_dev_starts_the_guarded_web_server_and_its_own_daemon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    daemon = [sys.executable, "-m", "dagster._daemon", "run"]
    started = _developed(monkeypatch, [sys.executable, "-m", "dagster_webserver", "--port", "1"], daemon)
    assert started == [[sys.executable, "-P", _ENTRY, "--port", "1"], daemon]


def test_the_code_servers_of_dagster_dev_are_watched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    watched: Queue[Path] = Queue()
    monkeypatch.setattr(serving, "keep_code_servers", lambda workspace, _: watched.put(workspace))
    workspace = ["--instance-ref", "{}", "--workspace", str(tmp_path / "workspace.yaml")]
    _developed(monkeypatch, [sys.executable, "-m", "dagster._daemon", "run", *workspace])
    assert watched.get(timeout=30) == tmp_path / "workspace.yaml"


def test_a_dagster_that_starts_its_web_server_in_another_way_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SluiceError, match="would run without the guard; next: install the versions"):
        _developed(monkeypatch, ["dagster-webserver", "--port", "1"])


@pytest.mark.usefixtures("own_settings")
def test_ui_starts_dagster_dev_with_the_guard_and_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, command: started.append(command))
    plain = CliRunner().invoke(sluice, ["ui", "--port", "4001"], catch_exceptions=False)
    assert plain.exit_code == 0 and "Warning" not in plain.output
    assert started[0][:4] == [sys.executable, "-P", _ENTRY, "dev"]
    assert not os.environ["DAGSTER_WEBSERVER_READ_ONLY"]
    told = CliRunner().invoke(sluice, ["ui", "--read-only", "--host", "0.0.0.0"], catch_exceptions=False)
    assert "Warning: the web server listens on 0.0.0.0 and has no login" in told.stderr
    assert os.environ["DAGSTER_WEBSERVER_READ_ONLY"] == "true"  # type: ignore[comparison-overlap]


@pytest.mark.usefixtures("own_settings")
def test_backfills_of_the_ui_wait_for_a_code_server_that_is_started_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dagster's daemon fails a backfill that it checks in the meantime,
    unless an environment variable of its own forbids that."""
    variable = "DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR"
    assert variable in inspect.getsource(import_module("dagster._core.execution.asset_backfill"))
    monkeypatch.delenv(variable)
    monkeypatch.setattr(os, "execv", lambda *_: None)
    assert CliRunner().invoke(sluice, ["ui"], catch_exceptions=False).exit_code == 0
    assert os.environ[variable] == "1"


@pytest.mark.usefixtures("own_settings")
@pytest.mark.parametrize(
    ("given", "added"),
    [
        ([], ["-w", str(ROOT / "workspace.yaml")]),
        (["-h", "::1", "-p", "1", "--read-only"], ["-w", str(ROOT / "workspace.yaml")]),
        (["-w", str(ROOT / "workspace.yaml"), "--path-prefix", "/x"], []),
        (["-fdefs.py", "--host=127.0.0.2"], []),
        (["--empty-workspace"], []),
        (["--grpc-port", "4000"], []),
    ],
)
def test_webserver_passes_every_option_on(
    given: list[str], added: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[list[str]] = []
    monkeypatch.setattr(action, "serve", lambda options: served.append(list(options)))
    told = CliRunner().invoke(sluice, ["webserver", *given], catch_exceptions=False)
    assert (told.exit_code, told.stdout, served) == (0, "", [[*added, *given]])
    assert told.stderr == DESTINATION


@pytest.mark.usefixtures("own_settings")
def test_ui_says_where_its_runs_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "execv", lambda *_: None)
    assert DESTINATION in CliRunner().invoke(sluice, ["ui"], catch_exceptions=False).stderr


@pytest.mark.usefixtures("own_settings")
def test_webserver_warns_and_refuses_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[list[str]] = []
    monkeypatch.setattr(action, "serve", served.append)
    monkeypatch.setenv("DAGSTER_WEBSERVER_HOST", "10.0.0.5")
    told = CliRunner().invoke(sluice, ["webserver"])
    assert "listens on 10.0.0.5" in told.stderr
    told = CliRunner().invoke(sluice, ["webserver", "-h", "10.0.0.6", "--read-only"])
    assert "listens on 10.0.0.6" in told.stderr and "launch" not in told.stderr
    assert CliRunner().invoke(sluice, ["webserver", "--prot", "1"]).exit_code == 2
    monkeypatch.setenv("SLUICE_UI_HOSTS", "https://sluice.example")
    for name in ("webserver", "ui"):
        told = CliRunner().invoke(sluice, [name])
        assert told.exit_code == 1
        assert "'https://sluice.example' is not a host" in " ".join(told.stderr.split())
    assert len(served) == 2


def test_a_process_that_was_started_deaf_to_signals_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script's background jobs ignore SIGINT, and in Dagster SIGTERM does the same as SIGINT."""
    heard: list[object] = []
    monkeypatch.setattr(serving, "develop", lambda _: heard.append(signal.getsignal(signal.SIGINT)))
    monkeypatch.setattr("resources.security.outlets.guard_outlets", lambda: None)
    monkeypatch.setattr(sys, "argv", ["webserver", "dev"])
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import_module("pipelines.webserver.__main__").main()
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.default_int_handler]


@pytest.mark.parametrize(
    ("options", "warns"),
    [(["-h", "0.0.0.0"], True), (["-p", "1"], False), (["--help"], False), (["--no"], False)],
)
def test_the_script_of_dagsters_name_serves_behind_the_guard(
    options: list[str], warns: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served: list[list[str]] = []
    monkeypatch.setattr(serving, "serve", served.append)
    monkeypatch.setattr(sys, "argv", ["dagster-webserver", *options])
    instead_of_dagsters()
    told = capsys.readouterr()
    assert served == [options]
    assert told.out == "" and told.err.startswith("Warning: the web server listens on 0.0.0.0") is warns


@pytest.mark.usefixtures("own_settings")
@pytest.mark.parametrize("named_by", ["variable", "file", "settings file", "nothing"])
def test_only_a_home_that_a_variable_names_is_passed_to_every_project(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named_by: str
) -> None:
    """A workspace may have the code locations of several projects, each with its own home."""
    project = tmp_path / "project"
    (project / "assets").mkdir(parents=True)
    (project / "workspace.yaml").write_text("load_from: []\n")
    (project / "sluice.toml").write_text('home = "own"\n' if named_by == "settings file" else "")
    monkeypatch.chdir(project)
    monkeypatch.delenv("SLUICE_HOME")
    monkeypatch.delenv("DAGSTER_HOME")
    if named_by == "variable":
        monkeypatch.setenv("SLUICE_HOME", "here")
    if named_by == "file":
        (project / "home.txt").write_text("here\n")
        monkeypatch.setenv("SLUICE_HOME_FILE", "home.txt")
    environ = dict(os.environ)
    passed: dict[str, str] = {}
    monkeypatch.setattr(os, "execv", lambda *_: passed.update(os.environ))
    try:
        assert CliRunner().invoke(sluice, ["ui"], catch_exceptions=False).exit_code == 0
    finally:
        os.environ.clear()
        os.environ.update(environ)
    home = str(project / "here") if named_by in ("variable", "file") else None
    assert passed.get("SLUICE_HOME") == home
    assert "SLUICE_HOME_FILE" not in passed
