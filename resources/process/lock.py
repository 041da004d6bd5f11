"""A small file that a process keeps locked, so that another process of the same
machine sees when it has ended.

A pid is no proof in another pid namespace, and a host name is not unique. A lock is a proof:
when a process ends, in any way, the kernel releases its lock, and every process of this kernel
that can open the file sees that.
"""

import contextlib
import fcntl
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Locks that this process holds, by device and inode. This process must not open these files again: if a
# process closes any descriptor of a file, it loses its lock on the file (fcntl(2)).
_held: set[tuple[int, int]] = set()
os.register_at_fork(after_in_child=_held.clear)


@dataclass(frozen=True)
class LockMark:
    """Identifies one lock file of one running kernel: two marks mean the same file only if boot,
    device and inode are equal."""

    boot: str
    device: int
    inode: int
    path: str

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "LockMark | None":
        """The mark from the result of `as_dict`; None if `found` is no mark."""
        try:
            return cls(str(found["boot"]), int(found["device"]), int(found["inode"]), str(found["path"]))
        except (KeyError, TypeError, ValueError):
            return None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def holder_lives(self) -> bool | None:
        """Whether the process that held this lock still runs; None if that cannot be seen from here."""
        if self.boot != boot_id():
            return None
        if (self.device, self.inode) in _held:
            return True
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            if not self._is(os.fstat(descriptor)):
                return None
            try:
                # A shared lock: two processes that check at the same time do not
                # take each other for the holder.
                fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                return True
            # A holder that ends normally removes its file first. So a free lock on
            # a removed file proves nothing.
            return False if self._is(Path(self.path).lstat()) else None
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Remove the file of a holder that has ended."""
        with contextlib.suppress(OSError):
            if self._is(Path(self.path).lstat()):
                Path(self.path).unlink()

    def _is(self, found: os.stat_result) -> bool:
        return (found.st_dev, found.st_ino) == (self.device, self.inode)


class ProcessLock:
    """A lock that this process holds until it ends, or until `release`. A forked child does not hold it."""

    def __init__(self, mark: LockMark, descriptor: int) -> None:
        self.mark, self._descriptor, self._pid = mark, descriptor, os.getpid()

    @classmethod
    def hold(cls, folder: Path, name: str) -> "ProcessLock | None":
        """Lock a new file `folder/name`; None if this machine or this folder does not support it."""
        boot, path = boot_id(), folder.absolute() / name
        if boot is None:
            return None
        # The file gets its name only after it is locked. So if somebody finds an unlocked file with
        # this name, its holder has ended.
        unnamed = path.with_name(f".{name}.{os.getpid()}")
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError:
            return None
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unnamed.rename(path)
            found = os.fstat(descriptor)
        except OSError:
            os.close(descriptor)
            unnamed.unlink(missing_ok=True)
            return None
        _held.add((found.st_dev, found.st_ino))
        return cls(LockMark(boot, found.st_dev, found.st_ino, str(path)), descriptor)

    def release(self) -> None:
        """Remove the file and release the lock. Does nothing in a forked child, because the
        lock belongs to its parent."""
        if os.getpid() != self._pid:
            return
        self.mark.remove()
        os.close(self._descriptor)
        _held.discard((self.mark.device, self.mark.inode))


def boot_id() -> str | None:
    """An id of the running kernel since its start; None if the system has no such id."""
    try:
        return _BOOT_ID.read_text().strip() or None
    except OSError:
        return None


def marks_in(folder: Path) -> dict[str, LockMark]:
    """The marks of all lock files in `folder`, by file name."""
    boot, found = boot_id(), {}
    if boot is None:
        return {}
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                about = entry.stat(follow_symlinks=False)
                found[entry.name] = LockMark(boot, about.st_dev, about.st_ino, entry.path)
    return found
