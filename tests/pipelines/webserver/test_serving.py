"""Which web server the commands start, and with which options."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import pipelines.webserver.serving as serving
from pipelines.cli.root import sluice
from resources.errors import SluiceError
from resources.settings import ROOT

_ENTRY = str(ROOT / "pipelines/webserver/__main__.py")


@pytest.fixture
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("SLUICE_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    for name, value in {
        "SLUICE_HOME": str(tmp_path / "home"),
        "SLUICE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "SLUICE_REGISTRY_URL": "http://127.0.0.1:1",
        # Set by the commands for their children; gone again after the test.
        "DAGSTER_HOME": "",
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        "DAGSTER_WEBSERVER_READ_ONLY": "",
        "PYTHONWARNINGS": "ignore",
    }.items():
        monkeypatch.setenv(name, value)


def _developed(monkeypatch: pytest.MonkeyPatch, *commands: list[str]) -> list[Sequence[str]]:
    """What is started where `dagster dev` starts these commands."""
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
    assert os.environ["DAGSTER_WEBSERVER_READ_ONLY"] == "true"


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
    monkeypatch.setattr(serving, "serve", lambda options: served.append(list(options)))
    told = CliRunner().invoke(sluice, ["webserver", *given], catch_exceptions=False)
    assert (told.exit_code, told.output, served) == (0, "", [[*added, *given]])


@pytest.mark.usefixtures("own_settings")
def test_webserver_warns_and_refuses_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[list[str]] = []
    monkeypatch.setattr(serving, "serve", served.append)
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
