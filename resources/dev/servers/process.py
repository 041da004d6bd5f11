"""Detached server processes: each starts in its own session, and gets a signal only if it is certainly ours.

A pid alone does not identify a process: after a crash or a reboot, the system gives it to another
process. So a process is remembered by its pid *and* by the kernel's mark of its start, and the mark
is compared before every signal.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from resources.dev.servers.environment import clean_environment
from resources.dev.servers.errors import ServerUnavailable

_PROC = Path("/proc")
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class OwnedProcess:
    """A process that we started: its pid, and a mark that distinguishes it from a
    later process with that pid."""

    pid: int
    start_mark: str

    @classmethod
    def current(cls) -> "OwnedProcess":
        """The current process."""
        return cls(os.getpid(), _inspect(os.getpid())[0] or "")

    def is_alive(self) -> bool:
        """True while exactly the process that we started runs (a stopped process
        counts, a zombie does not)."""
        mark, zombie = _inspect(self.pid)
        if mark != self.start_mark:
            return False
        if zombie:
            # It is ours and has ended. If this process is its parent, collect it, so
            # that it leaves the process table.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)
        return not zombie

    def send(self, signal_number: int) -> bool:
        """Send a signal to the process; returns False, and sends nothing, if it has ended."""
        if hasattr(os, "pidfd_open"):
            # The descriptor keeps the process: its pid cannot get another owner
            # between the check and the signal.
            try:
                descriptor = os.pidfd_open(self.pid)
            except OSError:
                return False
            try:
                if not self.is_alive():
                    return False
                signal.pidfd_send_signal(descriptor, signal_number)
                return True
            except ProcessLookupError:
                return False
            finally:
                os.close(descriptor)
        if not self.is_alive():
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal_number)
            return True
        return False

    def wait_gone(self, seconds: float) -> bool:
        """Wait until the process has ended; False if it still exists after `seconds`."""
        deadline = time.monotonic() + seconds
        while self.is_alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def stop(self, grace_seconds: float) -> None:
        """Ask the process to end (SIGTERM), and kill it (SIGKILL) if it has not
        ended after `grace_seconds`."""
        if not self.send(signal.SIGTERM):
            return
        self.send(signal.SIGCONT)  # a paused process gets its SIGTERM only when it continues
        if not self.wait_gone(grace_seconds):
            self.kill()

    def kill(self) -> None:
        """Kill the process at once (SIGKILL) and wait until it has ended."""
        self.send(signal.SIGKILL)
        self.wait_gone(10)


def spawn(argv: Sequence[str], *, folder: Path, log: Path, env: Mapping[str, str]) -> OwnedProcess:
    """Start `argv` detached in `folder`, with its output appended to `log`.

    Its environment has `env` and the variables that any program needs; no settings and no secrets. The
    process is the leader of its own session: closing the terminal or Ctrl-C does not reach it, and it
    outlives us. `argv[0]` must be an absolute path.
    """
    # posix_spawn cannot set a working directory, so a shell sets it and replaces
    # itself; the pid is then the server's.
    in_folder = ["/bin/sh", "-c", 'cd -- "$0" && exec "$@"', str(folder), *argv]
    pid = os.posix_spawn(
        "/bin/sh",
        in_folder,
        {**clean_environment(), **env},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP],
        setsigmask=[],
    )
    mark, _ = _inspect(pid)
    return OwnedProcess(pid, mark or "")


def _inspect(pid: int) -> tuple[str | None, bool]:
    """The start mark of a process, and whether it is a zombie; (None, False) if
    the process does not exist."""
    if (_PROC / "self" / "stat").exists():
        try:
            stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
        except OSError:
            return None, False
        # Field 2 is the command in parentheses; it may itself contain spaces and parentheses (proc(5)).
        fields = stat.rpartition(")")[2].split()
        # The main thread of a process that ends is a zombie before its other threads
        # have released files and ports.
        return f"{_boot_id()}/{fields[19]}", fields[0] in "ZX" and int(fields[17]) <= 1
    ps = shutil.which("ps")
    if ps is None:
        raise ServerUnavailable("servers", "neither /proc nor ps is here", next_step="install ps")
    answer = subprocess.run(
        [ps, "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    return (answer[1].strip(), answer[0].startswith("Z")) if len(answer) == 2 else (None, False)


def _boot_id() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown-boot"
