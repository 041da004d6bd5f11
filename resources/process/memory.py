"""The memory of a process. Allocators keep little of what was freed, and give back the rest: between
the steps of a window, so that the peaks of the steps do not add up, and within long steps, so that
memory does not grow with the rows.

Three settings of glibc and one of pyarrow, all for the whole process. Each is left alone if an
environment variable already sets it. They do not change what a program computes, and in our
measurements they cost no time.
"""

import os
import sys
from functools import cache
from typing import Any

# After fewer rows there is little to give back, and small windows should not wait for it.
MANY_ROWS = 65_536
# A step gives memory back after so many rows: rarely enough that this takes
# less than a hundredth of its time.
_EVERY_ROWS = 1_000_000

# Memory that is freed in one pool cannot be used in another pool, so there should be few pools. pyarrow's
# own allocator would be a second one next to glibc's. glibc has up to eight per core, and each thread of
# a client fills one of its own.
_POOL = "ARROW_DEFAULT_MEMORY_POOL"
# glibc's mallopt: parameter, value, and the environment variable that also sets it. A block larger than a
# batch's columns goes back to the system when it is freed, and so does free memory at the end of the heap;
# smaller values cost page faults.
_MALLOPT = (
    (-8, 2, "MALLOC_ARENA_MAX"),
    (-3, 4 << 20, "MALLOC_MMAP_THRESHOLD_"),
    (-1, 512 << 10, "MALLOC_TRIM_THRESHOLD_"),
)


def choose_pool() -> None:
    """Make pyarrow take its memory from glibc. Only works before pyarrow is loaded."""
    if _is_glibc():
        os.environ.setdefault(_POOL, "system")


@cache
def keep_little() -> None:
    """Make glibc keep little of what is freed from now on. Runs once in a process."""
    mallopt = _from_c("mallopt") if _is_glibc() else None
    if mallopt is None or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    for parameter, value, variable in _MALLOPT:
        if variable not in os.environ:
            mallopt(parameter, value)


def give_back(rows: int) -> None:
    """Return the memory that allocators keep for later, if `rows` is large
    enough. Takes a few milliseconds."""
    if rows < MANY_ROWS:
        return
    import pyarrow as pa  # not at the top: the pool must be chosen before it is loaded

    pa.default_memory_pool().release_unused()
    trim = _from_c("malloc_trim") if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


class GivingBack:
    """For a step that processes many rows. The memory that it frees lies between blocks that are still in
    use; over time more and more of it is too small to be used again. So it is given back from time to time.
    Not for use by several threads."""

    def __init__(self) -> None:
        self._rows = 0

    def passed(self, rows: int) -> None:
        """Count so many more processed rows; give memory back if they are enough."""
        self._rows += rows
        if self._rows >= _EVERY_ROWS:
            give_back(self._rows)
            self._rows = 0


def _from_c(name: str) -> Any:
    """A function of the C library; None if the library has no function of this name."""
    import ctypes  # not at the top: every process calls `choose_pool`, also one that ends at once

    return getattr(ctypes.CDLL(None), name, None)


def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):
        return False
