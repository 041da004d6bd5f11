"""Folders for what outgrows memory while it is worked out. They are gone afterwards, and their disk may be full."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from resources.errors import SluiceError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class ScratchFull(SluiceError):
    """There is no room left where temporary files are kept."""


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A new folder below the system's temporary one, removed behind the block. Raises ScratchFull in place of what
    writing to a full disk raises within it."""
    with scratch_room(), tempfile.TemporaryDirectory(prefix=prefix) as folder:
        yield Path(folder)


@contextmanager
def scratch_room() -> Iterator[None]:
    """For work that makes its own temporary folders: raises ScratchFull in place of what a full disk raises."""
    try:
        yield
    except (OSError, duckdb.Error) as error:
        if not is_full(error):
            raise
        raise scratch_full(error) from None


def scratch_full(error: Exception) -> ScratchFull:
    """What a person is told when `is_full`."""
    return ScratchFull(
        f"temporary folder {tempfile.gettempdir()}",
        f"has no room for what does not fit into memory: {str(error).splitlines()[0]}",
        next_step="free disk space there, or point TMPDIR at a larger disk, and run it again: it goes on where it stopped",
    )


def is_full(error: Exception) -> bool:
    """True when a disk had no room, as Python, Arrow and DuckDB say it."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    # DuckDB looks at the free room before it spills, and calls its absence a lack of memory.
    return isinstance(error, duckdb.Error) and any(
        said in str(error)
        for said in ("failed to offload", "No space left", "File too large", "quota exceeded")
    )
