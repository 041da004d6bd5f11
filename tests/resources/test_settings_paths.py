"""Paths in settings when the working directory was deleted, or when a user's home folder is not known."""

import os
from pathlib import Path

import pytest

from pipelines.project.start import start_project
from resources.settings import SettingsError, assets_folder, find_project, load_settings
from resources.settings.files import read_toml


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SLUICE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, which exists no more."""
    folder = tmp_path / "deleted"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PWD", str(folder))
    folder.rmdir()
    return folder


def test_a_deleted_working_directory_is_named(deleted: Path, tmp_path: Path) -> None:
    toml = tmp_path / "sluice.toml"
    toml.touch()
    for environ in (
        {},
        {"SLUICE_TOML": "sluice.toml"},
        {"SLUICE_TOML": str(toml), "SLUICE_HOME": "home"},
        {"SLUICE_TOML": str(toml), "SLUICE_WAREHOUSE_DEFAULT": "duckdb://a.duckdb"},
        {"SLUICE_TOML": str(toml), "SLUICE_KAFKA_SASL_PASSWORD_FILE": "pw"},
        {"SLUICE_TOML": str(toml), "SLUICE_ASSETS": "events"},
    ):
        with pytest.raises(SettingsError, match=rf"{deleted}: .*deleted.*next: .*SLUICE_TOML=/"):
            load_settings(environ)
    with pytest.raises(SettingsError, match=str(deleted)):
        start_project(Path("new"))


@pytest.mark.usefixtures("deleted")
def test_absolute_paths_need_no_working_directory(tmp_path: Path) -> None:
    (tmp_path / "sluice.toml").touch()
    (tmp_path / "pw").write_text("zebra")
    environ = {
        "SLUICE_TOML": str(tmp_path / "sluice.toml"),
        "SLUICE_HOME": str(tmp_path / "home"),
        "SLUICE_ASSETS": str(tmp_path / "events"),
        "SLUICE_BATCH_ROWS": "7",
        "SLUICE_WAREHOUSE_DEFAULT": f"duckdb://{tmp_path}/a.duckdb",
        "SLUICE_KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "pw"),
    }
    found = load_settings(environ)
    assert (found.home, found.assets) == (tmp_path / "home", tmp_path / "events")
    assert (found.batch_rows, found.kafka["sasl.password"]) == (7, "zebra")


@pytest.mark.parametrize(
    "name",
    ["SLUICE_TOML", "SLUICE_HOME", "SLUICE_ASSETS", "SLUICE_SNAPSHOTS", "SLUICE_KAFKA_SASL_PASSWORD_FILE"],
)
def test_a_user_that_does_not_exist_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "sluice.toml").touch()
    environ = {"SLUICE_TOML": str(tmp_path / "sluice.toml"), name: "~nosuchuser/x"}
    with pytest.raises(SettingsError, match=rf"{name}.*~nosuchuser is not known; next: "):
        load_settings(environ)


def test_a_user_that_does_not_exist_is_named_for_a_key_and_for_a_new_project(tmp_path: Path) -> None:
    (tmp_path / "sluice.toml").write_text('assets = "~nosuchuser/x"')
    with pytest.raises(SettingsError, match=r"sluice\.toml: assets: .*~nosuchuser is not known"):
        assets_folder({"SLUICE_TOML": str(tmp_path / "sluice.toml")})
    with pytest.raises(SettingsError, match=r"~nosuchuser is not known"):
        start_project(Path("~nosuchuser/x"))


def test_a_settings_file_is_a_regular_file(tmp_path: Path) -> None:
    """Nobody waits for a pipe, and no folder is taken for settings."""
    os.mkfifo(tmp_path / "sluice.toml")
    for file in (tmp_path / "sluice.toml", tmp_path):
        with pytest.raises(SettingsError, match=r"SLUICE_TOML=.*: is not a regular file"):
            find_project({"SLUICE_TOML": str(file)})
    with pytest.raises(SettingsError, match="there is no such file"):
        find_project({"SLUICE_TOML": str(tmp_path / "none")})
    with pytest.raises(SettingsError, match="cannot be read"):
        find_project({"SLUICE_TOML": str(tmp_path / ("x" * 300))})


def test_a_pipe_in_the_place_of_the_settings_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "sluice.toml")
    with pytest.raises(SettingsError, match=r"sluice\.toml: is not a regular file"):
        read_toml(tmp_path / "sluice.toml")
