"""Stdout has only the command's own output, whatever a module, a transform, C or a child process writes."""

import subprocess
import sys

NOISE = """
import ctypes, json, os, subprocess, sys
from pipelines.authoring.loading.author_output import author_output_aside
from pipelines.cli.output.stdout_guard import own_stdout
own_stdout()
with author_output_aside():
    print("PRINTED")
    sys.stdout.write("WRITTEN\\n")
    os.write(1, b"BY DESCRIPTOR\\n")
    subprocess.run(["echo", "BY A CHILD"], check=True)
    library = ctypes.CDLL(None)
    library.puts(b"BY C")
    library.fflush(None)
    sys.stdout.close()
    print("AFTER CLOSING")
    sys.stderr = None
print(json.dumps({"half": "\\ud800"}, ensure_ascii=False))
print("last words", file=sys.stderr)
"""


def test_noise_goes_to_stderr_and_stdout_stays_json() -> None:
    done = subprocess.run([sys.executable, "-c", NOISE], capture_output=True, check=True)
    assert done.stdout == b'{"half": "\\ud800"}\n'
    said = done.stderr.decode()
    for words in ("PRINTED", "WRITTEN", "BY DESCRIPTOR", "BY A CHILD", "BY C", "AFTER CLOSING", "last words"):
        assert words in said


def test_what_threads_and_exit_handlers_print_is_not_the_commands() -> None:
    code = """
import atexit, sys, threading
sys.argv = ["sluice", "--version"]
def speak():
    print("FROM A THREAD")
from pipelines.cli import main, root
from pipelines.cli.output import stdout_guard
say = root.sluice.main
def speaking(*args, **more):
    thread = threading.Thread(target=speak); thread.start(); thread.join()
    return say(*args, **more)
root.sluice.main = speaking
atexit.register(print, "AT EXIT")
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("sluice ") and done.stdout.count("\n") == 1
    assert done.stderr == "FROM A THREAD\nAT EXIT\n"


def test_a_process_without_stdout_has_nothing_to_keep() -> None:
    code = "import sys; sys.stdout = None; from pipelines.cli.output.stdout_guard import own_stdout; own_stdout()"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
