"""The disk of the snapshots full at any byte of a launch's files: sourced, transformed, verdict, difference.

If a small file system may be mounted, it is really full (ENOSPC). A limit on the size of a process's files
needs no rights, and lets the same writes fail with another error (EFBIG).
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.arena import Arena, close, settle
from tests.chaos.ground import Size
from tests.chaos.launch import PASSING, TOLD
from tests.chaos.outcome import Outcome
from tests.chaos.witness import Asked

NAME = "full-disks"
PROMISE = "a launch whose snapshots do not fit says so and publishes nothing; with room it publishes once"

_DISK_BYTES = 4 << 20
_TOLD = ("free disk space", "cannot be stored", "cannot be written", "No space left", "File too large")


def run(arena: Arena) -> Outcome:
    """Every third point is about a correction; half of them on a full file system, if one may be mounted."""
    outcome = Outcome(NAME, PROMISE)
    size = Size(windows=max(arena.dose.full_disks, (arena.only or 0) + 1) + 1, rows=1500, states=2)
    with _disk(arena.folder / "disk") as disk:
        environ = {"SLUICE_TRANSACTION_ROWS": "200"} | ({"SLUICE_SNAPSHOTS": str(disk)} if disk else {})
        ground = arena.ground(NAME, size, environ=environ)
        snapshots = disk or ground.folder / "home" / "snapshots"
        # The last window is published without a fault, to get the sizes of its files.
        calm = size.windows - 1
        stories = {calm: [Asked(ground.rows(calm, state)) for state in (0, 1)]}
        needed = []
        for state in (0, 1):
            held = _bytes(snapshots)
            if ground.launch(calm, state).wait() != 0:
                outcome.failures.append("an undisturbed launch failed")
            needed.append(_bytes(snapshots) - held)
        largest = max(path.stat().st_size for path in snapshots.rglob("*.parquet"))
        limited = 0
        for point in arena.points(arena.dose.full_disks):
            chance, replay = arena.chance(NAME, point), arena.replay(NAME, point)
            states = [0, 1] if point % 3 == 2 else [0]
            for state in states[:-1]:
                ground.launch(point, state).wait()
            before = ground.witness.written()
            # Bytes and file systems have pages: the space left is less than the whole launch needs.
            if disk and point % 2 == 0:
                with _filled(disk, leave=int(chance.uniform(0, 0.9) * needed[len(states) - 1])):
                    launched = ground.launch(point, states[-1])
                    code = launched.wait()
            else:
                limited += 1
                launched = ground.launch(
                    point, states[-1], file_limit=int(chance.uniform(600, largest * 0.9))
                )
                code = launched.wait()
            if code not in (TOLD, PASSING) or not any(word in launched.said for word in _TOLD):
                outcome.failures.append(
                    f"a launch without room ended with {code}: {launched.said} [{replay}]"
                )
            if ground.witness.written() != before:
                outcome.failures.append(f"a launch without room published something [{replay}]")
            again = ground.launch(point, states[-1])
            if again.wait() != 0:
                outcome.failures.append(
                    f"with room again it ended with {again.code}: {again.said} [{replay}]"
                )
            stories[point] = [Asked(ground.rows(point, state)) for state in states]
        settle(outcome, ground, stories, lambda n: arena.replay(NAME, n))
        left = [path.name for path in snapshots.rglob(".sluice-*")]
        if left:
            outcome.failures.append(f"unfinished files were left behind: {', '.join(left[:5])}")
        outcome.facts = {
            "a really full file system": f"{len(stories) - 1 - limited} points"
            if disk
            else "not here: mounting a tmpfs needs the right to (root outside a container)",
            "a limit on the size of files": f"{limited} points",
        }
        close(outcome, ground)
    return outcome


def _bytes(folder: Path) -> int:
    """The size of the folder's files;
    a file that both stages of a window share has two names and counts once."""
    found = {path.stat().st_ino: path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file()}
    return sum(found.values())


@contextmanager
def _disk(folder: Path) -> Iterator[Path | None]:
    """A small file system, or None if it may not be mounted."""
    mount = shutil.which("mount")
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or mount is None:
        yield None
        return
    folder.mkdir()
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "sluice-chaos", str(folder)],
        capture_output=True,
        check=False,
    )
    if made.returncode != 0:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def _filled(disk: Path, *, leave: int) -> Iterator[None]:
    """The disk with no more than `leave` bytes free."""
    ballast = disk / "ballast"
    free = os.statvfs(disk)
    with ballast.open("wb") as handle:
        handle.write(b"\0" * max(0, free.f_bavail * free.f_frsize - leave))
    try:
        yield
    finally:
        ballast.unlink()
