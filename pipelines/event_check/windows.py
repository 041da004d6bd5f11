"""The windows that an event is tried with if the user names none."""

from datetime import UTC, datetime

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window


def complete_windows(event: Event) -> list[Window]:
    """Every window that could be published now."""
    last = event.windows.last_complete(datetime.now(UTC))
    return event.windows.between(event.windows.key(event.windows.start), last.key) if last else []
