"""The warehouse tables that events read, as external assets: lineage begins at the data."""

from collections.abc import Iterable

import dagster as dg

from pipelines.authoring.event import Event
from pipelines.orchestration.keys import table_key


def build_tables(events: Iterable[Event]) -> list[dg.AssetSpec]:
    """One external asset for each table that any event's SQL names."""
    found = {(event.warehouse, table) for event in events for table in event.source.tables}
    return [
        dg.AssetSpec(
            table_key(warehouse, table),
            group_name="warehouse",
            kinds={"table"},
            description=f"Table `{table}` of the warehouse `{warehouse}`; filled outside Sluice.",
        )
        for warehouse, table in sorted(found)
    ]
