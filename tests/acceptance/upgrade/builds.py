"""Two builds of Sluice on one installation: the tree of an earlier commit, and this one. Each runs its own
code with the dependencies of this environment, and has the same event modules."""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest

from tests.fixtures_servers import required
from tests.pipelines.cli.warm import Warm

ROOT = Path(__file__).resolve().parents[3]
EARLIER = "b5dcffffbe2fd2702a07854e128e6013feb7ac7c"
"""The build that an installation is upgraded from."""
_PACKAGES = ("pipelines", "resources")
_SECONDS = 300


@dataclass
class Build:
    """A tree of Sluice, and how to run its commands. `name` is for the reader of a failed test."""

    name: str
    tree: Path
    environ: Mapping[str, str]
    _warm: Warm

    def run(self, *arguments: str, fails: bool = False) -> str:
        """What `sluice ARGUMENTS` prints on both streams. It must succeed, or end with exit code 1 if
        `fails`, and never with a stack trace."""
        done = self._warm.run(arguments, dict(self.environ), seconds=_SECONDS)
        said = f"$ sluice {' '.join(arguments)}   ({self.name})\n{done.stdout}{done.stderr}"
        assert done.returncode == int(fails), said
        assert "Traceback" not in said, said
        return said

    def kill(self, *arguments: str, when: Callable[[], bool], **environ: str) -> None:
        """Start `sluice ARGUMENTS` in a separate process, and kill it as soon as `when` is true."""
        run = subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", *arguments],
            cwd=self.tree,
            env={**self.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            while not when():
                assert run.poll() is None, (
                    f"{self.name}: ended before it could be killed:\n{run.communicate()[0]}"
                )
            run.send_signal(signal.SIGKILL)
        finally:
            run.kill()
            run.communicate()


def earlier_tree(folder: Path) -> Path:
    """The tree of the earlier commit, from this repository's history. Skips the test, or fails it if servers
    are required, if the history is not available."""
    packed = subprocess.run(
        # In a container the files may belong to another user.
        [
            "git",
            "-c",
            f"safe.directory={ROOT}",
            "-C",
            str(ROOT),
            "archive",
            "--format=tar",
            EARLIER,
            *_PACKAGES,
        ],
        capture_output=True,
        check=False,
    )
    if packed.returncode:
        told = (
            f"commit {EARLIER[:7]} is not in this clone ({packed.stderr.decode(errors='replace').strip()}); the upgrade test "
            "needs the history of the repository: git fetch --unshallow"
        )
        if required():
            pytest.fail(told, pytrace=False)
        pytest.skip(told)
    folder.mkdir()
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def this_tree(folder: Path) -> Path:
    """A copy of this tree's code."""
    for package in _PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@contextmanager
def build(name: str, tree: Path, environ: Mapping[str, str], scratch: Path) -> Iterator[Build]:
    """The build that runs the commands of a tree."""
    scratch.mkdir()
    with closing(Warm(tree, dict(environ), scratch, packages=["pipelines"])) as warm:
        yield Build(name, tree, environ, warm)


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a person who has set nothing for Sluice or Dagster except `environ`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLUICE_", "DAGSTER_"))}
    return {**kept, "COLUMNS": "160", "NO_COLOR": "1", **environ}
