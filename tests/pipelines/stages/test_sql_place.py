"""A warehouse's error about the query names the line of the module."""

from pathlib import Path

import pytest

from pipelines.authoring.event import Event
from pipelines.authoring.loading.discovery import load_catalogue
from pipelines.stages.sql_place import in_module

MODULE = '''"""Something happened."""
from pipelines import daily, event


@event(
    topic="tests.happened.v1",
    key="id",
    event_time="at",
    windows=daily("2013-01-01"),
    owner="team:tests",
    source="""
        SELECT
            id,
            at,
            flght AS n
        FROM happenings
        WHERE at >= :window_start
            AND at < :window_end
            AND happenings.n > 0
            AND happenings.n > 0
    """,
)
def happened(rows):
    """Same rows."""
    return rows.assign()
'''
CONTRACT = """{"type": "record", "name": "Happened", "namespace": "tests", "doc": "It.", "fields": [
{"name": "id", "type": "string", "doc": "It."},
{"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "It, UTC."},
{"name": "n", "type": "long", "doc": "It."}]}"""


@pytest.fixture
def happened(tmp_path: Path) -> Event:
    folder = tmp_path / "assets" / "tests"
    folder.mkdir(parents=True)
    (folder / "happened.py").write_text(MODULE)
    (folder / "happened.avsc").write_text(CONTRACT)
    return load_catalogue(tmp_path / "assets").find("happened")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        # DuckDB, the query as it is and inside other queries
        ("refused: no LINE 4:     flght AS n", "refused: no at line 15 of happened.py: flght AS n"),
        ("refused: no LINE 6:     flght AS n", "refused: no at line 15 of happened.py: flght AS n"),
        (
            "refused: no LINE 6: WHERE at >= $window_start",
            "refused: no at line 17 of happened.py: WHERE at >= $window_start",
        ),
        ("refused: no LINE 4: ...ght AS n...", "refused: no at line 15 of happened.py: ...ght AS n..."),
        # DuckDB, if it names no line
        (
            'refused: Referenced column "flght" not found',
            'refused: Referenced column "flght" not found; at line 15 of happened.py: flght AS n',
        ),
        # PostgreSQL
        (
            "refused: no; at 'flght' in line 4, 'flght AS n'; hint",
            "refused: no; at 'flght' in line 15 of happened.py, 'flght AS n'; hint",
        ),
        # Not known: on several lines, on no line, not about the query
        ('refused: column "n" is odd', 'refused: column "n" is odd'),
        ("refused: no LINE 4: SELECT something else", "refused: no LINE 4: SELECT something else"),
        ("refused: no line is named", "refused: no line is named"),
    ],
)
def test_the_line_of_the_query_becomes_that_of_the_module(happened: Event, said: str, told: str) -> None:
    assert in_module(happened, said) == told


def test_a_module_that_is_gone_leaves_the_words_as_they_are(happened: Event) -> None:
    happened.module_path.unlink()
    assert in_module(happened, "no LINE 4:     flght AS n") == "no LINE 4:     flght AS n"
