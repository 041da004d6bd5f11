"""The process of a run of a terminal, named by a tag of the run, as in versions without heartbeats.

A killed run of such a version has no heartbeat that could end. So this version reads the tag, and an upgraded
installation does not wait for that run for ever. This version also writes the tag: after a rollback the older
version does not wait for ever for a run of this version.
"""

import os
import socket
from pathlib import Path

import dagster as dg

from pipelines.orchestration.control import is_of_a_terminal
from resources.process.lock import boot_id

TAG = "sluice/process"
_PROC = Path("/proc")


def process_tag() -> dict[str, str]:
    """The tag of a run whose process is this one; empty if the system has no /proc."""
    mark = _start_mark(os.getpid())
    return {TAG: f"{socket.gethostname()} {os.getpid()} {mark}"} if mark else {}


def has_no_process(run: dg.DagsterRun) -> bool:
    """Whether a run of a terminal of this host no longer has a process. The answer may be wrong for
    containers that share a host name but not their processes, so the heartbeat decides if the run has one.
    False if it is not known."""
    host, _, rest = run.tags.get(TAG, "").partition(" ")
    pid, _, mark = rest.partition(" ")
    if not (
        is_of_a_terminal(run) and host == socket.gethostname() and pid.isascii() and pid.isdigit() and mark
    ):
        return False
    return _start_mark(os.getpid()) is not None and _start_mark(int(pid)) != mark


def _start_mark(pid: int) -> str | None:
    """The boot of the machine, and the moment after it at which the process began. None if there is no such
    process, or if it has ended and nobody has waited for it yet."""
    boot = boot_id()
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # Field 2 is the command in parentheses, and may itself contain blanks and parentheses (proc(5)).
    fields = stat.rpartition(")")[2].split()
    ended = fields[0] in "ZX" and int(fields[17]) <= 1
    return None if boot is None or ended else f"{boot}/{fields[19]}"
