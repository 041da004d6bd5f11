"""What Sluice creates is readable only by its user, or by the group if a setting says so."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.process.start import begin_process
from resources.security import private_files
from resources.security.private_files import as_the_user_likes, keep_files_private, tighten
from resources.settings import ROOT, SettingsError, load_settings


@pytest.fixture(autouse=True)
def umask(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(private_files, "_umask_before", None)
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


@pytest.mark.parametrize(
    ("access", "file", "folder"),
    [("none", "0o600", "0o700"), ("read", "0o640", "0o750"), ("write", "0o660", "0o770")],
)
def test_new_files_are_for_the_user_and_for_the_group_that_a_setting_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, access: str, file: str, folder: str
) -> None:
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SLUICE_GROUP_ACCESS", access)
    begin_process()
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert (mode(tmp_path / "file"), mode(tmp_path / "folder")) == (file, folder)


def test_a_draft_has_the_rights_that_an_editor_gives_it(tmp_path: Path) -> None:
    keep_files_private()
    (tmp_path / "draft.py").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "draft.py", tmp_path / "folder"):
        as_the_user_likes(path)
    assert (mode(tmp_path / "draft.py"), mode(tmp_path / "folder")) == ("0o644", "0o755")


def test_what_an_earlier_version_left_open_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, store, other = tmp_path / "home", tmp_path / "store", tmp_path / "other"
    for folder in (home / "dagster", store, other):
        folder.mkdir(parents=True)
    (home / "servers.json").write_text("{}")
    (store / ".store.json").touch()
    monkeypatch.setenv("SLUICE_HOME", str(home))
    monkeypatch.setenv("SLUICE_SNAPSHOTS", str(store))
    begin_process()
    assert [mode(one) for one in (home / "dagster", home / "servers.json", store)] == [
        "0o700",
        "0o600",
        "0o700",
    ]
    # The folder of the settings may be one of the user's own.
    assert mode(home) == mode(other) == "0o755"


@pytest.mark.parametrize(
    ("before", "access", "after"),
    [
        (0o755, "none", "0o700"),
        (0o2775, "none", "0o2770"),  # shared on purpose
        (0o775, "read", "0o750"),
        (0o777, "write", "0o770"),
        (0o1777, "none", "0o1777"),  # everybody's
        (0o500, "none", "0o500"),
    ],
)
def test_a_folder_that_is_shared_on_purpose_keeps_its_group(
    tmp_path: Path, before: int, access: private_files.GroupAccess, after: str
) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    folder.chmod(before)
    tighten(folder, access)
    assert mode(folder) == after
    tighten(tmp_path / "none", access)


def test_an_access_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="group_access='all'; allowed: none, read, write"):
        load_settings({"SLUICE_HOME": str(tmp_path), "SLUICE_GROUP_ACCESS": "all"})


def test_servers_and_their_files_are_the_users_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    environ = {**os.environ, "SLUICE_HOME": str(home), "SLUICE_KAFKA_SASL_PASSWORD": "zebraball"}
    sluice = [sys.executable, "-m", "pipelines.cli"]
    try:
        subprocess.run([*sluice, "up", "--no-sample"], env=environ, cwd=ROOT, check=True, capture_output=True)
        found = [path for path in home.rglob("*") if not path.is_symlink()]
        assert len(found) > 5
        assert [path for path in found if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
        assert mode(home) == "0o700"
        for folder in home.glob("servers/*"):
            pid = json.loads((folder / "process.json").read_text())["pid"]
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            assert b"zebraball" not in environment and b"SLUICE_" not in environment
    finally:
        subprocess.run([*sluice, "down"], env=environ, cwd=ROOT, check=True, capture_output=True)
