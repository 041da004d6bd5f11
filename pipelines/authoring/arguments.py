"""The arguments of `@event`, and the mistakes that they show by themselves:
no contract, SQL or other module is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple, get_args

from pipelines.authoring.agreements.names import read_consumers, read_tags
from pipelines.authoring.agreements.promise import NO_PROMISE, Promise, unkeepable
from pipelines.authoring.agreements.topic_settings import (
    NO_TOPIC_SETTINGS,
    Topic,
    TopicSettings,
    compaction_mistake,
)
from pipelines.authoring.cadence import CADENCES
from pipelines.authoring.limits import NO_LIMITS, Limits
from pipelines.authoring.problems import near_miss
from pipelines.authoring.texts import WITHOUT_CONTROL, control_character, no_statement
from pipelines.authoring.topics import topic_mistake
from pipelines.authoring.windows import Windows
from resources.wording import brief

Headers = Literal["none", "cloudevents"]
RecordTimestamp = Literal["publish_time", "event_time"]
DeadLetters = Literal["block"] | float
StaleWrites = Literal["allow", "skip"]


class _Missing:
    def __repr__(self) -> str:
        return "<missing>"


MISSING = _Missing()


class ArgumentMistake(NamedTuple):
    """A mistake in one argument of `@event`; `argument` is its name, or "" for the call as a whole."""

    argument: str
    problem: str
    allowed: str | None = None
    next_step: str | None = None


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The arguments of one `@event(...)`, as written.
    The types are only correct if `mistakes_of` found nothing."""

    topic: str | Topic
    key: str
    event_time: str
    windows: Windows
    owner: str
    source: str
    event_id: str | None = None
    headers: Headers = "none"
    record_timestamp: RecordTimestamp = "publish_time"
    dead_letters: DeadLetters = "block"
    tombstones: bool = False
    whole_window: bool = False
    stale_writes: StaleWrites = "allow"
    limits: Limits = NO_LIMITS
    warehouse: str = "default"
    consumers: Sequence[str] = ()
    promise: Promise = NO_PROMISE
    tags: Sequence[str] | Mapping[str, str] = ()
    description: str | None = None

    @property
    def topic_name(self) -> str:
        """The topic's name, from either form of `topic`."""
        return self.topic.name if isinstance(self.topic, Topic) else self.topic

    @property
    def topic_settings(self) -> TopicSettings:
        return self.topic.settings if isinstance(self.topic, Topic) else NO_TOPIC_SETTINGS


# What to write for a required argument that is missing: an author copies and edits it.
_EXAMPLES = {
    "topic": 'topic="flights.flight-departed.v1"',
    "key": 'key="flight_id"',
    "event_time": 'event_time="departed_at"',
    "windows": 'windows=daily("2013-01-01")',
    "owner": 'owner="team:operations"',
    "source": 'source="SELECT ... WHERE departed_at >= :window_start AND departed_at < :window_end"',
}
_TEXTS = ("topic", "key", "event_time", "owner", "source", "warehouse")
# Dagster's own rule for e-mail owners:
# an owner that passes here must not fail when the definitions are built.
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")
_WAREHOUSE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_TEAM = re.compile(r"team:[A-Za-z0-9][A-Za-z0-9_.-]*")


def mistakes_of(arguments: Arguments) -> list[ArgumentMistake]:
    """Every mistake that the arguments show by themselves, at most one for each argument."""
    found = list(_wrong_kinds(arguments))
    wrong = {mistake.argument for mistake in found}
    for mistake in _wrong_values(arguments, wrong):
        if mistake.argument not in wrong:
            wrong.add(mistake.argument)
            found.append(mistake)
    order = [field.name for field in fields(Arguments)]
    return sorted(found, key=lambda mistake: order.index(mistake.argument))


def _wrong_kinds(arguments: Arguments) -> Iterator[ArgumentMistake]:
    for name, example in _EXAMPLES.items():
        if getattr(arguments, name) is MISSING:
            yield ArgumentMistake(name, f"@event has no {name}", next_step=f"add {example}")
    for name in _TEXTS:
        value: object = arguments.topic_name if name == "topic" else getattr(arguments, name)
        if name == "topic" and getattr(value, "__name__", "") == "topic":
            yield ArgumentMistake("topic", "topic=topic names no topic", _example("topic"))
            continue
        if value is not MISSING and not (isinstance(value, str) and value.strip()):
            yield ArgumentMistake(name, f"{name}={value!r} {_not_text(value)}", _example(name))
    for name in ("event_id", "description"):
        value = getattr(arguments, name)
        if value is not None and not (isinstance(value, str) and value.strip()):
            yield ArgumentMistake(name, f"{name}={value!r} {_not_text(value)}", "text, or leave it out")
    for name in ("tombstones", "whole_window"):
        value = getattr(arguments, name)
        if not isinstance(value, bool):
            yield ArgumentMistake(name, f"{name}={value!r} is neither True nor False", "True or False")
    for name, options in (
        ("headers", get_args(Headers)),
        ("record_timestamp", get_args(RecordTimestamp)),
        ("stale_writes", get_args(StaleWrites)),
    ):
        value = getattr(arguments, name)
        if value not in options:
            yield ArgumentMistake(
                name,
                f"{name}={value!r} is not known",
                " or ".join(repr(option) for option in options),
                near_miss(str(value), options, f"{name}={{!r}}"),
            )
    yield from _wrong_windows(arguments.windows)
    yield from _wrong_dead_letters(arguments.dead_letters)
    yield from _wrong_limits(arguments.limits)
    for name, mistake in (
        ("consumers", read_consumers(arguments.consumers)[1]),
        ("tags", read_tags(arguments.tags)[1]),
    ):
        if mistake:
            yield ArgumentMistake(name, *mistake)
    if not isinstance(arguments.promise, Promise):
        yield ArgumentMistake(
            "promise",
            "promise=promise promises nothing"
            if getattr(arguments.promise, "__name__", "") == "promise"
            else f"promise={brief(arguments.promise, 60)} is no promise",
            "promise(fresh_within=..., rows=(least, most), complete_since=...), at least one of them",
            "write promise=promise(fresh_within='8h'), or leave it out",
        )


