"""What may be published of a window: its current snapshot,
if it passed its checks under the present contract."""

from typing import Any

from pipelines.authoring.event import Event
from pipelines.publishing.stored_rows import NotPublishable
from resources.platform import Platform
from resources.snapshots import Snapshot


class NotValidated(NotPublishable):
    """The window's rows did not pass their checks."""


def validated(event: Event, platform: Platform, window: str) -> tuple[Snapshot, dict[str, Any]]:
    """The window's current transformed snapshot and its validation. Raises NotPublishable if there is no
    snapshot or another contract made it, and NotValidated if it did not pass."""
    name, store = event.full_name, platform.snapshots
    snapshot = store.current(name, window, "transformed")
    if snapshot is None:
        raise NotPublishable(
            f"{name} {window}",
            "has no transformed snapshot",
            next_step="materialize sourced and transformed first",
        )
    facts = store.validation(name, window, snapshot.sha256)
    if not facts or not facts.get("passed"):
        raise NotValidated(
            f"{name} {window}",
            f"its snapshot {snapshot.sha256[:12]} did not pass its checks: {(facts or {}).get('reason', 'no validation')}",
            next_step=f"sluice dead-letters {name} {window} shows why; fix the module, then materialize the window again",
        )
    if facts.get("contract") != event.contract.fingerprint:
        raise NotPublishable(
            f"{name} {window}",
            "was transformed under another version of the contract",
            next_step="materialize transformed again",
        )
    return snapshot, facts
