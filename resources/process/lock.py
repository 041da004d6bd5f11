"""A small file that a process keeps locked, so that another process of the same machine can tell when it has ended.

A pid says nothing in another pid namespace, and a host name is not unique. A lock does: whichever way a process ends, the
kernel releases it, and it is seen by every process of this kernel that can open the file.
"""

import contextlib
import fcntl
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Locks that this process holds, by device and inode. It must not open these files again: a process that closes any
# descriptor of a file loses its lock of it (fcntl(2)).
_held: set[tuple[int, int]] = set()
os.register_at_fork(after_in_child=_held.clear)


@dataclass(frozen=True)
class LockMark:
    """Names one lock file of one running kernel: two files are the same only if boot, device and inode are."""

    boot: str
    device: int
    inode: int
    path: str

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "LockMark | None":
        """The mark that `as_dict` gave; None where it is not one."""
        try:
            return cls(str(found["boot"]), int(found["device"]), int(found["inode"]), str(found["path"]))
        except (KeyError, TypeError, ValueError):
            return None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def holder_lives(self) -> bool | None:
        """Whether the process that held this lock still runs; None: it cannot be seen from here."""
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
                # Shared: two that look at once do not take each other for the holder.
                fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                return True
            # A holder that ends in order removes its file first. A lock that is free on a removed file says nothing.
            return False if self._is(Path(self.path).lstat()) else None
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Remove the file of a holder that is gone."""
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
        """A lock on a new file `folder/name`; None where this machine or this folder has none to give."""
        boot, path = boot_id(), folder.absolute() / name
        if boot is None:
            return None
        # Under its name the file is always locked: whoever finds it unlocked there knows that its holder is gone.
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
        """Remove the file and release the lock. In a forked child: nothing, for the lock is its parent's."""
        if os.getpid() != self._pid:
            return
        self.mark.remove()
        os.close(self._descriptor)
        _held.discard((self.mark.device, self.mark.inode))


def boot_id() -> str | None:
    """Names the running kernel since its start; None where the system gives no such name."""
    try:
        return _BOOT_ID.read_text().strip() or None
    except OSError:
        return None


def marks_in(folder: Path) -> dict[str, LockMark]:
    """The marks of all lock files in `folder`, by their names."""
    boot, found = boot_id(), {}
    if boot is None:
        return {}
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                about = entry.stat(follow_symlinks=False)
                found[entry.name] = LockMark(boot, about.st_dev, about.st_ino, entry.path)
    return found
