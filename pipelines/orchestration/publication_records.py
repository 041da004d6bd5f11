"""What Dagster has recorded of an event's publications."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from pipelines.authoring.event import Event
from pipelines.orchestration.keys import asset_key


def newest_publications(
    instance: dg.DagsterInstance, event: Event, *, most: int
) -> Iterator[Mapping[str, Any]]:
    """Metadata of the windows that were published last, newest first, as plain values."""
    wanted = dg.AssetRecordsFilter(asset_key=asset_key(event, "published"))
    for record in instance.fetch_materializations(wanted, limit=most).records:
        found = record.asset_materialization
        if found is not None:
            yield {name: value.value for name, value in found.metadata.items()}
