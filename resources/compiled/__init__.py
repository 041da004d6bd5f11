"""The compiled library: the few loops over rows that numpy cannot do in one step, in C.

It is optional. Where it was not built (no compiler when Sluice was installed), or is switched off, everything is done
in numpy and pyarrow, with the same bytes and the same errors; only the time differs. It holds no state, calls nothing
back, and lets other threads run while it works.
"""

import ctypes
import os
import sys
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from resources.errors import SluiceError

# As in library.c.
_INTERFACE = 4
# "off", or the path of another build (`make sanitize`).
NAMED = "SLUICE_COMPILED"


@cache
def library() -> ctypes.CDLL | None:
    """The library, its functions declared; None where there is none to use."""
    wanted = os.environ.get(NAMED, "")
    if sys.byteorder != "little" or wanted.lower() in ("0", "off", "no", "false"):
        return None
    if wanted:
        if (named := _loaded(Path(wanted))) is None:
            raise SluiceError(
                f"{NAMED}={wanted}",
                "is not a compiled library that these sources can use",
                allowed="off, or the path of a build of resources/compiled",
                next_step=f"unset {NAMED}",
            )
        return named
    folder = Path(__file__).parent
    for suffix in EXTENSION_SUFFIXES:
        built = folder / f"_compiled{suffix}"
        if built.exists():
            return _loaded(built)
    return None


def _loaded(path: Path) -> ctypes.CDLL | None:
    try:
        found = ctypes.CDLL(str(path))
        found.sluice_interface.restype = ctypes.c_int32
        # Built from other sources than these: not one of its functions may be called.
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
        "sluice_messages": (None, [number, *[address] * 6]),
        "sluice_message_bytes": (number, []),
        "sluice_take_messages": (number, [address, address, ctypes.c_int32, address, number, address]),
        "sluice_gather_messages": (None, [address, address, number, *[address] * 8]),
        "sluice_free_messages": (None, [address, address, number]),
        "sluice_contents": (number, [number, *[address, address, address, number] * 2, address, address]),
    }
    for name, (result, parameters) in declared.items():
        function = getattr(found, name)
        function.restype, function.argtypes = result, parameters
    return found
