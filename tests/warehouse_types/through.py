"""Takes columns through the steps of a run, snapshots included, to the values that an event decodes to."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import Event, load_catalogue
from pipelines.drafting.avro_types import avro_of
from pipelines.encoding import decode_record
from pipelines.publishing.stored_rows import new_encoder
from pipelines.stages.source_and_transform import source_and_transform
from resources.platform import Platform
from resources.settings import load_settings
from resources.warehouse import Warehouse, open_warehouse

_MODULE = '''"""A value."""

from pipelines import daily, event


@event(
    topic="types.{name}.v1",
    key="id",
    event_time="happened_at",
    windows=daily("2013-01-01", "2013-02-01"),
    owner="team:types",
    source="""
        SELECT id, happened_at, x FROM {name} WHERE happened_at >= :window_start AND happened_at < :window_end
    """,
)
def {name}(rows):
    """What came."""
    {body}
'''
IDENTITY = "return rows"
# Ways in which authors pass a column through pandas, one after the other; none of them may change a value.
THROUGH_PANDAS = """import pandas as pd
    rows = rows.assign(id=rows["id"] + "").sort_values("id", ascending=False)
    rows = pd.concat([rows.iloc[:1], rows.iloc[1:]])[rows["id"] != ""]
    rows = pd.DataFrame({name: rows[name].copy() for name in rows})
    return rows.merge(rows[["id"]], on="id")"""


@dataclass(frozen=True)
class Dead:
    """A row that became a dead letter of this class."""

    reason: str


@dataclass(frozen=True)
class Asked:
    """The values of the view `name`, in SQL and in their order,
    with a contract's type (None: the type of a draft)."""

    name: str
    avro: Any = None
    body: str = IDENTITY


@contextmanager
def opened(url: str) -> Iterator[Warehouse]:
    """The warehouse of this URL."""
    with closing(open_warehouse("types", {"types": url}, memory_limit="100MB")) as warehouse:
        yield warehouse


def events(folder: Path, url: str, asked: Sequence[Asked]) -> Iterator[list[Any] | Exception]:
    """For each of `asked`: what the events of its rows decode to, or Dead, in the order of their ids. If one
    of them ends with an error, the others are tried all the same."""
    settings = load_settings(
        {
            "SLUICE_HOME": str(folder / "home"),
            "SLUICE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",  # no step before publishing uses it
            "SLUICE_REGISTRY_URL": "http://127.0.0.1:1",
            "SLUICE_WAREHOUSE_DEFAULT": url,
        }
    )
    domain = folder / "assets" / "types"
    domain.mkdir(parents=True)
    with opened(url) as warehouse:
        for one in asked:
            avro = one.avro or avro_of(warehouse.columns(one.name)[-1].arrow_type, one.name)
            assert avro is not None, f"{one.name} has no Avro type"
            (domain / f"{one.name}.py").write_text(_MODULE.format(name=one.name, body=one.body))
            (domain / f"{one.name}.avsc").write_text(json.dumps(_contract(avro)))
    catalogue = load_catalogue(folder / "assets")
    with Platform(settings) as platform:
        for one in asked:
            try:
                yield _decoded(catalogue.find(one.name), platform)
            except Exception as error:
                yield error


def _contract(avro: Any) -> dict[str, Any]:
    instant = {"type": "long", "logicalType": "timestamp-micros"}
    fields = [
        {"name": "id", "type": "string"},
        {"name": "happened_at", "type": instant},
        {"name": "x", "type": ["null", avro]},
    ]
    return {
        "type": "record",
        "name": "Value",
        "namespace": "types",
        "doc": "A value.",
        "fields": [{**field, "doc": "It."} for field in fields],  # type: ignore[dict-item]
    }


def _decoded(event: Event, platform: Platform) -> list[Any]:
    window = event.windows.window("2013-01-01")
    _, transform = source_and_transform(event, window, platform, run_id="r")
    done = transform()
    store = platform.snapshots
    encoder = new_encoder(event, 1)
    found: dict[int, Any] = {}
    for batch in store.read(done.snapshot, batch_rows=2):
        for value in encoder.encode(batch).values.to_pylist():
            record: dict[str, Any] = decode_record(value, lambda _: event.contract.text)
            found[int(record["id"])] = record["x"]
    for batch in store.read(done.letters, batch_rows=10):
        for letter in batch.to_pylist():
            row = json.loads(letter["row"])
            found[int(row["id"])] = Dead(letter["reason"])
    return [found[number] for number in sorted(found)]
