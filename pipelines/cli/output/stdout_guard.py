"""Stdout belongs to the command: it may be JSON for programs, whatever else in the process writes."""

import io
import os
import sys
import threading
from contextlib import suppress


class _Own(io.TextIOWrapper):
    """A command prints in the main thread; if another thread prints, it belongs to an author's code."""

    def write(self, text: str) -> int:
        if threading.current_thread() is not threading.main_thread():
            return sys.stderr.write(text)
        return super().write(text)


def own_stdout() -> None:
    """From now on only `sys.stdout` writes to the original stdout; file descriptor 1 leads to stderr.

    So the output of a module, a library in C or a child process does not get between the lines of the
    command. What an author's code writes to `sys.stdout` is redirected where that code is called; the output
    of its threads goes to stderr too.
    """
    with suppress(
        OSError, ValueError, AttributeError
    ):  # a process without stdout or stderr has nothing to mix up
        sys.stdout.flush()
        encoding = sys.stdout.encoding
        own = os.dup(1)
        os.dup2(2, 1)
        # A lone surrogate, which JSON can hold and UTF-8 cannot, is written as its escape.
        sys.stdout = _Own(os.fdopen(own, "wb"), encoding, "backslashreplace", line_buffering=os.isatty(own))


def end_own_stdout() -> None:
    """The command has printed everything: what is printed while the process ends goes to stderr."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    sys.stdout = sys.stderr
