"""Names in Dagster, derived from an event's place."""

import dagster as dg

from pipelines.authoring.event import Event

STAGES = ("sourced", "transformed", "published")
FITS_CONTRACT = "fits_contract"
RECONCILED = "reconciled"
IN_A_WINDOW = "in_a_window"


def asset_key(event: Event, stage: str) -> dg.AssetKey:
    """`<domain>/<event>/<stage>`."""
    return dg.AssetKey([event.domain, event.name, stage])


def table_key(warehouse: str, table: str) -> dg.AssetKey:
    """`warehouse/<table>`, or `warehouse_<name>/<table>` for a warehouse other than the default."""
    first = "warehouse" if warehouse == "default" else f"warehouse_{warehouse}"
    return dg.AssetKey([first, *table.split(".")])


def op_name(event: Event) -> str:
    """Name of the event's op; Dagster allows neither slash nor dot."""
    return f"{event.domain}__{event.name}"


def topic_pool(event: Event) -> str:
    """Concurrency pool of the event's topic: its limit is how many runs publish to it at once."""
    return "topic_" + event.topic.replace(".", "_").replace("-", "_")


def warehouse_pool(warehouse: str) -> str:
    """Concurrency pool of a warehouse: its limit is how many runs source from it at once."""
    return f"warehouse_{warehouse}"
