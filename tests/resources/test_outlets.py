"""No secret and no control character leaves a process: by print, by a log record, by a stack trace."""

import io
import json
import logging
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.security import outlets
from resources.security.masking import STARS, Secret
from resources.security.outlets import _COLOUR, _cleaned, _Guarded, _Records, drawing
from resources.security.printable import in_one_line, printable
from resources.security.secrets import learn

HOSTILE = "\x1b]0;title\x07 \x1b[31mred\x1b[0m \x9b31m \x7f \u202etxt\u2066 \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\"


@given(st.text())
def test_printable_text_has_nothing_that_a_terminal_obeys(text: str) -> None:
    shown = printable(text)
    assert all(
        one in "\n\t" or one.isprintable() or one.isspace() or ord(one) > 0x2FFF or one in text
        for one in shown
    )
    assert not any((ord(one) < 32 and one not in "\n\t") or 0x7F <= ord(one) < 0xA0 for one in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
    assert printable(shown) == shown and "\n" not in in_one_line(text)


@given(
    st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_json_stays_json_of_the_same_values(value: object) -> None:
    written = json.dumps(value, ensure_ascii=False)
    assert json.loads(printable(written)) == value


def test_json_stays_json_where_a_secret_looks_like_a_number() -> None:
    learn([Secret("12345678")])
    shown = _cleaned(json.dumps([{"rows": 12345678, "said": "12345678"}]), None)
    assert json.loads(shown) == [{"rows": 12345678, "said": STARS}]


def test_a_terminal_gets_colours_of_ours_and_nothing_else() -> None:
    shown = _cleaned(f"\x1b[31mError: \x1b[0m{HOSTILE}", _COLOUR)
    assert shown.startswith("\x1b[31mError: \x1b[0m")
    assert "\x1b]" not in shown and "\x9b" not in shown and "\u202e" not in shown
    assert "\x1b" not in _cleaned(f"\x1b[31m{HOSTILE}", None)


@pytest.mark.parametrize(
    "sequence", ["\x1b[3A", "\x1b[2K", "\x1b[?1049h", "\x1b[8m", "\x1b[30;40m", "\x1b[38;5;0m", "\r"]
)
def test_only_a_progress_bar_moves_the_cursor(sequence: str) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    inner = Terminal()
    stream = _Guarded(inner)
    stream.write(f"a{sequence}b")
    assert sequence not in inner.getvalue()
    drawing(stream).write(f"{sequence}b")  # type: ignore[arg-type]
    assert inner.getvalue().endswith(f"{sequence}b")
    assert drawing(inner) is inner


def test_a_log_in_a_file_has_no_colours_and_data_keep_every_character() -> None:
    logged, data = io.StringIO(), io.StringIO()
    assert _Guarded(logged, says=True).write("\x1b[32mnow\x1b[0m \x1b[2J") == 17
    _Guarded(data).write("\x1b[32mkey")
    assert logged.getvalue() == "now \\u001b[2J" and data.getvalue() == "\\u001b[32mkey"


def test_code_of_others_cannot_close_a_guarded_stream() -> None:
    inner = io.StringIO()
    _Guarded(inner).close()
    assert not inner.closed


def test_a_guarded_stream_is_the_stream_in_all_else() -> None:
    learn([Secret("zebraball")])
    inner = io.StringIO()
    stream = _Guarded(inner)
    assert stream.write("zebraball\x1b[2J\n") == 14
    stream.writelines(["a", "b"])
    assert inner.getvalue() == f"{STARS}\\u001b[2J\nab"
    assert stream.isatty() is False and stream.encoding == inner.encoding
    with pytest.raises(TypeError):
        stream.write(b"")  # type: ignore[arg-type]


def test_log_records_are_cleaned_with_their_arguments_and_their_stack() -> None:
    learn([Secret("zebraball")])
    make = _Records(logging.LogRecord)
    record = make("x", logging.INFO, "x", 1, "%s of %r", ("zebraball", ValueError("zebraball")), None)
    assert record.getMessage() == f"{STARS} of ValueError('{STARS}')"
    try:
        raise ValueError("zebraball \x1b[2J https://me:unknown@host")
    except ValueError:
        record = make("x", logging.ERROR, "x", 1, "it \x1b]0;t\x07 failed", (), sys.exc_info())
    written = logging.Formatter().format(record)
    assert (
        "ValueError" in written
        and "zebra" not in written
        and "\x1b" not in written
        and "unknown" not in written
    )
    assert make("x", 20, "x", 1, "%s", (), None).msg == "%s"


def test_a_process_that_dies_of_a_defect_shows_no_secret() -> None:
    code = "from resources.security.outlets import guard_outlets; guard_outlets(); guard_outlets(); import os; print(os.environ['PGPASSWORD']); raise KeyError(os.environ['PGPASSWORD'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PGPASSWORD": "zebraball", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "KeyError" in done.stderr and STARS in done.stdout
    assert "zebra" not in done.stdout + done.stderr


def test_outlets_are_guarded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.StringIO())
    before = logging.getLogRecordFactory()
    try:
        outlets.guard_outlets()
        once = sys.stdout, sys.stderr, logging.getLogRecordFactory()
        outlets.guard_outlets()
        assert once == (sys.stdout, sys.stderr, logging.getLogRecordFactory())
    finally:
        logging.setLogRecordFactory(before)
