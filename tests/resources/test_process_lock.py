"""The lock with which another process sees that its holder has ended, also from another pid namespace."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from resources.process import lock as process_lock
from resources.process.lock import LockMark, ProcessLock, marks_in

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc of Linux")

_HOLDS = """
import os, sys, time
from pathlib import Path
from resources.process.lock import ProcessLock
lock = ProcessLock.hold(Path(sys.argv[1]), "run")
if "fork" in sys.argv and not os.fork():
    lock.release()  # as a child would that leaves the block
    time.sleep(600)
print(lock.mark.path, flush=True)
time.sleep(600)
"""
_LOOKS = """
import sys
from pathlib import Path
from resources.process.lock import marks_in
print(marks_in(Path(sys.argv[1]))["run"].holder_lives())
"""


@contextmanager
def holder(folder: Path, *arguments: str, within: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """A separate process that holds a lock, killed at the end with all processes that it started."""
    with subprocess.Popen(
        [*within, sys.executable, "-c", _HOLDS, str(folder), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), "it holds no lock"
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def look(folder: Path, *, within: Sequence[str] = ()) -> str:
    told = subprocess.run(
        [*within, sys.executable, "-c", _LOOKS, str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    assert not told.returncode, told.stderr
    return told.stdout.strip()


def namespaces() -> list[str]:
    """A command that gives a process its own pid and host name namespaces, with this machine's host name."""
    command = ["unshare", "--pid", "--uts", "--mount", "--mount-proc", "--fork"]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("needs unshare, and the right to make namespaces")
    return command


def test_a_holder_is_seen_to_live_and_to_be_gone(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        mark = marks_in(tmp_path)["run"]
        assert mark.holder_lives() is True
        assert LockMark.from_dict(mark.as_dict()) == mark
        process.send_signal(signal.SIGSTOP)
        assert mark.holder_lives() is True, "a paused process lives"
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
        assert mark.holder_lives() is False
        mark.remove()
        assert marks_in(tmp_path) == {}
        assert mark.holder_lives() is None


def test_a_holder_in_another_pid_namespace_with_the_same_host_name(tmp_path: Path) -> None:
    within = namespaces()
    with holder(tmp_path, within=within):
        mark = marks_in(tmp_path)["run"]
        assert mark.holder_lives() is True
        assert look(tmp_path, within=within) == "True", "from a third namespace"
    # The pid is that of unshare, its parent;
    # the process itself is the namespace's init, and may end a moment later.
    deadline = time.monotonic() + 60
    while mark.holder_lives() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert mark.holder_lives() is False
    assert look(tmp_path, within=within) == "False"


def test_a_child_that_outlives_its_parent_does_not_hold_the_lock(tmp_path: Path) -> None:
    with holder(tmp_path, "fork") as process:
        mark = marks_in(tmp_path)["run"]
        assert mark.holder_lives() is True, "the child's end of the block released nothing"
        process.kill()
        process.wait()
        assert mark.holder_lives() is False


def test_what_is_not_the_very_same_file_of_this_kernel_says_nothing(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        mark = marks_in(tmp_path)["run"]
        process.kill()
        process.wait()
    assert replace(mark, boot="another").holder_lives() is None
    assert replace(mark, inode=mark.inode + 1).holder_lives() is None
    assert replace(mark, device=mark.device + 1).holder_lives() is None
    assert replace(mark, path=f"{mark.path}-elsewhere").holder_lives() is None
    replace(mark, inode=mark.inode + 1).remove()
    assert mark.holder_lives() is False, "a file that is not the mark's own is not removed"


def test_a_holder_that_ends_in_order_at_this_moment_is_not_taken_for_one_that_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with holder(tmp_path) as process:
        mark = marks_in(tmp_path)["run"]
        process.kill()
        process.wait()
    # Its file is removed, and then its lock released,
    # between the check of the file and the check of the lock.
    monkeypatch.setattr(process_lock.fcntl, "lockf", lambda *_: Path(mark.path).unlink())  # type: ignore[attr-defined]
    assert mark.holder_lives() is None


def test_a_process_that_looks_at_its_own_lock_keeps_it(tmp_path: Path) -> None:
    lock = ProcessLock.hold(tmp_path, "run")
    assert lock is not None
    assert lock.mark.holder_lives() is True
    assert look(tmp_path) == "True"
    lock.release()
    assert lock.mark.holder_lives() is None
    assert marks_in(tmp_path) == {}


def test_where_no_lock_can_be_had_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    assert ProcessLock.hold(tmp_path / "file" / "below", "run") is None
    monkeypatch.setattr(process_lock, "_BOOT_ID", tmp_path / "no such file")
    assert ProcessLock.hold(tmp_path, "run") is None
    assert not [path for path in tmp_path.iterdir() if path.name != "file"]
