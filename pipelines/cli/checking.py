"""What `check` tries of one event, from its module outwards to the topic. Nothing is created or registered."""

from collections.abc import Callable, Iterator

from pipelines.authoring.event import Event
from pipelines.cli.findings import Finding
from pipelines.cli.plain_row import plain_row
from pipelines.publishing.preflight import PreflightFailed, fit_topic, subject_of
from pipelines.transform import Transformer
from resources.errors import SluiceError
from resources.kafka.topics import describe_topic, ensure_topic
from resources.platform import Platform
from resources.settings import ROOT
from resources.warehouse import WarehouseError


def check_event(event: Event, platform: Platform, *, offline: bool = False) -> Iterator[Finding]:
    """The event's findings in order; `offline` leaves out what needs Kafka and the registry."""
    # An event exists only if its declaration and contract fit together: what the catalogue has checked is said here.
    yield Finding("declaration", f"{_relative(event)}:{event.function_line}, {event.windows}")
    fields = len(event.contract.fields)
    yield Finding(
        "contract", f"{event.contract.path.name}, {fields} fields, key {event.key}, time {event.event_time}"
    )
    yield _tried("query", lambda: _query(event, platform))
    if not offline:
        yield _tried("compatibility", lambda: _compatibility(event, platform))
        yield _tried("topic", lambda: _topic(event, platform))


def _tried(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, look())
    except SluiceError as error:
        return Finding(name, error=error)


def _relative(event: Event) -> str:
    path = event.module_path
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _query(event: Event, platform: Platform) -> str:
    warehouse = platform.warehouse(event.warehouse)
    window = event.windows.containing(event.windows.start)
    parameters = {"window_start": window.start, "window_end": window.end}
    try:
        schema = warehouse.describe(event.source.bound(warehouse.parameter_style).sql, parameters)
    except WarehouseError as error:
        if error.next_step:  # not the query's fault, and the error says what to do
            raise
        raise SluiceError(
            _relative(event),
            error.problem,
            allowed=error.allowed,
            next_step="mend its `source`",
        ) from None
    told = f"{len(schema)} columns from {', '.join(event.source.tables)}"
    if event.transform is not None:
        return f"{told}; what the transform makes of them shows in `sluice preview`"
    # No row of the warehouse, but the same code as in a run: it raises where names or types cannot fit.
    Transformer(
        event.contract,
        transform=None,
        key=event.key,
        event_time=event.event_time,
        event_id=event.event_id,
        where=_relative(event),
    ).apply(plain_row(schema), 0)
    return f"{told}, as the contract wants them"


def _compatibility(event: Event, platform: Platform) -> str:
    subject, text = subject_of(event.topic), event.contract.text
    known = platform.registry.lookup(subject, text)
    if known is not None:
        return f"registered under {subject} with schema id {known}"
    problems = platform.registry.check_compatible(subject, text)
    if problems:
        raise PreflightFailed(
            f"{event.contract.path.name}, subject {subject}",
            "is not compatible with the registered contract: " + "; ".join(problems),
            next_step="give new fields a default, or publish a new version of the topic (….v2)",
        )
    how = (
        "publishing registers it"
        if platform.settings.register_contracts
        else f"next: sluice register {event.name}"
    )
    new = platform.registry.latest(subject) is None
    return f"{'first of its subject' if new else 'compatible'}, not registered yet ({how})"


def _topic(event: Event, platform: Platform) -> str:
    settings = platform.settings
    if describe_topic(settings, event.topic) is None:
        if settings.create_topics:
            return f"{event.topic} is not there yet; publishing creates it with {settings.topic_partitions} partitions"
        # Creates nothing where the settings forbid it, and raises the error with the command to run.
        ensure_topic(
            settings, event.topic, config={"cleanup.policy": "compact"} if event.tombstones else None
        )
    topic = fit_topic(event, platform, first_event_time=event.windows.start)
    if topic.retention_ms is None:
        policy = "its retention may not be read with this login (right: DescribeConfigs)"
    elif topic.compacted:
        policy = "compacted"
    else:
        kept = "for ever" if topic.retention_ms < 0 else f"{topic.retention_ms / 3_600_000:,.0f} h"
        policy = f"records kept {kept}"
    return f"{topic.name}: {topic.partitions} partitions, {policy}"
