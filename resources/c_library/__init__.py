"""The compiled library: loops over rows, in C.

A wheel contains it; an installation from the sources builds it if there is a C compiler. Without it,
plain Python does everything row by row, with the same bytes and the same errors, but much more
slowly; `why_missing` says why it is not used. The library keeps no state, calls nothing back, and
lets other threads run while it works.
"""

import ctypes
import os
import sys
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from resources.errors import SluiceError

# Must equal the number in library.c.
_INTERFACE = 5
# Its value: "off", or the path of another build (`make sanitize`).
NAMED = "SLUICE_COMPILED"
SLOWLY = "records are encoded and compared row by row, and a run takes some five times the processor time"


@cache
def library() -> ctypes.CDLL | None:
    """The library with its functions declared; None if it is missing or not used."""
    wanted = os.environ.get(NAMED, "")
    if sys.byteorder != "little" or wanted.lower() in ("0", "off", "no", "false"):
        return None
    if wanted:
        if (named := _loaded(Path(wanted))) is None:
            raise SluiceError(
                f"{NAMED}={wanted}",
                "is not a compiled library that these sources can use",
                allowed="off, or the path of a build of resources/c_library",
                next_step=f"unset {NAMED}",
            )
        return named
    for built in _built():
        # A library of an older build may be in the same folder.
        if (found := _loaded(built)) is not None:
            return found
    return None


def why_missing() -> str | None:
    """Why the library is not used, then "; " and what to do; None if it is used."""
    if library() is not None:
        return None
    if sys.byteorder != "little":
        return "this machine is not little-endian, and the library is for those that are"
    if os.environ.get(NAMED):
        return f"{NAMED}={os.environ[NAMED]} switches it off; unset it"
    if _built():
        return "the one beside resources/c_library/__init__.py is of another build; install Sluice again"
    return "it was not built; install a wheel of Sluice, or a C compiler and then Sluice again"


def _built() -> list[Path]:
    folder = Path(__file__).parent
    return [one for suffix in EXTENSION_SUFFIXES if (one := folder / f"_c_library{suffix}").exists()]


def _loaded(path: Path) -> ctypes.CDLL | None:
    try:
        found = ctypes.CDLL(str(path))
        found.sluice_interface.restype = ctypes.c_int32
        # If it was built from other sources, none of its functions may be called.
        if found.sluice_interface() != _INTERFACE:
            return None
    except (OSError, AttributeError):
        return None
    address, number = ctypes.c_void_p, ctypes.c_int64
    declared = {
        "sluice_encode": (number, [address, number, number, ctypes.c_char_p, number, *[address] * 3]),
        "sluice_field_bytes": (number, []),
        "sluice_can_hash": (ctypes.c_int32, []),
        "sluice_event_digests": (None, [ctypes.c_char_p, number, number, *[address] * 7]),
        "sluice_murmur2": (None, [number, *[address] * 3]),
        "sluice_take_messages": (number, [address, address, ctypes.c_int32, address, number, address]),
        "sluice_gather_messages": (None, [address, address, number, *[address] * 8]),
        "sluice_free_messages": (None, [address, address, number]),
        "sluice_contents": (number, [number, *[address, address, address, number] * 2, address, address]),
    }
    for name, (result, parameters) in declared.items():
        function = getattr(found, name)
        function.restype, function.argtypes = result, parameters
    return found
