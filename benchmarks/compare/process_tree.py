"""CPU time and peak memory of a process and all it started, read from /proc."""

import os
from collections import defaultdict
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of one process and of those of its children that it has waited for; 0 when it is gone."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(ticks) for ticks in after_name[11:15]) / _TICKS


def peak_mib(pid: int) -> float:
    """Largest resident memory a process has had. Not `ru_maxrss`: that begins with its parent's, kept over exec."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def tree(root: int) -> list[int]:
    """The process `root` and all its living descendants."""
    children = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # ended meanwhile
                continue
            children[parent].append(int(entry.name))
    found = [root]
    for pid in found:
        found += children[pid]
    return found


def tree_cpu_seconds(root: int) -> float:
    """CPU seconds of the tree; what an unawaited dead child used is lost."""
    return sum(cpu_seconds(pid) for pid in tree(root))


def tree_peak_mib(root: int) -> float:
    """Peak memory of the tree's living processes, added up."""
    return sum(peak_mib(pid) for pid in tree(root))


def machine_cpu_seconds() -> float:
    """What all processes of the machine have used since it started, in user and system mode."""
    ticks = [int(part) for part in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system = ticks[:3]
    return (user + nice + system) / _TICKS
