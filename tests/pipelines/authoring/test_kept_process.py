"""If a module ends or changes the process while it is imported, one event has a mistake;
the others load as before."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipelines.authoring.loading.kept_process import process_kept
from tests.pipelines.authoring.conftest import Tree

pytestmark = pytest.mark.slow

ENDS = "importing it ends the program"


@pytest.mark.parametrize(
    "call",
    [
        "os._exit(3)",
        "os.abort()",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "os.kill(0, signal.SIGINT)",
        "os.killpg(os.getpgrp(), signal.SIGTERM)",
        "signal.raise_signal(signal.SIGINT)",
        "__import__('_thread').interrupt_main()",
    ],
)
def test_a_module_that_ends_the_process_is_one_problem(tree: Tree, call: str) -> None:
    tree.event(replace={"import pandas as pd": f"import os, signal\nimport pandas as pd\n{call}"})
    assert ENDS in tree.problem()


@pytest.mark.parametrize(
    "change",
    [
        "os.chdir('/')",
        "os.umask(0)",
        "sys.setrecursionlimit(sys.getrecursionlimit() - 100)",
        "sys.path.clear()",
        "os.environ['SLUICE_HOME'] = '/nowhere'",
        "os.environ['PGPASSWORD'] = 'x'",
        "os.environ.pop('SLUICE_LEDGER_TOPIC')",
    ],
)
def test_what_a_module_changes_of_the_process_is_undone(
    tree: Tree, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_LEDGER_TOPIC", "ledger")
    before = _state()
    tree.event(replace={"import pandas as pd": f"import os, sys\nimport pandas as pd\n{change}"})
    tree.load()
    assert _state() == before


def _state() -> tuple[object, ...]:
    umask = os.umask(0o077)
    os.umask(umask)
    return Path.cwd(), umask, sys.getrecursionlimit(), list(sys.path), dict(os.environ)


def test_other_processes_and_threads_are_the_modules_own_business() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    try:
        with process_kept():
            os.kill(os.getpid(), 0)
            child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
            os.kill(child.pid, signal.SIGTERM)
            child.communicate()
            assert child.returncode == -signal.SIGTERM
            other = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGUSR1))
            other.start()
            other.join()
            kept = os.kill
        kept(os.getpid(), signal.SIGUSR1)  # a module may have kept the replaced function
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard == [signal.SIGUSR1, signal.SIGUSR1]


def test_a_child_that_a_module_forks_does_not_go_on_as_a_second_command() -> None:
    code = (
        "import os\nfrom pipelines.authoring.loading.kept_process import process_kept\n"
        "with process_kept():\n    child = os.fork()\n"
        "print('went on'); os.waitpid(child, 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "went on\n"
