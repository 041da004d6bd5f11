"""Brings the files of a window, and their names, to the disk itself: the ledger outlives a power cut, so what it names
must too.

A disk takes milliseconds, in which there is something else to do. So it is begun in a thread as soon as a window's files
are there, and waited for where it has to be done.
"""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

# Name of a file -> which file it names. A file that takes another's place is another.
_Files = dict[str, tuple[int, int]]


class Fsyncer:
    """For folders below `root`, one at a time. Not for use by several threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder: Path | None = None
        self._synced: _Files = {}
        self._lost: dict[str, tuple[int, int]] = {}
        self._above: set[Path] = set()
        self._pool: ThreadPoolExecutor | None = None
        self._begun: Future[None] | None = None

    def begin(self, folder: Path) -> None:
        """fsync what is in `folder` by now, in a thread."""
        self._turn_to(folder)
        if self._pool is None:
            # One for all windows: to start a thread takes as long as a disk may.
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="sluice-fsync")
        self._begun = self._pool.submit(self._bring, folder)

    def finish(self, folder: Path) -> None:
        """Returns when every snapshot in `folder` is on the disk, and its name. Raises OSError, also for what failed in
        the thread."""
        error = self._turn_to(folder)
        if error is not None:
            raise error
        self._bring(folder)

    def close(self) -> None:
        """End the thread, when what it is at is done."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _turn_to(self, folder: Path) -> BaseException | None:
        """Wait for what is under way. What it failed with, if it was of this folder; nobody waits for another's."""
        begun, self._begun = self._begun, None
        error = begun.exception() if begun is not None else None
        if folder == self._folder:
            return error
        self._folder, self._synced = folder, {}
        return None

    def _bring(self, folder: Path) -> None:
        found = _snapshots(folder)
        new = {name: file for name, file in found.items() if self._synced.get(name) != file}
        if not new and self._synced:
            return
        # Two names of one file are brought once.
        for name in {file: name for name, file in new.items()}.values():
            path = str(folder / name)
            if self._lost.get(path) == new[name]:
                # The system tells once that it has lost what was written, and then takes the file for written.
                raise OSError(f"{path} was not brought to the disk before; materialize the window again")
            try:
                _sync(path)
            except OSError:
                self._lost[path] = new[name]
                raise
        wanted, above = [folder], folder
        # What is above holds folders alone, and each is made once.
        while above not in self._above and above != self._root and self._root in above.parents:
            above = above.parent
            wanted.append(above)
        for one in wanted:
            _sync(str(one))
        self._above.update(wanted[:-1])
        self._synced = found


def _snapshots(folder: Path) -> _Files:
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".parquet"):
                about = entry.stat()
                found[entry.name] = (about.st_ino, about.st_mtime_ns)
    return found


def _sync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync(path: Path) -> None:
    """Bring one file to the disk, without its name."""
    _sync(str(path))
