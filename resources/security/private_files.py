"""The files of a process belong to its user only: snapshots contain rows, and Dagster's
home contains facts about them.

The process's umask does this for every file and folder that the process and its children create: snapshots,
temporary files, Dagster's home, logs, sockets, the embedded servers. A setting gives the user's group access,
for a store that several users write to.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Literal

GroupAccess = Literal["none", "read", "write"]
_MASKS: dict[GroupAccess, int] = {"none": 0o077, "read": 0o027, "write": 0o007}
_umask_before: int | None = None


def keep_files_private(access: GroupAccess = "none") -> None:
    """From now on, new files and folders are for this user only, or also for the
    group. Others get no access."""
    global _umask_before
    before = os.umask(_MASKS[access])
    if _umask_before is None:
        _umask_before = before


def as_the_user_likes(path: Path) -> None:
    """Give a file or folder that is part of the project (a draft) the rights that an editor would give it."""
    if _umask_before is not None:
        with suppress(OSError):
            path.chmod((0o777 if path.is_dir() else 0o666) & ~_umask_before)


def tighten(path: Path, access: GroupAccess = "none") -> None:
    """Close an existing file or folder to others, and to the group unless it has access. Then others cannot
    reach what is in the folder, either.

    A folder with the setgid bit is shared on purpose and keeps its group rights. What belongs to another
    user, and a folder with the sticky bit, which is for everybody, are not changed.
    """
    with suppress(OSError):
        rights = path.stat()
        mode = stat.S_IMODE(rights.st_mode)
        closed = mode & ~(_MASKS["write"] if mode & stat.S_ISGID else _MASKS[access])
        if closed != mode and rights.st_uid == os.geteuid() and not mode & stat.S_ISVTX:
            path.chmod(closed)
