"""An event as the rest of the platform sees it: declared, found, and checked against its contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.authoring.agreements.names import Tag
from pipelines.authoring.agreements.promise import NO_PROMISE, Promise
from pipelines.authoring.agreements.topic_settings import NO_TOPIC_SETTINGS, TopicSettings
from pipelines.authoring.arguments import DeadLetters, Headers, RecordTimestamp, StaleWrites
from pipelines.authoring.limits import NO_LIMITS, Limits
from pipelines.authoring.sql.source_sql import SourceQuery
from pipelines.authoring.windows import Windows

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.contract import Contract


@dataclass(frozen=True)
class Event:
    """One event. Only `load_catalogue` makes one, so its parts always fit together.

    `domain` and `name` come from the file's place. `transform` is None if the rows are published without a
    change. `code_version` changes if the SQL, the transform's code (with the modules of `assets/` that it
    imports), the contract's shape, the key, the event time or the id field changes. It does not change with
    comments, docs or layout, nor with `topic_settings`, `consumers`, `promise` or `tags`.
    """

    domain: str
    name: str
    topic: str
    key: str
    event_time: str
    windows: Windows
    owner: str
    description: str
    source: SourceQuery
    transform: Callable[[pd.DataFrame], pd.DataFrame] | None
    contract: Contract
    module_path: Path
    function_line: int
    code_version: str
    event_id: str | None = None
    headers: Headers = "none"
    record_timestamp: RecordTimestamp = "publish_time"
    dead_letters: DeadLetters = "block"
    tombstones: bool = False
    whole_window: bool = False
    stale_writes: StaleWrites = "allow"
    limits: Limits = NO_LIMITS
    warehouse: str = "default"
    topic_settings: TopicSettings = NO_TOPIC_SETTINGS
    consumers: tuple[str, ...] = ()
    promise: Promise = NO_PROMISE
    tags: tuple[Tag, ...] = ()
    topic_prefix: str = ""
    """`topic` begins with it.
    It is from the settings that the catalogue was loaded with, not from the declaration."""

    @property
    def full_name(self) -> str:
        """`flights/flight_departed`: unique in the catalogue."""
        return f"{self.domain}/{self.name}"

    @property
    def carries_state(self) -> bool:
        """Whether only the newest event of a key matters to consumers: then the topic may be compacted."""
        return self.tombstones or self.stale_writes == "skip"

    def __repr__(self) -> str:
        return f"<Event {self.full_name}>"
