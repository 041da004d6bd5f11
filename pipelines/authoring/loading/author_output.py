"""Keeps what an author's code prints out of the command's own output."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout


class _Aside(io.TextIOBase):
    """Writes to the `sys.stderr` of the moment. Closing it does not close the command's stream."""

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
        """Does nothing: the stream belongs to the command."""


@contextmanager
def author_output_aside() -> Iterator[None]:
    """Within the block, everything that is printed goes to stderr: stdout belongs to the command and may be
    JSON for programs. If the code replaces `sys.stdout` or `sys.stderr`, that ends with the block."""
    errors = sys.stderr
    with redirect_stdout(_Aside()):
        try:
            yield
        finally:
            sys.stderr = errors
