"""A run's configuration may name files below the project or in the snapshot store;
other files are not read."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest

from pipelines.orchestration.windows.run_files import allowed_file
from resources.errors import SluiceError
from resources.platform import Platform
from resources.settings import find_project
from resources.snapshots import SnapshotStore
from tests.pipelines.orchestration.test_dead_letters import here, instance, run
from tests.pipelines.publishing.conftest import World, embedded_world
from tests.pipelines.publishing.test_redrive import ROWS

__all__ = ["embedded_world", "here", "instance"]


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A project, a store of this machine, and a folder in another place; in each a file `keys`."""
    made = SimpleNamespace(**{name: tmp_path / name for name in ("project", "store", "elsewhere")})
    for folder in (made.project, made.store, made.elsewhere):
        folder.mkdir()
        (folder / "keys").write_text("k1\n")
    (made.project / "assets").mkdir()
    (made.project / "sluice.toml").touch()
    monkeypatch.setenv("SLUICE_TOML", str(made.project / "sluice.toml"))
    yield made


def platform(store: object) -> Platform:
    root = find_project().root
    settings = SimpleNamespace(home=root / "home", secret_files={root / "password"})
    return cast(Platform, SimpleNamespace(snapshots=SnapshotStore(str(store)), settings=settings))


def test_files_of_the_project_and_of_the_store_are_read(places: SimpleNamespace) -> None:
    here = platform(places.store)
    assert allowed_file("keys_file", "", here) == ""
    for address in ("keys", str(places.project / "keys"), f"file://{places.project}/keys"):
        assert allowed_file("keys_file", address, here) == str(places.project / "keys")
    kept = here.snapshots.keep_text("keys", "k1\n")
    assert allowed_file("keys_file", kept, here) == kept
    (places.project / "link").symlink_to(places.store / "keys")
    assert allowed_file("keys_file", "link", here) == str(places.store / "keys")


def test_of_sluices_home_a_run_reads_the_store_alone(
    places: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(places.project / "instance"))
    for name in ("home/snapshots/keys", "home/dagster/dagster.yaml", "instance/dagster.yaml"):
        (places.project / name).parent.mkdir(parents=True, exist_ok=True)
        (places.project / name).write_text("x")
    within = platform(places.project / "home/snapshots")
    kept = str(places.project / "home/snapshots/keys")
    assert allowed_file("keys_file", "home/snapshots/keys", within) == kept
    for name in (
        "home/dagster/dagster.yaml",
        "home/snapshots/../dagster/dagster.yaml",
        "instance/dagster.yaml",
    ):
        with pytest.raises(SluiceError, match="a run reads no file from there"):
            allowed_file("keys_file", name, within)


@pytest.mark.parametrize("environment", ["", "stage"])
@pytest.mark.parametrize("store", ["store", "project", "project/.sluice/environments/stage/snapshots"])
def test_what_belongs_to_another_environment_is_not_read_whatever_environment_is_chosen(
    places: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, environment: str, store: str
) -> None:
    (places.project / "sluice.toml").write_text(
        '[kafka]\n"ssl.key.location" = "kafka.pem"\n[registry]\n"basic.auth.user.info_file" = "login"\n'
        '[env.stage]\nhome = "stage-home"\n'
        '[env.prod-eu]\nhome = "prod-home"\n[env.prod-eu.kafka]\nsasl.password_file = "secrets/prod"\n'
    )
    monkeypatch.chdir(places.project / "assets")
    monkeypatch.setenv("SLUICE_PROD_EU_REGISTRY_BASIC_AUTH_USER_INFO_FILE", "../prod-login")
    monkeypatch.setenv("SLUICE_HOME", str(places.project / "machine"))
    if environment:
        monkeypatch.setenv("SLUICE_ENV", environment)
    names = [
        "kafka.pem",
        "login",
        "secrets/prod",
        "prod-login",
        "machine/dagster/dagster.yaml",
        "machine/environments/prod-eu/snapshots/keys",
        "stage-home/dagster/dagster.yaml",
        "prod-home/snapshots/keys",
        ".sluice/dagster/dagster.yaml",
        ".sluice/environments/prod-eu/servers.json",
    ]
    for name in names:
        (places.project / name).parent.mkdir(parents=True, exist_ok=True)
        (places.project / name).write_text("zebra")
    here = platform(places.project.parent / store)
    for name in names:
        with pytest.raises(SluiceError, match="a run reads no file from there"):
            allowed_file("keys_file", name, here)
    assert allowed_file("keys_file", "keys", here) == str(places.project / "keys")


