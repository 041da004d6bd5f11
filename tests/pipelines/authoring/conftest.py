"""An `assets/` tree in a temporary folder; every part of it is right until a test changes one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipelines import Catalogue, CatalogueError, load_catalogue

MODULE = '''\
"""A flight left its gate."""

import pandas as pd

from pipelines import daily, event, hourly, monthly, weekly


@event(
    topic="flights.flight-departed.v1",
    key="flight_id",
    event_time="departed_at",
    windows=daily("2013-01-01"),
    owner="team:operations",
    source="""
        SELECT flight_id, departed_at, delay_minutes
        FROM flights
        WHERE departed_at >= :window_start AND departed_at < :window_end
    """,
)
def flight_departed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows
'''

CONTRACT: dict[str, Any] = {
    "type": "record",
    "name": "FlightDeparted",
    "fields": [
        {"name": "flight_id", "type": "string", "doc": "Carrier, number and day."},
        {
            "name": "departed_at",
            "type": {"type": "long", "logicalType": "timestamp-micros"},
            "doc": "When it left, UTC.",
        },
        {"name": "delay_minutes", "type": ["null", "int"], "doc": "Minutes late; negative when early."},
    ],
}


class Tree:
    """Writes modules and contracts, and loads what it wrote."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, place: str, text: str) -> Path:
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def event(
        self,
        place: str = "flights/flight_departed",
        *,
        replace: Mapping[str, str] | None = None,
        fields: Mapping[str, Any] | None = None,
        topic: str | None = None,
    ) -> None:
        """A complete event at `place`;
        `replace` edits the module's text, `fields` changes or adds contract types."""
        name = place.rpartition("/")[2]
        text = MODULE.replace("def flight_departed", f"def {name}")
        if topic is not None:
            text = text.replace("flights.flight-departed.v1", topic)
        for old, new in (replace or {}).items():
            assert old in text, old
            text = text.replace(old, new)
        self.write(f"{place}.py", text)
        contract = json.loads(json.dumps(CONTRACT))
        by_name = {field["name"]: field for field in contract["fields"]}
        for field, avro in (fields or {}).items():
            if field in by_name:
                by_name[field]["type"] = avro
            else:
                contract["fields"].append({"name": field, "type": avro, "doc": "A field."})
        self.write(f"{place}.avsc", json.dumps(contract))

    def load(self, **options: Any) -> Catalogue:
        return load_catalogue(self.root, **options)

    def problems(self) -> list[str]:
        """The paragraphs of the error that the load raises."""
        with pytest.raises(CatalogueError) as caught:
            self.load()
        text = str(caught.value)
        assert "Traceback" not in text
        assert text.split("\n\n")[1:] == [str(problem) for problem in caught.value.problems]
        return text.split("\n\n")[1:]

    def problem(self) -> str:
        """The only mistake."""
        (only,) = self.problems()
        return only


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "assets").mkdir()
    return Tree(tmp_path / "assets")
