"""`@event`: one function becomes the declaration of one event."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias

from pipelines.authoring.agreements.promise import NO_PROMISE, Promise
from pipelines.authoring.agreements.topic_settings import Topic
from pipelines.authoring.arguments import (
    MISSING,
    ArgumentMistake,
    Arguments,
    DeadLetters,
    Headers,
    RecordTimestamp,
    StaleWrites,
    mistakes_of,
)
from pipelines.authoring.limits import NO_LIMITS, Limits
from pipelines.authoring.problems import (
    DeclarationError,
    DeclarationProblem,
    current_collector,
    listing,
    near_miss,
)
from pipelines.authoring.texts import without_class
from pipelines.authoring.windows import Windows

if TYPE_CHECKING:
    import pandas as pd

    Transform: TypeAlias = Callable[[pd.DataFrame], pd.DataFrame]

P = ParamSpec("P")


class EventDeclaration:
    """What `@event` leaves in place of the function;
    calling it calls the function, so that the function can be tested.

    `line` is the line of the `event(` call. `mistakes` is empty except while the catalogue loads the module:
    the catalogue gathers all mistakes of all modules before it refuses them.
    """

    def __init__(
        self, function: Transform, arguments: Arguments, mistakes: list[ArgumentMistake], line: int
    ) -> None:
        self.function = function
        self.arguments = arguments
        self.mistakes = tuple(mistakes)
        self.line = line
        functools.update_wrapper(self, function)

    def __call__(self, rows: pd.DataFrame) -> pd.DataFrame:
        return self.function(rows)

    def __repr__(self) -> str:
        return f"<event {self.function.__name__} of {self.function.__module__}>"

    def sound(self, *names: str) -> bool:
        """Whether these arguments have no mistakes, so that further checks make sense."""
        wrong = {mistake.argument for mistake in self.mistakes}
        return not wrong & set(names) and all(
            getattr(self.arguments, name, None) is not MISSING for name in names
        )


class EventDecorator:
    """`@event(...)` before it is applied to its function."""

    def __init__(self, arguments: Arguments, misnamed: list[ArgumentMistake], line: int) -> None:
        self._arguments, self._misnamed, self._line = arguments, misnamed, line

    def __call__(self, function: Transform) -> EventDeclaration:
        # A misspelt argument is one mistake, not two:
        # the argument that was meant is not reported as missing too.
        meant = {(mistake.next_step or "").partition("'")[2].partition("'")[0] for mistake in self._misnamed}
        mistakes = [*self._misnamed]
        mistakes += [
            mistake
            for mistake in mistakes_of(self._arguments)
            if not (mistake.argument in meant and getattr(self._arguments, mistake.argument) is MISSING)
        ]
        mistakes += [ArgumentMistake("", *mistake) for mistake in _wrong_function(function)]
        declaration = EventDeclaration(function, self._arguments, mistakes, self._line)
        collector = current_collector()
        if collector is not None:
            collector.declarations.append(declaration)
        elif mistakes:
            file = inspect.unwrap(function).__code__.co_filename if callable(function) else "@event"
            raise DeclarationError(
                [DeclarationProblem(file, self._line, *mistake[1:]) for mistake in mistakes]
            )
        return declaration


def _all_mistakes_together(declare: Callable[P, EventDecorator]) -> Callable[P, EventDecorator]:
    """Reports a misspelt or missing argument together with the other mistakes,
    not before them as a TypeError."""
    known = [field.name for field in fields(Arguments)]
    required = [
        name for name, argument in inspect.signature(declare).parameters.items() if _required(argument)
    ]

    @functools.wraps(declare)
    def declared(*args: P.args, **kwargs: P.kwargs) -> EventDecorator:
        caller = sys._getframe(1)
        misnamed = []
        if args:
            bare = len(args) == 1 and callable(args[0])
            unnamed = DeclarationProblem(
                caller.f_code.co_filename,
                caller.f_lineno,
                "@event stands without its arguments" if bare else "the arguments of @event are not named",
                'named arguments: @event(topic="...", key="...", event_time="...", windows=..., owner="...", source="...")',
            )
            raise DeclarationError([unnamed])
        given: dict[str, Any] = {name: without_class(value) for name, value in kwargs.items()}
        for name in [name for name in given if name not in known]:
            del given[name]
            near = near_miss(name, [argument for argument in known if argument not in given])
            problem = f"@event knows no argument {name!r}"
            misnamed.append(ArgumentMistake(name, problem, listing(known), near))
        for name in required:
            given.setdefault(name, MISSING)
        decorator: EventDecorator = declare(**given)  # type: ignore[call-arg]
        decorator._misnamed, decorator._line = misnamed, caller.f_lineno
        return decorator

    return declared


def _required(argument: inspect.Parameter) -> bool:
    return argument.default is inspect.Parameter.empty


@_all_mistakes_together
def event(
    *,
    topic: str | Topic,
    key: str,
    event_time: str,
    windows: Windows,
    owner: str,
    source: str,
    event_id: str | None = None,
    headers: Headers = "none",
    record_timestamp: RecordTimestamp = "publish_time",
    dead_letters: DeadLetters = "block",
    tombstones: bool = False,
    whole_window: bool = False,
    stale_writes: StaleWrites = "allow",
    limits: Limits = NO_LIMITS,
    warehouse: str = "default",
    consumers: Sequence[str] = (),
    promise: Promise = NO_PROMISE,
    tags: Sequence[str] | Mapping[str, str] = (),
    description: str | None = None,
) -> EventDecorator:
    """Declare an event; the decorated function is its transform, rows in, rows out.

    The function takes one Arrow-backed pandas frame, a batch of the window's rows, and returns a frame whose
    columns are the contract's fields. `return rows` alone costs nothing: the rows are not changed. The
    contract is the `.avsc` file beside the module. Contract, module and function have the same name.

    topic: the Kafka topic, ending in its version (`flights.flight-departed.v1`); `topic("...", partitions=6)` also says
        what the event needs of the topic's settings.
    key: the contract field whose value is the message key: a non-null string, int, long, bytes, fixed, enum or uuid.
    event_time: the contract field with the instant of the event: non-null timestamp-millis or -micros. The
        event time of every event is inside its window.
    windows: `hourly`, `daily`, `weekly` or `monthly`, from a start.
    owner: `team:NAME` or an e-mail address.
    source: one SELECT, with `:window_start` and `:window_end` bound to the window's bounds, half-open, UTC:
        `WHERE t >= :window_start AND t < :window_end`.
    event_id: a contract field (string or uuid) that Sluice fills with the event's deterministic id; neither the SQL
        nor the transform may produce it. None: no field carries it.
    headers: "cloudevents" adds the CloudEvents attributes to every record's headers, at some cost in speed.
    record_timestamp: the Kafka timestamp of the records: when they were published (so that a topic's retention
        counts from then), or the event time.
    dead_letters: "block": one row that does not fit the contract prevents the publication of its window. Or
        the largest share (above 0, below 1) of a window's rows that may be dead letters while the rest is
        published.
    tombstones: in a correction, a key that has vanished from its window is published with a null value, if the newest
        record of the key on the topic is of this window.
    whole_window: the transform gets its whole window in one frame; memory use grows with the window.
    stale_writes: "skip" leaves out an event whose key has a newer value on the topic, from another producer
        or a later window: for events that carry state, on compacted topics. "allow" publishes every event.
    limits: how fast a run may publish, and which consumer groups it must not outrun: `limits(rows_per_second=5_000)`.
    warehouse: the warehouse's name in the settings.
    consumers: the services that read the event.
    promise: what consumers may expect of each window: `promise(fresh_within="8h", rows=(1_000, 60_000))`.
    tags: names by which events are selected, `["nightly"]`; or names with values, `{"tier": "1"}`. Dagster
        shows them.
    description: what happened, in a sentence; by default the module's docstring.

    Raises `DeclarationError` with every mistake. While a catalogue is loaded, the catalogue reports the
    mistakes of all modules instead.
    """
    arguments = Arguments(
        topic=topic,
        key=key,
        event_time=event_time,
        windows=windows,
        owner=owner,
        source=source,
        event_id=event_id,
        headers=headers,
        record_timestamp=record_timestamp,
        dead_letters=dead_letters,
        tombstones=tombstones,
        whole_window=whole_window,
        stale_writes=stale_writes,
        limits=limits,
        warehouse=warehouse,
        consumers=consumers,
        promise=promise,
        tags=tags,
        description=description,
    )
    return EventDecorator(arguments, [], 0)


_SHAPE = "def name(rows: pd.DataFrame) -> pd.DataFrame"


def _wrong_function(function: object) -> list[tuple[str, str]]:
    if not inspect.isfunction(function):
        kind = "a class" if inspect.isclass(function) else f"{type(function).__name__!r} object"
        return [(f"@event stands over {kind}, not over a function", _SHAPE)]
    plain = inspect.unwrap(function)
    if inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain):
        return [(f"{plain.__name__}() is async; a transform is pure and waits for nothing", _SHAPE)]
    if inspect.isgeneratorfunction(plain):
        return [(f"{plain.__name__}() yields; a transform returns one frame", _SHAPE)]
    try:
        inspect.signature(function).bind(object())
    except TypeError:
        return [
            (f"{plain.__name__}{inspect.signature(function)} cannot be called with the rows alone", _SHAPE)
        ]
    return []
