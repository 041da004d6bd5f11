"""Calls of a clock or of chance in a transform, seen in its text."""

import ast

import pytest

from pipelines.authoring.module_source import unrepeatable_calls
from tests.pipelines.authoring.conftest import Tree


def _calls(body: str) -> list[str]:
    (function,) = ast.parse(f"def happened(rows):\n    return {body}").body
    assert isinstance(function, ast.FunctionDef)
    return [name for _, name in unrepeatable_calls(function)]


@pytest.mark.parametrize(
    "call",
    [
        "date.today()", "dt.date.today()", "datetime.now(UTC)", "pd.Timestamp.now('UTC')", "datetime.utcnow()",
        "pd.Timestamp('now')", "pd.to_datetime('today')", "time.time()", "time.time_ns()", "uuid.uuid4()", "uuid4()",
        "os.urandom(4)", "random.random()", "np.random.rand(3)", "np.random.default_rng().integers(9)",
        "secrets.token_hex()", "random.choice([1, 2])",
    ],
)  # fmt: skip
def test_a_clock_or_chance_is_seen(call: str) -> None:
    expected = [call.partition("(")[0]]
    assert _calls(f"rows.assign(x={call})") == expected


@pytest.mark.parametrize(
    "call",
    [
        "[t.time() for t in rows['at']]", "rows['at'].dt.time", "rows['at'].dt.date", "pd.Timestamp('2024-01-01')",
        "np.random.default_rng(7).integers(9)", "time.strftime('%Y', time.gmtime(0))", "rows.now", "uuid.uuid5(NS, 'a')",
        "rows['n'].sum()",
    ],
)  # fmt: skip
def test_what_is_the_same_each_time_is_not(call: str) -> None:
    assert _calls(f"rows.assign(x={call})") == []


def test_it_is_a_note_with_its_line(tree: Tree) -> None:
    tree.event(replace={"    return rows": '    return rows.assign(delay_minutes=pd.Timestamp("now").year)'})
    (note,) = tree.load().warnings
    assert note.line == 21 and "calls pd.Timestamp(), which gives another value in every run" in note.problem