def _wrong_windows(windows: object) -> Iterator[ArgumentMistake]:
    if windows is MISSING or isinstance(windows, Windows):
        return
    name = getattr(windows, "__name__", windows)  # windows=daily, without its call; or windows="daily"
    cadence = name if name in CADENCES else "daily"
    start = "2013-01-07" if cadence == "weekly" else "2013-01-01"
    yield ArgumentMistake(
        "windows",
        f"windows={windows!r} names no windows" if name is windows else f"windows={name} lacks its start",
        "hourly(...), daily(...), weekly(...) or monthly(...), each with its start",
        f'write windows={cadence}("{start}")',
    )


def _wrong_dead_letters(limit: object) -> Iterator[ArgumentMistake]:
    if limit == "block" or (isinstance(limit, float) and 0 < limit < 1):
        return
    hint = None
    if isinstance(limit, (int, float)) and not isinstance(limit, bool):
        if limit == 0:
            hint = "leave it out: by default a single dead letter blocks its window"
        elif 1 <= limit < 100:
            hint = f"did you mean dead_letters={limit / 100:g} ({limit:g} %)?"
    yield ArgumentMistake(
        "dead_letters",
        f"dead_letters={limit!r} is neither a rule nor a share",
        "'block', or the largest share of a window's rows that may be dead, above 0 and below 1, such as 0.01",
        hint,
    )


def _wrong_limits(limits: object) -> Iterator[ArgumentMistake]:
    if isinstance(limits, Limits):
        return
    name = getattr(limits, "__name__", "")  # limits=limits, without its call
    yield ArgumentMistake(
        "limits",
        "limits=limits says no limit" if name == "limits" else f"limits={limits!r} is no limit",
        "limits(rows_per_second=..., bytes_per_second=..., lag={...}), at least one of them",
        f"write limits=limits(rows_per_second={limits})"
        if isinstance(limits, int) and not isinstance(limits, bool) and limits > 0
        else "write limits=limits(rows_per_second=5_000), or leave it out",
    )


def _wrong_values(arguments: Arguments, wrong: set[str]) -> Iterator[ArgumentMistake]:
    if "topic" not in wrong and (mistake := topic_mistake(arguments.topic_name)):
        yield ArgumentMistake("topic", *mistake)
    if not wrong & {"topic", "tombstones", "stale_writes"}:
        carries_state = arguments.tombstones or arguments.stale_writes == "skip"
        if found := compaction_mistake(arguments.topic_settings, carries_state=carries_state):
            yield ArgumentMistake("topic", *found)
    if not wrong & {"promise", "windows"} and (found := unkeepable(arguments.promise, arguments.windows)):
        yield ArgumentMistake("promise", *found)
    if "owner" not in wrong and not (_TEAM.fullmatch(arguments.owner) or _EMAIL.fullmatch(arguments.owner)):
        team = re.sub(r"[^A-Za-z0-9_.-]+", "-", arguments.owner.removeprefix("team:").strip().lower()).strip(
            "-."
        )
        yield ArgumentMistake(
            "owner",
            f"owner={arguments.owner!r} is neither a team nor a person",
            "'team:NAME' or an e-mail address",
            f"did you mean owner='team:{team}'?" if team and "@" not in arguments.owner else None,
        )
    if "warehouse" not in wrong and not _WAREHOUSE.fullmatch(arguments.warehouse):
        yield ArgumentMistake(
            "warehouse",
            f"warehouse={arguments.warehouse!r} cannot be the name of a warehouse",
            "letters from a to z, digits and underscores, as the settings name it; at most 63 of them",
        )
    if "description" not in wrong and (character := control_character(arguments.description or "")):
        yield ArgumentMistake(
            "description", f"description has {character}, which no page can show", WITHOUT_CONTROL
        )
    if "source" not in wrong and (character := no_statement(arguments.source)):
        yield ArgumentMistake(
            "source", f"the SQL has {character}, which no statement can have", "any other character of UTF-8"
        )
    if (
        arguments.event_id is not None
        and not wrong & {"event_id", "key"}
        and arguments.event_id == arguments.key
    ):
        yield ArgumentMistake(
            "event_id",
            f"event_id={arguments.event_id!r} is also the key, but the id is computed from the key",
            "a field of its own, that neither the SQL nor the transform fills",
            "leave event_id out, or name another field",
        )


def _example(name: str) -> str:
    return f"text, such as {_EXAMPLES[name]}" if name in _EXAMPLES else "text"


def _not_text(value: object) -> str:
    return "is empty" if isinstance(value, str) else "is not text"
