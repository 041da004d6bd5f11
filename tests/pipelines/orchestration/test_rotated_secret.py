"""A secret that is rotated while a run publishes is used from the next window on."""

import json
from pathlib import Path

import dagster as dg
import pytest

from pipelines.authoring.catalogue import Catalogue
from pipelines.orchestration.launch import launch
from pipelines.run_events import RunEvent, WindowDone
from tests.pipelines.orchestration.test_dead_letters import here, instance
from tests.pipelines.publishing.conftest import WINDOW, World, embedded_world

__all__ = ["embedded_world", "here", "instance"]
ROTATED = "a secret in a file has changed"


@pytest.mark.parametrize("rotates", [True, False])
def test_connections_are_opened_again_between_two_windows(
    here: World, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rotates: bool
) -> None:
    file = tmp_path / "secret"
    file.write_text("before")
    monkeypatch.setenv("SLUICE_KAFKA_CLIENT_ID_FILE", str(file))
    here.rows([("k1", 1, 1), ("k2", 2, 2)])
    windows = here.event.windows.parse(f"{WINDOW}..2013-01-02")
    first = windows[0]

    def rotate(event: RunEvent) -> None:
        if rotates and isinstance(event, WindowDone) and event.window == first.key:
            file.write_text("behind")

    catalogue = Catalogue({here.event.full_name: here.event}, here.folder / "assets")
    done = launch(here.event, windows, instance, catalogue=catalogue, tell=rotate)

    assert done.success, done.why
    assert [one["rows_published"] for one in done.windows.values()] == [2, 0], json.dumps(
        dict(done.windows), default=str
    )
    log = [entry.message for entry in instance.all_logs(done.run_id)]
    assert sum(ROTATED in message for message in log) == rotates
    assert any(message.startswith("Environment not chosen: Kafka ") for message in log)
