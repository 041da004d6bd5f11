"""Keys, values and reasons that commands print cannot move a terminal's cursor, and tables stay aligned."""

from types import SimpleNamespace
from typing import Any, cast

import click
import pytest

from pipelines.cli.commands.tail import _print
from pipelines.cli.output.errors import lines_of, tell
from pipelines.cli.output.tables import cut, table
from pipelines.cli.output.unfinished_windows import tell_unfinished
from pipelines.cli.root import sluice
from resources.errors import Problem, SluiceError
from resources.security.masking import STARS, Secret
from resources.security.secrets import learn

HOSTILE = "a\x1b[2J\x1b]8;;http://x\x07b\x9b31m\u202ec\x7f\r\nError: d"


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a terminal: click keeps the codes that it would remove for a pipe."""
    monkeypatch.setattr(click.utils, "should_strip_ansi", lambda *_: False)
    learn([Secret("zebraball")])


def harmless(text: str) -> bool:
    plain = click.unstyle(text)
    return not any(
        (ord(one) < 32 and one != "\n") or 0x7F <= ord(one) < 0xA0 or one == "\u202e" for one in plain
    )


def test_cells_of_a_table_are_harmless_and_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    table(("key", "reason"), [(HOSTILE, 1), ("b", 2), ("me:zebraball", 3)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and harmless("\n".join(lines)) and "\x1b" not in lines[1]
    # In every line the number ends below the end of its heading.
    assert len({len(line) for line in lines}) == 1
    assert "zebra" not in lines[3]


def test_what_is_cut_shows_no_beginning_of_a_secret() -> None:
    assert cut("x" * 8 + "zebraball", 14) == f"{'x' * 8}{STARS[:5]}…"


def test_keys_and_reasons_are_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    record = SimpleNamespace(
        timestamp_ms=0, key=HOSTILE, value={"field": HOSTILE}, problem=None, headers={"reason": HOSTILE},
        kafka_partition=0, offset=0,
    )  # fmt: skip
    _print(cast(Any, record), as_json=False)
    _print(cast(Any, SimpleNamespace(**{**vars(record), "problem": HOSTILE})), as_json=False)
    one = SimpleNamespace(
        event="e", window="w", state="failed", at="", run_id="r", reason=HOSTILE, next_step=""
    )
    tell_unfinished([cast(Any, one)])
    tell(SluiceError("here", HOSTILE, allowed=HOSTILE, next_step=HOSTILE))
    for line in lines_of(Problem(HOSTILE, HOSTILE)):
        click.echo(line)
    told = capsys.readouterr()
    # The stream itself escapes JSON's special characters.
    shown = (told.out + told.err).replace(HOSTILE[-9], "")
    assert "\x1b[2J" not in shown and "\x1b]" not in shown
    assert harmless(told.err)


def test_what_was_typed_is_harmless_in_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        sluice(["replay", "flight_departed", "2013-01-01", "--reason", "x", "--keys", f"/no{HOSTILE}"])
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert "cannot be read" in told and "\x1b[2J" not in told and harmless(told)
