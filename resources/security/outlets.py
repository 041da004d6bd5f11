"""Where text leaves a process: its standard output and error, and its log records. Opened by each process at its start.

Each text passes here once as a whole, so that no command and no library needs to know about secrets (`resources.security.secrets`)
and terminals (`resources.security.printable`).
"""

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TextIO, cast

from resources.security.masking import secrets_of_environment
from resources.security.printable import printable
from resources.security.secrets import hide, hide_all, learn

# What commands send to a terminal: bold, dim and the eight colours. Nothing that hides a text.
_COLOUR = re.compile(r"(\x1b\[(?:(?:[0-2]|22|3[0-79])(?:;(?:[0-2]|22|3[0-79]))*)?m)")
# A progress bar moves the cursor, too, and has other colours.
_DRAWING = re.compile(r"(\x1b\[[0-9;]*m|\x1b\[\??[0-9]*[AKhl]|\r)")
_JSON_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')


def guard_outlets() -> None:
    """From now on no text of this process shows a secret or a control character. Harmless twice."""
    learn(secrets_of_environment(os.environ))
    if not isinstance(sys.stdout, _Guarded):
        sys.stdout = cast(TextIO, _Guarded(sys.stdout))
    if not isinstance(sys.stderr, _Guarded):
        sys.stderr = cast(TextIO, _Guarded(sys.stderr, says=True))
    if not isinstance(logging.getLogRecordFactory(), _Records):
        logging.setLogRecordFactory(_Records(logging.getLogRecordFactory()))


class _Guarded:
    """A stream whose texts are cleaned; all else is the stream's own. `says`: it has messages and logs and no data, so
    colours are left out where no terminal shows them."""

    def __init__(self, stream: TextIO, own: re.Pattern[str] = _COLOUR, *, says: bool = False) -> None:
        self._stream, self._own, self._says = stream, own, says

    def drawing(self) -> "_Guarded":
        """The same stream for a progress bar."""
        return _Guarded(self._stream, _DRAWING)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write it, cleaned. Returns the length of what was given."""
        if not isinstance(text, str):
            raise TypeError(f"a stream of text was given {type(text).__name__}")
        on_terminal = self._stream.isatty()
        plain = _COLOUR.sub("", text) if self._says and not on_terminal else text
        self._stream.write(_cleaned(plain, self._own if on_terminal else None))
        return len(text)

    def close(self) -> None:
        """Stays open: it is the process's, whatever code of others does."""
        self._stream.flush()

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each, cleaned."""
        for line in lines:
            self.write(line)


def drawing(stream: TextIO) -> TextIO:
    """The stream as a progress bar needs it, whose movements of the cursor pass. Its texts must be harmless already."""
    return cast(TextIO, stream.drawing()) if isinstance(stream, _Guarded) else stream


def _cleaned(text: str, own: re.Pattern[str] | None) -> str:
    hidden = hide(text)
    if hidden != text and text[:1] in ("{", "["):
        with suppress(ValueError):
            json.loads(text)
            # A number that a secret looks like stays one.
            hidden = _JSON_TEXT.sub(lambda one: hide(one[0]), text)
    if own is None or ("\x1b" not in hidden and "\r" not in hidden):
        return printable(hidden)
    return "".join(piece if place % 2 else printable(piece) for place, piece in enumerate(own.split(hidden)))


class _Records:
    """Makes log records whose text is cleaned, whatever handler then writes it."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **more: Any) -> logging.LogRecord:
        record = self._make(*args, **more)
        # Part by part, since some formatters look at the parts.
        record.msg = _clean_part(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(map(_clean_part, record.args))
        with suppress(Exception):  # where message and arguments do not fit, logging says so itself
            said = record.getMessage()
            if (cleaned := _clean_part(said)) != said:
                record.msg, record.args = cleaned, None
        if record.exc_info and record.exc_info[0] is not None:
            # Formatters take this where it is there.
            record.exc_text = printable(hide_all(logging.Formatter().formatException(record.exc_info)))
        return record


def _clean_part(part: object) -> Any:
    return printable(hide_all(part)) if isinstance(part, str) else part
