"""Names in Dagster, derived from an event's domain and name."""

import re
from hashlib import sha256

import dagster as dg

from pipelines.authoring.event import Event
from resources.warehouse.names import parts_of

STAGES = ("sourced", "transformed", "published")
FITS_CONTRACT = "fits_contract"
RECONCILED = "reconciled"
IN_A_WINDOW = "in_a_window"
# The tag with the full names of a job's events, joined by commas.
EVENTS_TAG = "sluice/events"
# The resource by which a run reports that its process lives.
# A job of another project would not use this name.
HEARTBEAT = "sluice_heartbeat"


def asset_key(event: Event, stage: str) -> dg.AssetKey:
    """The asset key `<domain>/<event>/<event>_<stage>`."""
    return key_of(event.domain, event.name, stage)


def key_of(domain: str, event: str, stage: str) -> dg.AssetKey:
    """The same for an event of which only the names are known. The graph's card shows the last part."""
    return dg.AssetKey([domain, event, f"{event}_{stage}"])


def stage_of(key: dg.AssetKey) -> str | None:
    """The stage of this asset; None for an asset that does not belong to an event."""
    if len(key.path) != 3:
        return None
    _, event, last = key.path
    return next((stage for stage in STAGES if last == f"{event}_{stage}"), None)


def event_of(key: dg.AssetKey) -> str | None:
    """The full name of the event of this asset; None for other assets."""
    return "/".join(key.path[:2]) if stage_of(key) else None


def table_key(warehouse: str, table: str) -> dg.AssetKey:
    """`warehouse/<table>`, or `warehouse_<name>/<table>` for a warehouse other than the default. `table` has
    the form of `source.tables`. Dagster accepts the key of every table name, and no two tables get the same
    key."""
    first = "warehouse" if warehouse == "default" else f"warehouse_{warehouse}"
    *rest, last = [_legal_part(part) for part in parts_of(table)]
    found = dg.AssetKey([legal_name(first), *rest, last])
    # The asset of an event in a domain `warehouse` has such a key.
    return dg.AssetKey([*found.path[:-1], _marked(last, table)]) if stage_of(found) else found


def op_name(event: Event) -> str:
    """The name of the event's op; Dagster allows neither slash nor dot."""
    name = f"{event.domain}__{event.name}"
    # `a/b__c` and `a__b/c` are two events. If the name can be split at more than one place, a hash is added.
    return name if len(re.findall("(?=__)", name)) == 1 else _marked(name, event.full_name)


def legal_name(text: str) -> str:
    """`text` as a name that Dagster accepts: unchanged if possible,
    otherwise its legal characters and a hash of the text."""
    return text if re.fullmatch("[A-Za-z0-9_]+", text) else _marked(re.sub("[^A-Za-z0-9_]+", "_", text), text)


def legal_tag(text: str) -> str:
    """`text` as the value of a tag: at most 63 characters."""
    return text if re.fullmatch("[A-Za-z0-9_.-]{1,63}", text) else _marked(legal_name(text)[:54], text)


def _legal_part(text: str) -> str:
    """A part of an asset's key, in which Dagster also allows a dash."""
    return text if re.fullmatch("[A-Za-z0-9_-]+", text) else legal_name(text)


def _marked(name: str, text: str) -> str:
    """`name` with eight characters of a hash of `text`, so that two texts do not become one name."""
    return f"{name}_{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def topic_pool(event: Event) -> str:
    """The concurrency pool of the event's topic. Its limit is how many runs publish to the topic at once."""
    return "topic_" + event.topic.replace(".", "_").replace("-", "_")


def warehouse_pool(warehouse: str) -> str:
    """The concurrency pool of a warehouse. Its limit is how many runs source from the warehouse at once."""
    return f"warehouse_{warehouse}"
