"""Brings the files of a window, and their names, to the disk with fsync: the ledger survives a power cut, so
the files that it names must survive it, too.

An fsync takes milliseconds, in which the process can do something else. So it begins in a thread as soon as a
window's files exist, and the process waits for it only when it must be finished.
"""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

# Name of a file -> identity of the file (inode and mtime). A file that replaces
# another one has another identity.
_Files = dict[str, tuple[int, int]]


class Fsyncer:
    """Fsyncs folders below `root`, one at a time. Not for use by several threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder: Path | None = None
        self._synced: _Files = {}
        self._lost: dict[str, tuple[int, int]] = {}
        self._above: set[Path] = set()
        self._pool: ThreadPoolExecutor | None = None
        self._begun: Future[None] | None = None

    def begin(self, folder: Path) -> None:
        """Begin to fsync the files that are in `folder` now, in a thread."""
        self._turn_to(folder)
        if self._pool is None:
            # One thread for all windows: to start a thread may take as long as an fsync.
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="sluice-fsync")
        self._begun = self._pool.submit(self._bring, folder)

    def finish(self, folder: Path) -> None:
        """Return when every snapshot in `folder`, and its name, is on the disk. Raises OSError, also
        for an error in the thread."""
        error = self._turn_to(folder)
        if error is not None:
            raise error
        self._bring(folder)

    def close(self) -> None:
        """End the thread after its current work is done."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _turn_to(self, folder: Path) -> BaseException | None:
        """Wait for the fsync in progress. Returns its error if it was for this folder; an error
        for another folder is dropped."""
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
        # If one file has two names, it needs one fsync.
        for name in {file: name for name, file in new.items()}.values():
            path = str(folder / name)
            if self._lost.get(path) == new[name]:
                # The kernel reports only once that it lost written data; after that it
                # says that the file is written.
                raise OSError(f"{path} was not brought to the disk before; materialize the window again")
            try:
                _sync(path)
            except OSError:
                self._lost[path] = new[name]
                raise
        wanted, above = [folder], folder
        # The folders above contain only folders, and each is created once.
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
    """fsync the content of one file; its name is not included."""
    _sync(str(path))
