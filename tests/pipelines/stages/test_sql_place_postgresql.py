"""What a real PostgreSQL says about a query, with the line of the module that has the fault."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.authoring.event import Event
from pipelines.authoring.loading.discovery import load_catalogue
from pipelines.stages.source import source_window
from resources.errors import SluiceError
from resources.platform import Platform
from resources.settings import load_settings
from tests.fixtures_postgres import PostgresServer, execute

CONTRACT = {
    "type": "record",
    "name": "Happened",
    "namespace": "tests",
    "doc": "It.",
    "fields": [
        {"name": "id", "type": "string", "doc": "It."},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "It, UTC."},
        {"name": "n", "type": "long", "doc": "It."},
    ],
}
HEAD = '''"""Something happened."""
from pipelines import daily, event


@event(
    topic="tests.happened.v1",
    key="id",
    event_time="at",
    windows=daily("2013-01-01"),
    owner="team:tests",
    source="""'''
TAIL = '''""",
)
def happened(rows):
    """As they come."""
    return rows.assign()
'''
WHERE = "WHERE at >= :window_start AND at < :window_end"
# name: the query with its fault, a part of the line that has it, and what the server says
FAULTS = {
    "a missing column in the first line": (f"SELECT id, at, flght AS n FROM happenings {WHERE}", "flght", '"flght" does not exist'),
    "a missing column in the middle": (f"\n    SELECT\n        id,\n        at,\n        flght AS n\n    FROM happenings\n    {WHERE}\n    ", "flght", '"flght" does not exist'),
    "a missing column in the last line": (f"\n    SELECT id, at, n\n    FROM happenings\n    {WHERE}\n        AND flght > 0", "flght", '"flght" does not exist'),
    "a missing column behind a parameter": (f"\n    SELECT id, at, n FROM happenings\n    {WHERE} AND flght > 0\n    ", "flght", '"flght" does not exist'),
    "a missing table": (f"\n    SELECT id, at, n\n    FROM happennings\n    {WHERE}\n    ", "happennings", '"happennings" does not exist'),
    "a function that is not there": (f"\n    SELECT id, at,\n        lenght(id) AS n\n    FROM happenings\n    {WHERE}\n    ", "lenght", "lenght"),
    "types that do not go together": (f"\n    SELECT id, at, n\n    FROM happenings\n    {WHERE}\n        AND n = at\n    ", "n = at", "operator does not exist"),
    "a value that is no number": (f"\n    SELECT id, at,\n        CAST('x1' AS bigint) AS n\n    FROM happenings\n    {WHERE}\n    ", "'x1'", "invalid input syntax"),
    "a comment before it": (f"\n    -- flight, at 100 % : of all\n    SELECT id, at, /* n, */\n        flght AS n -- it\n    FROM happenings\n    {WHERE}\n    ", "flght AS n", '"flght" does not exist'),
    "a percent sign and a colon before it": (f"\n    SELECT id, at,\n        n % 7 AS n\n    FROM happenings\n    {WHERE}\n        AND id LIKE '%:x%' AND flght::text = ':n'\n    ", "flght", '"flght" does not exist'),
    "a percent sign in its own line": (f"\n    SELECT id, at,\n        flght % 7 AS n\n    FROM happenings\n    {WHERE}\n    ", "flght", '"flght" does not exist'),
    "a syntax error": (f"\n    SELECT\n        id,\n        at,,\n        n\n    FROM happenings\n    {WHERE}\n    ", "at,,", "syntax error"),
    "a syntax error in the last line": (f"\n    SELECT id, at, n\n    FROM happenings\n    {WHERE}\n        AND n > > 0", "> > 0", "syntax error"),
    "characters that mean something in a pattern": (f"\n    SELECT id, at,\n        (flght + n) * 2 AS n\n    FROM happenings\n    {WHERE}\n    ", "(flght + n)", '"flght" does not exist'),
    "the same line twice": (f"\n    SELECT id, at,\n        n AS n\n    FROM (SELECT id, at,\n        n AS n FROM happenings) AS one\n    {WHERE}\n        AND flght > 0\n    ", "flght", '"flght" does not exist'),
}  # fmt: skip


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> str:
    url = postgres.new_database()
    execute(url, "CREATE TABLE happenings (id text, at timestamptz, n bigint)")
    return url


@pytest.fixture
def event_of(tmp_path: Path) -> Callable[[str, str], Event]:
    def make(sql: str, line_end: str) -> Event:
        folder = tmp_path / "assets" / "tests"
        folder.mkdir(parents=True)
        text = f"{HEAD}{sql}{TAIL}".replace("\n", line_end)
        (folder / "happened.py").write_bytes(text.encode())
        (folder / "happened.avsc").write_text(json.dumps(CONTRACT))
        return load_catalogue(tmp_path / "assets").find("happened")

    return make


@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize("name", FAULTS)
def test_postgresqls_words_come_with_the_line_of_the_module(
    name: str, line_end: str, event_of: Callable[[str, str], Event], database: str, tmp_path: Path
) -> None:
    sql, part, said = FAULTS[name]
    event = event_of(sql, line_end)
    lines = event.module_path.read_text().splitlines()
    (number,) = [place for place, line in enumerate(lines, 1) if part in line]
    settings = load_settings({"SLUICE_HOME": str(tmp_path), "SLUICE_WAREHOUSE_DEFAULT": database})
    with Platform(settings) as platform, pytest.raises(SluiceError) as refused:
        source_window(event, event.windows.window("2013-01-01"), platform, run_id="run")
    assert said in str(refused.value)
    assert f"line {number} of happened.py" in str(refused.value)
    assert "\r" not in str(refused.value)
