"""Dagster's storage and the snapshot store contain no secret, whatever a run ends with."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import dagster as dg
import pytest

from pipelines.orchestration.stored_errors import guard_stored_errors
from pipelines.orchestration.windows import run as run_of_windows
from pipelines.publishing.publisher import Publisher
from resources.errors import SluiceError, TransientError
from resources.security.masking import STARS, Secret
from resources.security.outlets import _Records
from resources.security.secrets import learn
from tests.pipelines.orchestration.test_dead_letters import here, instance, run
from tests.pipelines.publishing.conftest import World, embedded_world
from tests.pipelines.publishing.test_redrive import ROWS

__all__ = ["embedded_world", "here", "instance"]


@pytest.fixture(autouse=True)
def guarded() -> Iterator[None]:
    guard_stored_errors()
    learn([Secret("zebraball", "me")])
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(_Records(before))
    yield
    logging.setLogRecordFactory(before)


def stored(*folders: Path) -> bytes:
    return b"".join(path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file())


class Unreadable(Exception):
    """Its text is not in its arguments."""

    def __str__(self) -> str:
        return "no login for me:zebraball@db (bWU6emVicmFiYWxs)"


def caused() -> Exception:
    try:
        raise Unreadable
    except Unreadable as inner:
        try:
            raise KeyError("zebraball") from inner
        except KeyError as outer:
            return outer


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("require_fit", Unreadable),
        ("require_fit", caused),
        ("require_fit", partial(TransientError, "warehouse", "zebraball")),
        ("publish", Unreadable),
        ("publish", caused),
        ("publish", partial(SluiceError, "zebraball", "zebraball", next_step="zebraball")),
        ("transform", Unreadable),
    ],
)
def test_a_run_that_fails_stores_no_secret(
    here: World,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    place: str,
    error: Callable[[], Exception],
) -> None:
    here.define("raise ValueError('llabarbez'[::-1])" if place == "transform" else "return rows")
    here.rows(ROWS)

    def fails(*_: object) -> None:
        raise error()

    monkeypatch.setattr(run_of_windows, "_FIRST_WAIT_SECONDS", 0)
    if place != "transform":
        monkeypatch.setattr(Publisher, place, fails)
    result = run(here, instance)
    assert not result.success
    (failure,) = (one.step_failure_data for one in result.all_events if one.is_step_failure)
    assert STARS in str(failure)
    kept = stored(tmp_path, Path(instance.root_directory))
    assert b"zebra" not in kept and b"emVicmE" not in kept
    assert STARS.encode() in kept


def test_a_stack_is_stored_as_it_is_where_it_holds_no_secret(
    here: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.rows(ROWS)

    def fails(*_: object) -> None:
        raise LookupError("the defect")

    monkeypatch.setattr(Publisher, "require_fit", fails)
    (failure,) = (one.step_failure_data for one in run(here, instance).all_events if one.is_step_failure)
    told = str(failure.error)
    assert "LookupError: the defect" in told and "in fails" in told and STARS not in told
