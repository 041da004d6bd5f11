"""`sluice init`: what it writes, and that it overwrites nothing."""

import json
import os
import re
import shlex
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipelines.cli.root import sluice
from pipelines.project import start
from resources.settings import ROOT, load_settings


def init(folder: Path) -> Result:
    return CliRunner().invoke(sluice, ["init", str(folder)])


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_an_empty_folder_becomes_a_project(tmp_path: Path) -> None:
    told = init(tmp_path / "new" / "shop")
    assert told.exit_code == 0, told.output
    found = files(tmp_path / "new" / "shop")
    assert sorted(found) == [
        ".github/workflows/events.yml",
        ".gitignore",
        "Makefile",
        "README.md",
        "assets/__init__.py",
        "definitions.py",
        "pyproject.toml",
        "requirements-dev.txt",
        "requirements.txt",
        "sluice.toml",
        "tests/test_events.py",
        "workspace.yaml",
    ]
    assert found["README.md"].startswith(b"# shop\n")
    assert not [name for name, text in found.items() if b"@REQUIREMENT" in text or b"@NAME@" in text]


def test_nothing_is_overwritten_and_what_is_missing_is_written(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("mine\n")
    (tmp_path / "README.md").symlink_to("nowhere")
    told = init(tmp_path)
    assert told.exit_code == 0, told.output
    assert (tmp_path / "Makefile").read_text() == "mine\n"
    assert not (tmp_path / "nowhere").exists()
    assert "kept   " in told.output and (tmp_path / "sluice.toml").is_file()

    before = files(tmp_path)
    again = init(tmp_path)
    assert "Nothing was written" in again.output
    assert files(tmp_path) == before


def test_a_place_that_cannot_be_a_project_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    told = init(tmp_path / "file")
    assert told.exit_code == 1
    assert "cannot be written: Not a directory" in told.output and "next:" in told.output
    inside = init(ROOT / "shop")
    assert inside.exit_code == 1 and "is in Sluice's own tree" in inside.output
    assert not (ROOT / "shop").exists()


def test_a_name_that_is_not_utf_8_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    told = init(tmp_path / os.fsdecode(b"sh\xffop"))
    assert told.exit_code == 1 and "not UTF-8" in told.output and "next:" in told.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_a_usage_error(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(sluice, ["init", name])
    assert told.exit_code == 2 and "sluice init ." in told.output
    assert not list(tmp_path.iterdir())


def test_the_next_step_can_be_pasted(tmp_path: Path) -> None:
    folder = tmp_path / "my proj"
    assert f"  cd {shlex.quote(str(folder))}\n" in init(folder).output


@pytest.mark.parametrize(
    ("origin", "requirement"),
    [
        (None, "sluice==1.2.3"),
        ({"url": "file:///wheels/sluice-1.2.3.whl"}, "sluice @ file:///wheels/sluice-1.2.3.whl"),
        (
            {"url": "https://me:token@git.example.com/s.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "sluice @ git+https://git.example.com/s.git@abc",
        ),
        (
            {"url": "ssh://git@github.com/a/s.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "sluice @ git+ssh://git@github.com/a/s.git@abc",
        ),
        (
            {
                "url": "ssh://git:secret@github.com/a/s.git",
                "vcs_info": {"vcs": "git", "commit_id": "abc"},
                "subdirectory": "python/sluice",
            },
            "sluice @ git+ssh://github.com/a/s.git@abc#subdirectory=python/sluice",
        ),
        (
            {"url": "https://token@git.example.com/s.tar.gz", "archive_info": {}, "subdirectory": "a b"},
            "sluice @ https://git.example.com/s.tar.gz#subdirectory=a%20b",
        ),
    ],
)
def test_a_project_requires_the_sluice_that_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: object, requirement: str
) -> None:
    info = tmp_path / "sluice-1.2.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sluice\nVersion: 1.2.3\n")
    if origin:
        (info / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.setattr(start, "distribution", lambda _: PathDistribution(info))
    assert start.own_requirement() == requirement
    assert init(tmp_path / "p").exit_code == 0
    assert f"\n{requirement}\n" in (tmp_path / "p" / "requirements.txt").read_text()
    embedded = requirement.replace("sluice", "sluice[embedded]", 1)
    assert f"\n{embedded}\n" in (tmp_path / "p" / "requirements-dev.txt").read_text()


def test_what_the_settings_file_shows_in_comments_is_read(tmp_path: Path) -> None:
    assert init(tmp_path / "p").exit_code == 0
    file = tmp_path / "p" / "sluice.toml"
    shown = [line[2:] for line in file.read_text().splitlines() if re.match(r"# (\[|[\"a-z_.]+ = )", line)]
    file.write_text("\n".join(shown))
    for environment, servers in (("", "kafka-1:9092,kafka-2:9092"), ("stage", "stage-kafka-1:9092")):
        chosen = {"SLUICE_ENV": environment} if environment else {}
        assert load_settings({"SLUICE_TOML": str(file), **chosen}).bootstrap_servers == servers
