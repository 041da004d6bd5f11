"""`topic(...)`: a topic's name, and the topic settings that the event needs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

from pipelines.authoring.agreements.calls import Mistake, all_mistakes_of_a_call, is_whole, report
from pipelines.authoring.durations import DURATIONS, read_duration, short_duration
from pipelines.authoring.problems import near_miss
from pipelines.authoring.texts import without_class
from resources.wording import brief, counted

Cleanup = Literal["delete", "compact", "compact,delete"]

FOREVER = "forever"
MOST_PARTITIONS = 100_000
_MOST_BYTES = 2**63 - 1
_LARGEST_RECORD_BYTES = 2**31 - 1
_LONGEST_RETENTION = timedelta(days=36_525)
_RETENTIONS = f"{DURATIONS}; or '{FOREVER}'"


@dataclass(frozen=True)
class TopicSettings:
    """What an event needs of its topic. None: the environment or the brokers decide.

    `retention_ms` and `retention_bytes` (of one Kafka partition) have the same meaning as in Kafka; a
    `retention_ms` of -1 keeps records forever.
    """

    partitions: int | None = None
    retention_ms: int | None = None
    retention_bytes: int | None = None
    cleanup: Cleanup | None = None
    max_message_bytes: int | None = None

    def __bool__(self) -> bool:
        return self != NO_TOPIC_SETTINGS

    @property
    def compacts(self) -> bool:
        return self.cleanup is not None and "compact" in self.cleanup

    @property
    def config(self) -> dict[str, str]:
        """The settings under Kafka's own names, without the number of partitions."""
        named = {
            "cleanup.policy": self.cleanup,
            "max.message.bytes": self.max_message_bytes,
            "retention.bytes": self.retention_bytes,
            "retention.ms": self.retention_ms,
        }
        return {name: str(value) for name, value in named.items() if value is not None}

    def __str__(self) -> str:
        parts = []
        if self.partitions is not None:
            parts.append(counted(self.partitions, "partition"))
        if self.retention_ms is not None:
            kept = (
                FOREVER
                if self.retention_ms < 0
                else short_duration(timedelta(milliseconds=self.retention_ms))
            )
            parts.append(f"retention {kept}")
        if self.retention_bytes is not None:
            parts.append(f"retention {self.retention_bytes:,} bytes a partition")
        if self.cleanup is not None:
            parts.append(f"cleanup {self.cleanup}")
        if self.max_message_bytes is not None:
            parts.append(f"records of at most {self.max_message_bytes:,} bytes")
        return ", ".join(parts)


NO_TOPIC_SETTINGS = TopicSettings()


@dataclass(frozen=True)
class Topic:
    """A topic as an author writes it.
    `@event` checks `name`, as it checks a topic that is written as plain text."""

    name: str
    settings: TopicSettings = NO_TOPIC_SETTINGS


@all_mistakes_of_a_call
def topic(
    name: str = "",
    *,
    partitions: int | None = None,
    retention: str | timedelta | None = None,
    retention_bytes: int | None = None,
    cleanup: Cleanup | None = None,
    max_message_bytes: int | None = None,
) -> Topic:
    """An event's topic with the settings that the event needs.
    The environment decides each setting that is left out.

    partitions: how many Kafka partitions the topic has; keys are spread over them.
    retention: how long a record is kept, `"90d"`, or `"forever"` (Kafka: `retention.ms`).
    retention_bytes: how many bytes each Kafka partition keeps (Kafka: `retention.bytes`).
    cleanup: "delete": delete records older than the retention; "compact": keep the newest record of each key,
        for an event with `tombstones=True` or `stale_writes="skip"`; "compact,delete": both (Kafka:
        `cleanup.policy`).
    max_message_bytes: the largest record, after compression (Kafka: `max.message.bytes`).
    """
    mistakes: list[Mistake] = []
    for argument, value, most in (
        ("partitions", partitions, MOST_PARTITIONS),
        ("retention_bytes", retention_bytes, _MOST_BYTES),
        ("max_message_bytes", max_message_bytes, _LARGEST_RECORD_BYTES),
    ):
        if value is not None and not is_whole(value, 1, most):
            mistakes.append(
                Mistake(
                    f"topic(): {argument}={brief(value, 60)} is not a whole number from 1 to {most:,}",
                    f"a whole number from 1 to {most:,}",
                    f"write retention='{FOREVER}'"
                    if argument == "retention_bytes" and is_whole(value, -1, -1)
                    else None,
                )
            )
    retention_ms = _retention_ms(retention, mistakes)
    options = get_args(Cleanup)
    # A value that is no text may answer a comparison with anything: an array, or an error.
    cleanup = without_class(cleanup)
    if cleanup is not None and (not isinstance(cleanup, str) or cleanup not in options):
        mistakes.append(
            Mistake(
                f"topic(): cleanup={brief(cleanup, 60)} is not known",
                " or ".join(repr(option) for option in options),
                near_miss(cleanup, options, "cleanup={!r}") if isinstance(cleanup, str) else None,
            )
        )
    elif cleanup == "compact" and (retention is not None or retention_bytes is not None):
        kept = "retention" if retention is not None else "retention_bytes"
        mistakes.append(
            Mistake(
                f"topic(): {kept} has no effect with cleanup='compact': Kafka then deletes no record for its age or size",
                next_step=f"write cleanup='compact,delete', or leave {kept} out",
            )
        )
    if mistakes:
        report(mistakes)
        return Topic(name)
    return Topic(
        without_class(name),
        TopicSettings(
            without_class(partitions),
            retention_ms,
            without_class(retention_bytes),
            cleanup,
            without_class(max_message_bytes),
        ),
    )


def compaction_mistake(settings: TopicSettings, *, carries_state: bool) -> Mistake | None:
    """Why an event whose every record counts must not have a compacted topic; None if nothing is wrong."""
    if not settings.compacts or carries_state:
        return None
    return Mistake(
        f"topic(): cleanup={settings.cleanup!r} keeps only the newest event of each key, and nothing in this event says "
        "that only the newest one matters",
        "a compacted topic for an event with tombstones=True or stale_writes='skip'",
        "leave cleanup out, or declare stale_writes='skip'",
    )


def _retention_ms(retention: object, mistakes: list[Mistake]) -> int | None:
    if retention is None:
        return None
    retention = without_class(retention)
    if isinstance(retention, str) and retention.strip() == FOREVER:
        return -1
    problem, hint = None, None
    length = read_duration(retention)
    if length is None:
        problem = "is not a length of time"
        if isinstance(retention, str):
            hint = near_miss(retention, [FOREVER], "retention={!r}")
        elif is_whole(retention, -1, -1):
            hint = f"write retention='{FOREVER}'"
        elif is_whole(retention, 1, 36_500):
            hint = f"did you mean retention='{retention}d'?"
    elif length <= timedelta(0):
        problem = "keeps no record"
    elif length > _LONGEST_RETENTION:
        problem, hint = "is more than a hundred years", f"write retention='{FOREVER}'"
    if problem is None:
        assert length is not None
        return -(-length // timedelta(milliseconds=1))
    mistakes.append(Mistake(f"topic(): retention={brief(retention, 60)} {problem}", _RETENTIONS, hint))
    return None
