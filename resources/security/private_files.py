"""Files of a process are its user's alone: snapshots hold rows, Dagster's home holds what is known of them.

The process's umask does that for every file and folder that it makes, and that its children make: snapshots, temporary
files, Dagster's home, logs, sockets, the embedded servers. A setting gives them to the user's group, for a store that
several users write to.
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
    """From now on, new files and folders are for this user alone, or for the group as well. Others get no access."""
    global _umask_before
    before = os.umask(_MASKS[access])
    if _umask_before is None:
        _umask_before = before


def as_the_user_likes(path: Path) -> None:
    """Give a file or folder that is part of the project (a draft) the rights that it would have from an editor."""
    if _umask_before is not None:
        with suppress(OSError):
            path.chmod((0o777 if path.is_dir() else 0o666) & ~_umask_before)


def tighten(path: Path, access: GroupAccess = "none") -> None:
    """Close a file or folder that is there already to others, and to the group unless it has access; what is in the folder
    is then out of their reach. A folder that is shared on purpose, with the setgid bit, keeps its group. What is another
    user's, or everybody's (with the sticky bit), stays as it is."""
    with suppress(OSError):
        rights = path.stat()
        mode = stat.S_IMODE(rights.st_mode)
        closed = mode & ~(_MASKS["write"] if mode & stat.S_ISGID else _MASKS[access])
        if closed != mode and rights.st_uid == os.geteuid() and not mode & stat.S_ISVTX:
            path.chmod(closed)
