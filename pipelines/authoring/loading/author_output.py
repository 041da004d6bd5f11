"""Keeps what an author's code prints out of the command's own output."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout


class _Aside(io.TextIOBase):
    """Writes to the stderr of the moment. Whoever closes it closes nothing of the command's."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return sys.stderr.fileno()

    def isatty(self) -> bool:
        return sys.stderr.isatty()

    def close(self) -> None:
        """Stays open: it is the command's."""


@contextmanager
def author_output_aside() -> Iterator[None]:
    """Within the block what is printed goes to stderr: stdout is the command's own, which may be JSON for programs. What
    the code does to `sys.stdout` and `sys.stderr` themselves ends with the block."""
    errors = sys.stderr
    with redirect_stdout(_Aside()):
        try:
            yield
        finally:
            sys.stderr = errors
