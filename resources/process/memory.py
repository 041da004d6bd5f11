"""The memory of a process: allocators that keep little of what was freed, and giving back what they do keep, between the
steps of a window, so that their peaks do not add up, and within the long ones, so that none grows with its rows.

Two rules of glibc and one of pyarrow, all for the whole process, and each left as it is where the environment says
otherwise. None of them changes what a program computes, and measured here none of them costs time.
"""

import os
import sys
from functools import cache
from typing import Any

# Behind fewer rows there is little to give back, and small windows should not wait for it.
MANY_ROWS = 65_536
# Rows between two times that a step gives back: seldom enough to cost it less than a hundredth of its time.
_EVERY_ROWS = 1_000_000

# What is freed in one pool of memory cannot be used in another, so there are few: pyarrow's own allocator would be one
# besides glibc's, and glibc has up to eight for each core, of which every thread of a client fills one of its own.
_POOL = "ARROW_DEFAULT_MEMORY_POOL"
# glibc's mallopt: parameter, value, and the variable that sets it. What is larger than a batch's columns goes back to
# the system when it is freed, and so does what lies free at the end; smaller values cost page faults.
_MALLOPT = (
    (-8, 2, "MALLOC_ARENA_MAX"),
    (-3, 4 << 20, "MALLOC_MMAP_THRESHOLD_"),
    (-1, 512 << 10, "MALLOC_TRIM_THRESHOLD_"),
)


def choose_pool() -> None:
    """Have pyarrow take its memory from glibc. Has an effect only before pyarrow is loaded."""
    if _is_glibc():
        os.environ.setdefault(_POOL, "system")


@cache
def keep_little() -> None:
    """Have glibc keep little of what is freed, from now on. Once in a process."""
    mallopt = _from_c("mallopt") if _is_glibc() else None
    if mallopt is None or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    for parameter, value, variable in _MALLOPT:
        if variable not in os.environ:
            mallopt(parameter, value)


def give_back(rows: int) -> None:
    """Return what allocators keep for later, where `rows` says that it is much. A few milliseconds."""
    if rows < MANY_ROWS:
        return
    import pyarrow as pa  # not above: the pool is chosen before it is loaded

    pa.default_memory_pool().release_unused()
    trim = _from_c("malloc_trim") if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


class GivingBack:
    """For a step that many rows pass through. What it frees lies between what it still uses, and the longer it goes on the
    more of it there is that nothing fits into; so now and then it is given back. Not for use by several threads."""

    def __init__(self) -> None:
        self._rows = 0

    def passed(self, rows: int) -> None:
        """So many more rows are done with."""
        self._rows += rows
        if self._rows >= _EVERY_ROWS:
            give_back(self._rows)
            self._rows = 0


def _from_c(name: str) -> Any:
    """A function of the C library; None where it has none of this name."""
    import ctypes  # not above: `choose_pool` is for every process, also one that ends at once

    return getattr(ctypes.CDLL(None), name, None)


def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):
        return False
