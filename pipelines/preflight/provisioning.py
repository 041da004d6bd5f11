"""Creates and registers what a preflight accepted: the topic, and the contract's id."""

from collections.abc import Callable
from datetime import UTC, datetime

from pipelines.authoring.event import Event
from pipelines.preflight.finding import PreflightFailed
from pipelines.preflight.rules.contract import NOT_COMPATIBLE, make_compatible, subject_of
from pipelines.preflight.rules.topic import keeps_event_time, topic_config
from resources.kafka.topics.topics import Topic, ensure_topic
from resources.platform import Platform
from resources.settings import variable

__all__ = ["PreflightFailed", "fit_topic", "registered_schema_id", "subject_of"]


def fit_topic(
    event: Event, platform: Platform, *, first_event_time: datetime | None = None, known: Topic | None = None
) -> Topic:
    """The event's topic, created if the settings allow it; `known` if it was described before.

    Raises PreflightFailed with the figures if the topic would delete the window's records at once.
    """
    topic = known or ensure_topic(
        platform.settings,
        event.topic,
        partitions=event.topic_settings.partitions,
        config=topic_config(event),
    )
    kept_ms = topic.retention_ms
    by_event_time = keeps_event_time(event, topic.config)
    if by_event_time and first_event_time and kept_ms is not None and kept_ms >= 0:
        age_ms = (datetime.now(UTC) - first_event_time).total_seconds() * 1000
        if age_ms > kept_ms and topic.deletes:
            raise PreflightFailed(
                f"topic {event.topic}",
                f"deletes records after {kept_ms / 3_600_000:.0f} h by their timestamp, and this event stamps them "
                f"with the event time, up to {age_ms / 3_600_000:.0f} h ago: they would be deleted at once",
                next_step='raise retention.ms, or declare record_timestamp="publish_time"',
            )
    return topic


def registered_schema_id(
    event: Event, platform: Platform, *, registered: Callable[[str, int], None] = lambda *_: None
) -> int:
    """The schema id of the event's contract, registered if the settings allow it; `registered` is then called
    with the subject and the id.

    Raises PreflightFailed if the contract is unknown and may not be registered, or is not compatible.
    """
    subject, text = subject_of(event.topic), event.contract.text
    known = platform.registry.lookup(subject, text)
    if known is not None:
        return known
    problems = platform.registry.check_compatible(subject, text)
    if problems:
        raise PreflightFailed(
            f"{event.contract.path.name}, subject {subject}",
            NOT_COMPATIBLE + "; ".join(problems),
            next_step=make_compatible(problems),
        )
    if not platform.settings.register_contracts:
        raise PreflightFailed(
            f"{event.contract.path.name}, subject {subject}",
            "is not registered, and the settings do not allow registering it at publish",
            next_step=f"sluice register {event.full_name} (or set {variable('register_contracts')}=true)",
        )
    schema_id = platform.registry.register(subject, text)
    registered(subject, schema_id)
    return schema_id
