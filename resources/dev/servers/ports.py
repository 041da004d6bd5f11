"""Free TCP ports on the loopback interface, and which process listens on a port."""

import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"
_LISTEN = "0A"  # the number of this state in /proc/net/tcp (proc(5))


def free_ports(count: int, preferred: Sequence[int] = ()) -> tuple[int, ...]:
    """`count` different free ports: in each place the `preferred` one if it is free, else any.

    They are free now. Whoever starts a server on one must still check that this server answers there.
    """
    with contextlib.ExitStack() as held:
        chosen: list[int] = []
        for place in range(count):
            wanted = preferred[place] if place < len(preferred) else 0
            bound = _bind(wanted) or _bind(0)
            if bound is None:
                raise OSError("no free port on 127.0.0.1")
            # Kept open until all are chosen, so that no port is returned twice.
            held.enter_context(bound)
            chosen.append(bound.getsockname()[1])
        return tuple(chosen)


def is_free(port: int) -> bool:
    """True if nobody listens on the port."""
    bound = _bind(port)
    if bound is None:
        return False
    bound.close()
    return True


def listens(pid: int, port: int) -> bool:
    """True if process `pid` itself listens on `port`; on systems without /proc, if anybody listens."""
    tables = [table for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")) if table.exists()]
    if not tables:
        return not is_free(port)
    inodes = {
        f"socket:[{row[9]}]"
        for table in tables
        for row in (line.split() for line in table.read_text().splitlines()[1:])
        if row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port
    }
    if not inodes:
        return False
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(descriptor.readlink()) in inodes:
                    return True
    return False


def _bind(port: int) -> socket.socket | None:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # As servers do: a port counts as free if only connections in TIME_WAIT are left on it.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((LOOPBACK, port))
    except OSError:
        bound.close()
        return None
    return bound
