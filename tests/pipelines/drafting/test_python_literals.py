"""Names from a warehouse are text in a drafted file, whatever they contain, and never code."""

import ast
import json

import duckdb
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.authoring.sql.analysis import analyse
from pipelines.drafting.candidates import Choice
from pipelines.drafting.draft import Draft, Request, draft
from pipelines.drafting.python_literals import block, literal, require_declaration, require_plain
from resources.errors import SluiceError
from resources.security.printable import in_one_line
from resources.warehouse import Column, SourceTable

EVIL = [
    '"""\nimport os\nos.system("touch ran")\n"""', '""" + open("ran", "w").name + """', '"', '"""', '""""""', "\\",
    '\\"""', "\\\\", "\\n", "'", "'''", "{x}", "%s", "100%", "a b", "a.b", "a:b", ":window_start", ":n",
    "größe", "класс", "class", "None", "--", "/* ", " */", "; DROP TABLE t", "$$", "$window_start", "é" * 300, "#", "\U0001f600",
]  # fmt: skip
PLAIN = st.text(st.characters(exclude_categories=["Cc", "Cf", "Zl", "Zp", "Cs"]), min_size=1, max_size=40)
REQUEST = Request("probe", "thing_happened", "daily", "2024-01-01", "default", "team:probe")
KEY, TIME = Column("id", pa.int64(), False), Column("at", pa.timestamp("us", "UTC"), False)


def made_of(names: list[str], table: str = "things", comment: str | None = None, **changes: str) -> Draft:
    columns = (KEY, TIME, *(Column(name, pa.string(), True, comment=comment) for name in names))
    request = Request(**{**REQUEST.__dict__, **changes})
    source = SourceTable((table,), columns, comment=comment)
    return draft(request, source, Choice(KEY, "", comment), Choice(TIME, ""))


def drafted(names: list[str], **changes: str) -> ast.Module:
    return ast.parse(made_of(names, **changes).module)


def source_of(module: ast.Module) -> str:
    function = module.body[-1]
    assert isinstance(function, ast.FunctionDef) and isinstance(function.decorator_list[0], ast.Call)
    (source,) = [k.value for k in function.decorator_list[0].keywords if k.arg == "source"]
    found: str = ast.literal_eval(source)
    return found


@given(PLAIN)
@example('"""')
@example("\\")
def test_what_is_written_is_read_again(text: str) -> None:
    assert ast.literal_eval(literal(text)) == text
    assert ast.literal_eval(block(f"\n{text}\n")) == f"\n{text}\n"


@given(st.text(max_size=20))
def test_a_literal_holds_any_text(text: str) -> None:
    assert ast.literal_eval(literal(text)) == text


@pytest.mark.parametrize("name", EVIL)
def test_a_column_of_any_name_is_read_by_the_drafted_query(name: str) -> None:
    if "\n" in name:
        with pytest.raises(SluiceError, match="control character U\\+000A"):
            require_plain("column", [name])
        name = name.replace("\n", " ")
    require_plain("column", [name])
    query, _ = analyse(source_of(drafted([name, "plain"])), "duckdb")
    with duckdb.connect() as connection:
        quoted = '"' + name.replace('"', '""') + '"'
        connection.execute(f'CREATE TABLE things (id BIGINT, "at" TIMESTAMPTZ, {quoted} TEXT, plain TEXT)')
        connection.execute("INSERT INTO things VALUES (1, '2024-01-01 12:00+00', 'seven', 'x')")
        bounds = {"window_start": "2024-01-01 00:00+00", "window_end": "2024-01-02 00:00+00"}
        (row,) = connection.execute(query.to_style("duckdb"), bounds).fetchall()
    assert row[2:] == ("seven", "x")


@given(PLAIN, PLAIN, PLAIN, st.text(max_size=200))
@example("a", "b", "c", '""" + open("ran") + """')
@example("a", "b", "c", "\\")
@example("a", "b", "c", "\u2028\u202e\ud800\0\x1b\r\n")
def test_a_draft_is_a_declaration_and_nothing_else(column: str, table: str, owner: str, comment: str) -> None:
    made = made_of([column], table=table, owner=owner, warehouse=owner, start=owner, comment=comment)
    lines = (made.module + made.contract).splitlines()
    assert "\n".join(map(in_one_line, lines)) == (made.module + made.contract).removesuffix("\n")
    module = ast.parse(made.module)
    assert [type(node).__name__ for node in module.body] == ["Expr", "Import", "ImportFrom", "FunctionDef"]
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]
    assert sorted(call.func.id for call in calls if isinstance(call.func, ast.Name)) == ["daily", "event"]


@pytest.mark.parametrize(
    "character",
    ["\n", "\r", "\0", "\x1b", "\x7f", "\x9b", "\u202e", "\u2066", "\u200b", "\u2028", "\ud800", "\ufeff"],
)
def test_characters_that_are_not_shown_are_refused_by_name(character: str) -> None:
    with pytest.raises(SluiceError, match=f"control character U\\+{ord(character):04X}") as caught:
        require_plain("things: the column", ["fine", f"a{character}b"])
    assert character == "\n" or character not in str(caught.value)


def test_columns_that_become_the_same_field_are_numbered() -> None:
    made = made_of(["a b", "a-b", "a_b", "a_b_2", "a.b", "A_B", "Id"])
    fields = [field["name"] for field in json.loads(made.contract)["fields"]]
    assert fields == ["id", "at", "a_b_4", "a_b_5", "a_b", "a_b_2", "a_b_6", "A_B_3", "Id_2"]


def test_a_module_that_does_more_is_no_draft() -> None:
    good = made_of([]).module
    arguments = {
        "topic": "probe.thing-happened.v1", "key": "id", "event_time": "at", "owner": "team:probe",
        "source": source_of(ast.parse(good)),
    }  # fmt: skip
    require = {"name": "thing_happened", "cadence": "daily", "start": "2024-01-01"}
    require_declaration(good, arguments=arguments, **require)
    for old, new in (
        ('key="id"', 'key=open("ran")'),
        ("return rows", "import os"),
        ("import pandas as pd", "import os as pd"),
        ('daily("2024-01-01")', 'daily("2024-01-01", delay=f())'),
        ('owner="team:probe"', 'owner="team:other"'),
        ("\n@event", "\nprint()\n@event"),
    ):
        with pytest.raises((ValueError, AssertionError)):
            require_declaration(good.replace(old, new), arguments=arguments, **require)
