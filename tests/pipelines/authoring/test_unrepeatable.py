"""Calls of a clock or of chance in a transform, found in its text."""

import ast

import pytest

from pipelines.authoring.loading.module_source import unrepeatable_calls
from tests.pipelines.authoring.conftest import Tree


def _calls(body: str) -> list[str]:
    return [told for _, told in unrepeatable_calls(ast.parse(f"def happened(rows):\n    return {body}"))]


@pytest.mark.parametrize(
    "call",
    [
        "date.today()", "dt.date.today()", "datetime.now(UTC)", "pd.Timestamp.now('UTC')", "datetime.utcnow()",
        "pd.Timestamp('now')", "pd.to_datetime('today')", "time.time()", "time.time_ns()", "uuid.uuid4()", "uuid4()",
        "os.urandom(4)", "random.random()", "np.random.rand(3)", "np.random.default_rng().integers(9)",
        "secrets.token_hex()", "random.choice([1, 2])", "np.datetime64('today')", "time.strftime('%Y')", "time.ctime()",
        "hash('a')", "id(rows)",
    ],
)  # fmt: skip
def test_a_clock_or_chance_is_seen(call: str) -> None:
    expected = [f"{call.partition('(')[0]}()"]
    assert _calls(f"rows.assign(x={call})") == expected


@pytest.mark.parametrize(
    "call",
    [
        "[t.time() for t in rows['at']]", "rows['at'].dt.time", "rows['at'].dt.date", "pd.Timestamp('2024-01-01')",
        "np.random.default_rng(7).integers(9)", "time.strftime('%Y', time.gmtime(0))", "rows.now", "uuid.uuid5(NS, 'a')",
        "rows['n'].sum()", "rows['n'].map(str)", "np.datetime64('2024-01-01')", "','.join(sorted({'a', 'b'}))",
        "hashlib.sha256(b'a').hexdigest()", "pd.util.hash_array(rows['n'])", "[norm(id) for id in rows['id']]",
    ],
)  # fmt: skip
def test_what_is_the_same_each_time_is_not(call: str) -> None:
    assert _calls(f"rows.assign(x={call})") == []


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("rows['id'].map(hash)", "hash()"),
        ("','.join(set(parts))", "join() of a set"),
        ("','.join({p.strip() for p in parts})", "join() of a set"),
    ],
)
def test_what_differs_between_processes_is_seen(call: str, told: str) -> None:
    assert _calls(f"rows.assign(x={call})") == [told]


def test_other_functions_and_constants_of_the_module_are_seen() -> None:
    module = ast.parse(
        "YEAR = date.today().year\ndef stamp():\n    return time.time()\ndef happened(rows):\n    return rows"
    )
    assert unrepeatable_calls(module) == [(1, "date.today()"), (3, "time.time()")]


def test_a_name_of_its_own_is_another_function() -> None:
    for own in (
        "def hash(text):\n    return 1",
        "from tools import hash",
        "def happened(rows, hash=stable):\n    pass",
    ):
        assert unrepeatable_calls(ast.parse(f"{own}\nX = hash('a')\nY = rows.map(hash)")) == []


def test_it_is_a_note_with_its_line(tree: Tree) -> None:
    tree.event(replace={"    return rows": '    return rows.assign(delay_minutes=pd.Timestamp("now").year)'})
    (note,) = tree.load().warnings
    assert (
        note.line == 21
        and "the module calls pd.Timestamp(), which gives another value in every run" in note.problem
    )
