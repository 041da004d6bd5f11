"""The errors of the snapshot store, and whether they may pass by themselves.

A file that is damaged, or that this user may not read, stays so: a `SnapshotError` stops what needs that
file, and the run continues with its other windows. A server or a disk that does not answer may answer later:
a `TransientError` is retried.
"""

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from resources.errors import SluiceError, TransientError
from resources.process.waiting import waiting_for
from resources.settings import variable
from resources.snapshots.snapshot import SnapshotError
from resources.wording import text_of

# The cause of such an error stays until somebody changes it.
_LASTING = (PermissionError, IsADirectoryError, NotADirectoryError)
_LASTING_NUMBERS = (errno.ELOOP, errno.ENAMETOOLONG, errno.EROFS)
_DAMAGED = (pa.ArrowException, ValueError, KeyError, IndexError, OverflowError, TypeError)
_MEND = "restore it from a backup, or delete it and materialize the window again"
_RESTORE = "restore this file from a backup of the store, or delete it and materialize the window again"


def lasts(error: OSError) -> bool:
    """Whether the error stays until somebody removes its cause: a directory at the place
    of a file, a missing right."""
    return isinstance(error, _LASTING) or error.errno in _LASTING_NUMBERS


def reason(error: BaseException) -> str:
    """The system's reason, without the path, because the message already names the path."""
    told = getattr(error, "strerror", None) or " ".join(text_of(error).split())
    return str(told) or type(error).__name__


def unreadable(where: str, error: OSError) -> SluiceError:
    """The error for a file or folder that the system does not let this process read."""
    if lasts(error):
        return SnapshotError(
            where,
            f"cannot be read: {reason(error)}",
            next_step="put a file with the snapshot's bytes there, or let this user read it; if it is not needed any more, "
            "remove it and materialize the window again",
        )
    return TransientError(where, f"cannot be read: {reason(error)}")


def unwritable(where: str, error: OSError) -> SnapshotError:
    """The error for a place that accepts no more bytes."""
    step = f"free disk space, or point {variable('snapshots')} elsewhere"
    if lasts(error):
        step = "remove what is in its place, or let this user write there"
    return SnapshotError(
        where,
        f"cannot be written: {reason(error)}",
        next_step=f"{step}; nothing was published from it",
    )


def unstored(where: str, error: OSError) -> SluiceError:
    """The error for rows that could not be stored at their place."""
    return (
        unwritable(where, error)
        if lasts(error)
        else TransientError(where, f"cannot be stored: {reason(error)}")
    )


def damaged(where: str, error: BaseException) -> SnapshotError:
    """The error for a file whose bytes are not a Parquet file that Sluice wrote."""
    return SnapshotError(
        where, f"is damaged: it is not a whole Parquet file ({reason(error)})", next_step=_MEND
    )


@contextmanager
def parquet_of(where: str, *, local: bool) -> Iterator[None]:
    """Inside the block, every error from reading a damaged Parquet file is raised as a SnapshotError, and an
    error of the system as `unreadable` says. Raises SluiceError."""
    try:
        yield
    except SluiceError:
        raise
    except MemoryError as error:
        # A damaged length asks for more bytes than can exist. Arrow's error says how
        # many, the system's error would not.
        if not isinstance(error, pa.ArrowException):
            raise
        raise damaged(where, error) from None
    except _DAMAGED as error:
        raise damaged(where, error) from None
    except OSError as error:
        # Arrow's own errors about bytes are OSErrors without an errno.
        raise (damaged(where, error) if error.errno is None else unreadable(where, error)) from None
    except Exception as error:
        if local:
            raise
        raise _of_client(where, error) from None


@contextmanager
def store_call(where: str, *, local: bool) -> Iterator[None]:
    """Inside the block, the store's file system is called. Raises FileNotFoundError
    unchanged, and SluiceError."""
    try:
        with waiting_for(where):
            yield
    except (SluiceError, FileNotFoundError):
        raise
    except OSError as error:
        raise unreadable(where, error) from None
    except Exception as error:
        if local:
            raise
        raise _of_client(where, error) from None


def _of_client(where: str, error: Exception) -> TransientError:
    # The client of an object store has errors of its own, which do not say whether they pass.
    return TransientError(where, f"cannot be read: {type(error).__name__}: {reason(error)}")


def json_object(where: str, data: bytes) -> dict[str, Any]:
    """The object in a JSON file of the store. Raises SnapshotError if there is none."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SnapshotError(where, f"is not readable: {reason(error)}", next_step=_RESTORE) from None
    if not isinstance(found, dict):
        raise SnapshotError(where, "is not readable: it holds no JSON object", next_step=_RESTORE)
    return found
