"""A small event over its own table, checked as `sluice check --offline` does; no server is needed."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines import Event, load_catalogue
from pipelines.cli.actions.check import check_event
from pipelines.preflight.finding import Finding
from resources.platform import Platform
from resources.settings import load_settings

FIELDS: dict[str, Any] = {
    "id": "string",
    "happened_at": {"type": "long", "logicalType": "timestamp-micros"},
    "n": "long",
}
COLUMNS = "id, happened_at, n"
# Forty rows on the second of January, one every minute; n repeats, so that there are ties.
TABLE = """
    CREATE TABLE things AS SELECT printf('k%03d', i) AS id, i % 4 AS g, i AS n, i * 0.1::DOUBLE AS f,
        TIMESTAMPTZ '2024-01-02 00:00:00+00' + to_minutes(i) AS happened_at, CASE WHEN i % 9 = 1 THEN NULL ELSE i END AS maybe
    FROM range(40) AS t(i)
"""
_MODULE = '''"""A thing happened."""

{imports}
import pandas as pd

from pipelines import daily, event

{before}


@event(
    topic="probe.thing-happened.v1",
    key="id",
    event_time="happened_at",
    windows={windows},
    owner="team:probe",
    source="""
{source}
    """,
{more}
)
def thing_happened(rows: pd.DataFrame) -> pd.DataFrame:
{body}
'''


@dataclass
class World:
    """One event, its warehouse, and settings without servers."""

    event: Event
    platform: Platform
    notes: tuple[str, ...] = ()

    def check(self, windows: str | None = None) -> list[Finding]:
        """The findings, without Kafka and the registry."""
        chosen = self.event.windows.parse(windows) if windows else None
        return list(check_event(self.event, self.platform, chosen, offline=True))


Made = Callable[..., World]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    """`made(body, ...)`: the event with this transform; by default its rows are those of the table."""
    opened: list[Platform] = []

    def make(
        body: str = "return rows",
        *,
        columns: str = COLUMNS,
        source: str | None = None,
        fields: Mapping[str, Any] | None = None,
        more: str = "",
        imports: str = "",
        before: str = "",
        table: str = TABLE,
        windows: str = 'daily("2024-01-01", "2024-01-10")',
        warehouse: str | None = None,
        **settings: str,
    ) -> World:
        folder = tmp_path / f"world{len(opened)}"
        probe = folder / "assets" / "probe"
        probe.mkdir(parents=True)
        if warehouse is None:
            with duckdb.connect(str(folder / "w.duckdb")) as connection:
                connection.execute(table)
            warehouse = f"duckdb://{folder / 'w.duckdb'}"
        where = "WHERE happened_at >= :window_start AND happened_at < :window_end"
        text = _MODULE.format(
            imports=imports,
            before=before,
            windows=windows,
            source=(source or f"SELECT {columns} FROM things {{where}}").replace("{where}", where),
            more=f"    {more}" if more else "",
            body="\n".join(f"    {line}" for line in body.splitlines()),
        )
        (probe / "thing_happened.py").write_text(text)
        listed = [{"name": k, "type": v, "doc": "A value."} for k, v in (fields or FIELDS).items()]
        contract = {
            "type": "record",
            "name": "ThingHappened",
            "namespace": "probe",
            "doc": "A thing.",
            "fields": listed,
        }
        (probe / "thing_happened.avsc").write_text(json.dumps(contract))
        environment = {"SLUICE_HOME": str(folder), "SLUICE_WAREHOUSE_DEFAULT": warehouse, **settings}
        loaded = load_settings(environment)
        catalogue = load_catalogue(folder / "assets")
        platform = Platform(loaded)
        opened.append(platform)
        return World(
            catalogue.find("thing_happened"), platform, tuple(str(warning) for warning in catalogue.warnings)
        )

    yield make
    for platform in opened:
        platform.close()


def failed(findings: list[Finding], subject: str) -> str:
    """The failed findings of a subject, as one text."""
    return "\n".join(one.told for one in findings if one.subject == subject and not one.ok)


def level(findings: list[Finding], subject: str) -> set[str]:
    """The levels of a subject's findings."""
    return {one.level for one in findings if one.subject == subject}
