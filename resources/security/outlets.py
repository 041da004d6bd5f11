"""The places where text leaves a process: its standard output and error, and its log records. Each
process guards them at its start.

Each text passes through here once, as a whole. So no command and no library needs to know about secrets
(`resources.security.secrets`) and terminals (`resources.security.printable`).
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

# What commands send to a terminal: bold, dim and the eight colours. Nothing here can hide a text.
_COLOUR = re.compile(r"(\x1b\[(?:(?:[0-2]|22|3[0-79])(?:;(?:[0-2]|22|3[0-79]))*)?m)")
# A progress bar also moves the cursor, and has other colours.
_DRAWING = re.compile(r"(\x1b\[[0-9;]*m|\x1b\[\??[0-9]*[AKhl]|\r)")
_JSON_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')


def guard_outlets() -> None:
    """From now on no text of this process shows a secret or a control character.
    Calling it twice does no harm."""
    learn(secrets_of_environment(os.environ))
    if not isinstance(sys.stdout, _Guarded):
        sys.stdout = cast(TextIO, _Guarded(sys.stdout))
    if not isinstance(sys.stderr, _Guarded):
        sys.stderr = cast(TextIO, _Guarded(sys.stderr, says=True))
    if not isinstance(logging.getLogRecordFactory(), _Records):
        logging.setLogRecordFactory(_Records(logging.getLogRecordFactory()))


class _Guarded:
    """A stream whose texts are cleaned; everything else is the stream's own. `says`: the stream carries
    messages and logs, not data, so colours are removed if it is not a terminal."""

    def __init__(self, stream: TextIO, own: re.Pattern[str] = _COLOUR, *, says: bool = False) -> None:
        self._stream, self._own, self._says = stream, own, says

    def drawing(self) -> "_Guarded":
        """The same stream for a progress bar."""
        return _Guarded(self._stream, _DRAWING)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write the text, cleaned. Returns the length of the text before cleaning."""
        if not isinstance(text, str):
            raise TypeError(f"a stream of text was given {type(text).__name__}")
        on_terminal = self._stream.isatty()
        plain = _COLOUR.sub("", text) if self._says and not on_terminal else text
        self._stream.write(_cleaned(plain, self._own if on_terminal else None))
        return len(text)

    def close(self) -> None:
        """Only flush. The stream stays open, because it belongs to the process,
        whatever foreign code does."""
        self._stream.flush()

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each line, cleaned."""
        for line in lines:
            self.write(line)


def drawing(stream: TextIO) -> TextIO:
    """The stream for a progress bar: movements of the cursor pass. Its texts must already be harmless."""
    return cast(TextIO, stream.drawing()) if isinstance(stream, _Guarded) else stream


def _cleaned(text: str, own: re.Pattern[str] | None) -> str:
    hidden = hide(text)
    if hidden != text and text[:1] in ("{", "["):
        with suppress(ValueError):
            json.loads(text)
            # Only texts in the JSON are masked: a number stays, even if a secret looks like it.
            hidden = _JSON_TEXT.sub(lambda one: hide(one[0]), text)
    if own is None or ("\x1b" not in hidden and "\r" not in hidden):
        return printable(hidden)
    return "".join(piece if place % 2 else printable(piece) for place, piece in enumerate(own.split(hidden)))


class _Records:
    """Creates log records with cleaned text, whatever handler writes them."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **more: Any) -> logging.LogRecord:
        record = self._make(*args, **more)
        # Each part separately, because some formatters read the parts.
        record.msg = _clean_part(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(map(_clean_part, record.args))
        with suppress(Exception):  # if message and arguments do not match, logging itself reports it
            said = record.getMessage()
            if (cleaned := _clean_part(said)) != said:
                record.msg, record.args = cleaned, None
        if record.exc_info and record.exc_info[0] is not None:
            # If this text is set, formatters use it.
            record.exc_text = printable(hide_all(logging.Formatter().formatException(record.exc_info)))
        return record


def _clean_part(part: object) -> Any:
    return printable(hide_all(part)) if isinstance(part, str) else part