def test_a_home_may_be_the_projects_folder(places: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    for home in (places.project, places.project.parent):
        monkeypatch.setenv("SLUICE_HOME", str(home))
        assert allowed_file("keys_file", "keys", platform(places.store)) == str(places.project / "keys")
    (places.project / "environments/prod").mkdir(parents=True)
    (places.project / "environments/prod/keys").touch()
    monkeypatch.setenv("SLUICE_HOME", str(places.project))
    with pytest.raises(SluiceError, match="a run reads no file from there"):
        allowed_file("keys_file", "environments/prod/keys", platform(places.store))


@pytest.mark.parametrize(
    "address",
    [
        "{elsewhere}/keys",
        "{project}/../elsewhere/keys",
        "../elsewhere/keys",
        "{elsewhere}/none",
        "{project}elsewhere",
        "file://{elsewhere}/keys",
        "FILE://{elsewhere}/keys",
        "local://{elsewhere}/keys",
        "file://localhost{elsewhere}/keys",
        "simplecache::file://{elsewhere}/keys",
        "file://{project}/keys::{elsewhere}/keys",
        "filecache::{project}/keys",
        "http://127.0.0.1:1/keys",
        "s3://bucket/keys",
        "memory://keys",
        "/proc/self/environ",
        "/etc/passwd",
        "link-out",
        "folder-out/keys",
        "sluice.toml",
        "password",
        ".git/config",
        ".env.production",
        "\x00",
    ],
)  # fmt: skip
def test_no_other_file_is_read_and_the_error_says_what_is_allowed(
    places: SimpleNamespace, address: str
) -> None:
    (places.project / "link-out").symlink_to(places.elsewhere / "keys")
    (places.project / "folder-out").symlink_to(places.elsewhere)
    for name in ("sluice.toml", ".git/config", ".env.production"):
        (places.project / name).parent.mkdir(exist_ok=True)
        (places.project / name).write_text("# k1\n")
    with pytest.raises(SluiceError) as raised:
        allowed_file("plan_file", address.format(**vars(places)), platform(places.store))
    assert "plan_file" in raised.value.where
    assert str(places.project) in str(raised.value.allowed) and str(places.store) in str(raised.value.allowed)


@pytest.mark.parametrize("kind", ["folder", "fifo", "missing"])
def test_what_is_no_file_is_refused_and_waits_for_nobody(places: SimpleNamespace, kind: str) -> None:
    if kind == "fifo":
        os.mkfifo(places.project / "x")
    elif kind == "folder":
        (places.project / "x").mkdir()
    with pytest.raises(SluiceError, match=r"no regular file|no such file"):
        allowed_file("keys_file", "x", platform(places.store))


def test_of_a_remote_store_its_own_files_are_read(places: SimpleNamespace) -> None:
    here = platform("memory://store/snapshots")
    kept = here.snapshots.keep_text("keys", "k1\n")
    assert allowed_file("keys_file", kept, here) == kept
    assert allowed_file("keys_file", "keys", here) == str(places.project / "keys")
    outside = kept.partition("/snapshots/")[0]
    for address in (
        f"{outside}/keys",
        f"{outside}/snapshots/../keys",
        f"{outside}/snapshots2/keys",
        str(places.store),
    ):
        with pytest.raises(SluiceError, match="a run reads no file from there"):
            allowed_file("keys_file", address, here)


@pytest.mark.parametrize("option", ["keys_file", "plan_file"])
def test_a_run_of_a_file_elsewhere_fails_before_its_first_window(
    here: World, instance: dg.DagsterInstance, tmp_path: Path, option: str
) -> None:
    here.rows(ROWS)
    assert run(here, instance).success
    (tmp_path / "elsewhere").write_text("zebra\n")
    config: dict[str, Any] = {option: str(tmp_path / "elsewhere"), "reason": "x"}
    if option == "keys_file":
        config["replay"] = "stored"
    failed = run(here, instance, **config)
    (failure,) = (one.step_failure_data for one in failed.all_events if one.is_step_failure)
    assert "a run reads no file from there" in str(failure) and "zebra" not in str(failure)
    assert not failed.get_asset_check_evaluations()
