"""Giving memory back to the system between the steps of a window, so that their peaks do not add up."""

import ctypes
import sys

import pyarrow as pa

# Behind fewer rows there is little to give back, and small windows should not wait for it.
MANY_ROWS = 65_536


def give_back(rows: int) -> None:
    """Return what allocators keep for later, where `rows` says that it is much. A few milliseconds."""
    if rows < MANY_ROWS:
        return
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
        if trim is not None:
            trim(0)
