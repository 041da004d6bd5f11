"""Folders for data that does not fit into memory during a computation. They are removed
afterwards; their disk may be full."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from resources.errors import SluiceError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class ScratchFull(SluiceError):
    """The disk for temporary files is full."""


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A new folder below the system's temporary folder; it is removed after the block. If a write inside the
    block fails because the disk is full, raises ScratchFull instead."""
    with scratch_room(), tempfile.TemporaryDirectory(prefix=prefix) as folder:
        yield Path(folder)


@contextmanager
def scratch_room() -> Iterator[None]:
    """For work that creates its own temporary folders. If it fails because the disk is full,
    raises ScratchFull instead."""
    try:
        yield
    except (OSError, duckdb.Error) as error:
        if not is_full(error):
            raise
        raise scratch_full(error) from None


def scratch_full(error: Exception) -> ScratchFull:
    """The error for the user, if `is_full`."""
    return ScratchFull(
        f"temporary folder {tempfile.gettempdir()}",
        f"has no room for what does not fit into memory: {str(error).splitlines()[0]}",
        next_step="free disk space there, or point TMPDIR at a larger disk, and run it again: it goes on where it stopped",
    )


def is_full(error: Exception) -> bool:
    """True if a disk had no space, in the errors of Python, Arrow and DuckDB."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    # DuckDB checks the free space before it spills, and reports missing space as missing memory.
    return isinstance(error, duckdb.Error) and any(
        said in str(error)
        for said in ("failed to offload", "No space left", "File too large", "quota exceeded")
    )
