"""Jars are fetched once, completely or not at all; and a machine without Maven is told what it lacks."""

import os
import stat
from pathlib import Path

import pytest

from resources.dev.servers import maven
from resources.dev.servers.errors import ServerUnavailable
from resources.dev.servers.kinds.java import java_program

COUNTS_AND_COPIES = """#!/bin/sh
echo x >> "{calls}"
for argument in "$@"; do case "$argument" in -DoutputDirectory=*) into="${{argument#*=}}";; esac; done
mkdir -p "$into" && echo jar > "$into/one.jar"
"""
FAILS_HALFWAY = """#!/bin/sh
for argument in "$@"; do case "$argument" in -DoutputDirectory=*) into="${argument#*=}";; esac; done
mkdir -p "$into" && echo half > "$into/half.jar"
echo "[ERROR] Could not transfer artifact: repository not reachable"
exit 1
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder with programs, apart from the shell's; and an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "mkdir"):
        (folder / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def fetch(said: list[str]) -> Path:
    return maven.fetch("kafka", server="kafka-apache", progress=said.append)


def test_jars_are_fetched_once_and_the_fetch_is_told(tools: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    program(tools / "mvn", COUNTS_AND_COPIES.format(calls=calls))
    said: list[str] = []
    folder = fetch(said)
    assert fetch(said) == folder
    assert (folder / "one.jar").exists()
    assert folder.is_relative_to(tmp_path / "cache" / "sluice")
    assert calls.read_text() == "x\n"
    assert len(said) == 1 and "kafka_2.13" in said[0]


def test_a_failed_fetch_leaves_nothing_and_says_what_maven_said(tools: Path, tmp_path: Path) -> None:
    program(tools / "mvn", FAILS_HALFWAY)
    with pytest.raises(ServerUnavailable, match="repository not reachable"):
        fetch([])
    assert list((tmp_path / "cache" / "sluice").iterdir()) == []


@pytest.mark.usefixtures("tools")
def test_without_maven_the_user_is_told_to_install_it() -> None:
    with pytest.raises(ServerUnavailable, match=r"no `mvn` on PATH.*install Maven"):
        fetch([])


@pytest.mark.usefixtures("tools")
def test_without_java_the_user_is_told_which(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServerUnavailable, match=r"Java 17 or newer.*JAVA_HOME"):
        java_program("kafka-apache")
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with pytest.raises(ServerUnavailable, match="no `java`"):
        java_program("kafka-apache")


def test_an_older_java_is_refused_by_its_version(tools: Path) -> None:
    program(tools / "java", "#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    with pytest.raises(ServerUnavailable, match="is 11"):
        java_program("kafka-apache")


def test_java_home_wins_over_path(tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tools / "java", "#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    home = tmp_path / "jdk" / "bin"
    home.mkdir(parents=True)
    program(home / "java", "#!/bin/sh\necho 'openjdk version \"21.0.1\"' >&2\n")
    monkeypatch.setenv("JAVA_HOME", str(home.parent))
    assert java_program("kafka-apache") == os.fspath(home / "java")
