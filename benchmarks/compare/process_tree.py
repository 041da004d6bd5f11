"""CPU time and peak memory of a process and of all processes that it started, read from /proc."""

import os
from collections import defaultdict
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of one process and of the children that it has waited for; 0 if it has ended."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(ticks) for ticks in after_name[11:15]) / _TICKS


def peak_mib(pid: int) -> float:
    """The largest resident memory that a process has had.
    Not `ru_maxrss`: it begins with its parent's, even after exec."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def tree(root: int) -> list[int]:
    """The process `root` and all its running descendants."""
    children = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has ended in the meantime
                continue
            children[parent].append(int(entry.name))
    found = [root]
    for pid in found:
        found += children[pid]
    return found


def tree_cpu_seconds(root: int) -> float:
    """CPU seconds of the tree, without those of a dead child that its parent has not waited for."""
    return sum(cpu_seconds(pid) for pid in tree(root))


def tree_peak_mib(root: int) -> float:
    """Peak memory of the tree's running processes, added up."""
    return sum(peak_mib(pid) for pid in tree(root))


def machine_cpu_seconds() -> float:
    """The user and system time of all processes of the machine since it started."""
    ticks = [int(part) for part in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system = ticks[:3]
    return (user + nice + system) / _TICKS
