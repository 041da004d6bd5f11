"""Which project a process works for:
found from any of its folders, by SLUICE_TOML, and never somebody else's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from resources.settings import ROOT, SettingsError, assets_folder, find_project, load_settings
from resources.settings import project as project_module


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SLUICE_")]:
        monkeypatch.delenv(name)


def made(folder: Path, toml: str = "") -> Path:
    """A project in `folder`."""
    (folder / "assets" / "shop").mkdir(parents=True)
    (folder / "sluice.toml").write_text(toml)
    return folder


def test_a_project_is_found_from_each_of_its_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = made(tmp_path / "p")
    for folder in (project, project / "assets", project / "assets" / "shop"):
        monkeypatch.chdir(folder)
        assert find_project().root == project
        assert load_settings().assets == assets_folder() == project / "assets"
        assert load_settings().home == project / ".sluice"


def test_the_nearest_project_is_the_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path / "outer")
    inner = made(tmp_path / "outer" / "inner")
    monkeypatch.chdir(inner / "assets")
    assert find_project().root == inner


def test_outside_of_every_project_it_is_sluices_own_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_project().root == ROOT
    assert assets_folder() == ROOT / "assets"


def test_a_settings_file_above_sluices_own_tree_is_not_that_of_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    (tree / "assets").mkdir(parents=True)
    (tmp_path / "sluice.toml").write_text("this is not toml")
    monkeypatch.setattr(project_module, "ROOT", tree)
    monkeypatch.chdir(tree / "assets")
    assert find_project().root == tree


def test_an_installed_package_has_no_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site-packages"
    (site / "assets").mkdir(parents=True)  # somebody else's package with this name
    monkeypatch.setattr(project_module, "ROOT", site)
    monkeypatch.chdir(tmp_path)
    assert find_project().root == tmp_path
    assert assets_folder() == tmp_path / "assets"


def test_sluice_toml_names_a_project_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, other = made(tmp_path / "p"), made(tmp_path / "other")
    monkeypatch.chdir(other)
    monkeypatch.setenv("SLUICE_TOML", str(project / "sluice.toml"))
    assert find_project().root == project
    assert assets_folder() == project / "assets"


def test_a_settings_file_without_events_beside_it_is_one_for_sluices_own_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prod.toml").write_text("batch_rows = 7")
    monkeypatch.setenv("SLUICE_TOML", str(tmp_path / "prod.toml"))
    assert (find_project().root, load_settings().batch_rows) == (ROOT, 7)


def test_the_folder_of_the_events_is_relative_to_the_file_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "sluice.toml").write_text('assets = "../events"')
    monkeypatch.setenv("SLUICE_TOML", str(tmp_path / "etc" / "sluice.toml"))
    assert load_settings().assets.resolve() == tmp_path / "events"
    assert find_project().root == tmp_path / "etc"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLUICE_ASSETS", "here")
    assert load_settings().assets == tmp_path / "here"


def test_a_child_finds_the_project_of_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for a project whose events are in another place, and wherever the child starts."""
    project = made(tmp_path / "p")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(project / "assets")
    told = subprocess.run(
        [sys.executable, "-c", "from resources.settings import find_project; print(find_project().root)"],
        env={**os.environ, **find_project().environment(), "PYTHONPATH": str(ROOT)},
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == str(project)


def test_a_file_of_another_user_above_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = made(tmp_path / "p")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 4711)
    if (project / "sluice.toml").stat().st_uid == 0:
        os.chown(project / "sluice.toml", 4712, -1)
    monkeypatch.chdir(project / "assets")
    with pytest.raises(SettingsError, match=r"belongs to another user.*SLUICE_TOML="):
        find_project()
    monkeypatch.chdir(project)  # the user's own choice
    assert find_project().root == project


@pytest.mark.parametrize("foreign", ["link", "target", "folder", "assets", "named", "named target"])
def test_whatever_of_a_project_above_belongs_to_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, foreign: str
) -> None:
    """A link hides its target's owner, and the modules are code: each part has to be this user's or root's."""
    project, elsewhere = made(tmp_path / "p"), tmp_path / "elsewhere"
    (project / "sluice.toml").rename(tmp_path / "real.toml")
    (project / "sluice.toml").symlink_to(tmp_path / "real.toml")
    (tmp_path / "real.toml").write_text('assets = "events"')
    elsewhere.mkdir()
    (project / "events").symlink_to(elsewhere)
    place = {
        "link": project / "sluice.toml",
        "target": tmp_path / "real.toml",
        "folder": project,
        "assets": project / "assets",
        "named": project / "events",
        "named target": elsewhere,
    }[foreign]

    real_stat = Path.stat

    def stat_of(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        """As if only `place` belonged to another user, and the rest to root."""
        found = list(real_stat(path, follow_symlinks=follow_symlinks))
        seen = Path(os.path.realpath(path)) if follow_symlinks else path
        found[4] = 4711 if seen == place else 0
        return os.stat_result(found)

    monkeypatch.chdir(project / "assets" / "shop")
    assert find_project().root == project
    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", stat_of)
        patched.setattr(Path, "lstat", lambda path: stat_of(path, follow_symlinks=False))
        with pytest.raises(SettingsError, match=r"belongs to another user.*SLUICE_TOML="):
            find_project()
        patched.setattr(os, "geteuid", lambda: 4711)
        assert find_project().root == project


def test_the_events_are_the_same_in_every_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = made(tmp_path / "p", "[env.stage]\nbatch_rows = 7\n")
    monkeypatch.chdir(project)
    monkeypatch.setenv("SLUICE_ENV", "stage")
    monkeypatch.setenv("SLUICE_ASSETS", str(tmp_path / "events"))
    assert (load_settings().assets, load_settings().batch_rows) == (tmp_path / "events", 7)
    monkeypatch.setenv("SLUICE_STAGE_ASSETS", str(tmp_path))
    with pytest.raises(SettingsError, match=r"SLUICE_STAGE_ASSETS: the events are the same ones"):
        load_settings()
    monkeypatch.delenv("SLUICE_STAGE_ASSETS")
    (project / "sluice.toml").write_text('[env.stage]\nassets = "x"\n')
    with pytest.raises(SettingsError, match=r"the events are the same ones"):
        load_settings()
