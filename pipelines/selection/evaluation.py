"""Which events an expression picks.
A term that picks nothing is an error, so that no selection is smaller than it reads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from pipelines.authoring.catalogue import Catalogue
from pipelines.authoring.event import Event
from pipelines.authoring.problems import listing, near_miss
from pipelines.authoring.samples import to_get_them, why_left_out
from pipelines.selection.expressions import (
    All,
    AnyOf,
    Expression,
    InState,
    Named,
    Not,
    OwnedBy,
    Pattern,
    State,
    Tagged,
    Term,
    plain_name,
    terms_of,
    uses_states,
)
from resources.errors import SluiceError
from resources.wording import brief, counted

StatesOf = Callable[[Iterable[Event]], Mapping[str, Collection[State]]]
"""The states of events, by full name; called at most once for a selection, and only if it names a state."""


class NothingSelected(SluiceError):
    """A selection, or a term of it, that picks no event."""


@dataclass(frozen=True)
class Subject:
    """What is known about an event. None: not known, because the event does not load."""

    full_name: str
    owner: str | None = None
    tags: Mapping[str, str] | None = None
    states: Collection[State] | None = None


@dataclass(frozen=True)
class Selected:
    """`events` are picked, sorted by name. `refused` do not load, and would or may be picked if they did.
    `notes` say which terms under `not` pick nothing, and that samples are left out."""

    events: tuple[Event, ...]
    refused: tuple[str, ...]
    notes: tuple[str, ...]


def matches(expression: Expression, subject: Subject) -> bool | None:
    """Whether the expression picks the event; None if that depends on something that is not known."""
    match expression:
        case Named(name):
            return name.matches(
                subject.full_name if "/" in name.text else subject.full_name.rpartition("/")[2]
            )
        case OwnedBy(owner):
            return None if subject.owner is None else owner.matches(subject.owner)
        case Tagged(key, value):
            if subject.tags is None:
                return None
            return any(
                key.matches(tag) and (value is None or value.matches(told))
                for tag, told in subject.tags.items()
            )
        case InState(state):
            return None if subject.states is None else state in subject.states
        case Not(part):
            found = matches(part, subject)
            return None if found is None else not found
        case All(parts):
            verdicts = [matches(part, subject) for part in parts]
            return False if False in verdicts else None if None in verdicts else True
        case AnyOf(parts):
            verdicts = [matches(part, subject) for part in parts]
            return True if True in verdicts else None if None in verdicts else False


def select(expression: Expression, catalogue: Catalogue, states_of: StatesOf) -> Selected:
    """The events of the catalogue that the expression picks.

    Raises UnknownEventError if the named event does not exist, CatalogueError if it does not load, and
    NothingSelected if any other term, or the whole expression, picks nothing.
    """
    text = str(expression)
    subjects = {event.full_name: _subject(event) for event in catalogue}
    refused = [Subject(name) for name in catalogue.refused]
    notes = []
    for term, negated in terms_of(expression):
        if isinstance(term, InState):
            continue
        if (name := plain_name(term)) is not None:
            if not negated or not any(matches(term, one) for one in refused):
                catalogue.find(name)
            continue
        if any(matches(term, one) is not False for one in (*subjects.values(), *refused)):
            continue
        error = _term_error(text, term, catalogue)
        if not negated:
            raise error
        notes.append(f"not {term}: {error.problem}, so this part leaves out nothing")
    if uses_states(expression):
        states = states_of(list(catalogue))
        subjects = {
            name: Subject(name, one.owner, one.tags, states.get(name, ())) for name, one in subjects.items()
        }
    if samples := _samples(expression, catalogue):
        notes.append(f"{counted(len(samples), 'sample event')} left out, because {why_left_out()}")
    events = [event for event in catalogue if matches(expression, subjects[event.full_name])]
    doubtful = tuple(one.full_name for one in refused if matches(expression, one) is not False)
    if not events and not doubtful:
        raise _nothing(text, expression, catalogue, subjects.values())
    return Selected(tuple(sorted(events, key=lambda event: event.full_name)), doubtful, tuple(notes))


def _samples(expression: Expression, catalogue: Catalogue) -> list[str]:
    """The samples that are not loaded and that a term of the expression names."""
    terms = [term for term, negated in terms_of(expression) if isinstance(term, Named) and not negated]
    return sorted(
        name
        for name in catalogue.samples_left_out
        if any(matches(term, Subject(name)) for term in terms)
        and matches(expression, Subject(name)) is not False
    )


def _subject(event: Event) -> Subject:
    return Subject(event.full_name, event.owner, dict(event.tags))


def _term_error(text: str, term: Term, catalogue: Catalogue) -> NothingSelected:
    where = f"selection {brief(text)}"
    match term:
        case OwnedBy(owner):
            owners = sorted({event.owner for event in catalogue})
            problem, there, near = (
                f"no event has the owner {owner.text!r}",
                owners,
                _near(owner, owners, "owner:{}"),
            )
        case Tagged(key, value):
            tags = sorted({str(tag) for event in catalogue for tag in event.tags})
            keys = sorted({tag.key for event in catalogue for tag in event.tags})
            said = key.text if value is None else f"{key.text}={value.text}"
            problem, there = f"no event has the tag {said!r}", tags
            near = _near(key, keys, "tag:{}") if value is None else near_miss(said, tags, "tag:{}")
        case _:
            assert isinstance(term, Named)
            if samples := _samples(term, catalogue):
                return NothingSelected(
                    where,
                    f"{term.name.text!r} names {counted(len(samples), 'sample event')}, and {why_left_out()}",
                    allowed=listing(catalogue.events) or "none",
                    next_step=f"to load the samples: {to_get_them()}",
                )
            names = list(catalogue.events)
            problem, there = f"no event has a name like {term.name.text!r}", names
            bare = [name.rpartition("/")[2] for name in names]
            near = _near(term.name, names if "/" in term.name.text else bare, "{}")
            if "/" in term.name.text:
                domains = sorted({name.partition("/")[0] for name in names})
                near = near_miss(term.name.text.partition("/")[0], domains, "{}/*") or near
    return NothingSelected(
        where, problem, allowed=listing(there) or "none", next_step=near or "run: sluice list"
    )


def _near(pattern: Pattern, options: Iterable[str], form: str) -> str | None:
    return near_miss(pattern.text, options, form)


def _nothing(
    text: str, expression: Expression, catalogue: Catalogue, subjects: Iterable[Subject]
) -> NothingSelected:
    where = f"selection {brief(text)}"
    if not catalogue.events:
        return NothingSelected(
            where,
            f"there are no events in {catalogue.assets_root}",
            allowed="none",
            next_step="run: sluice new",
        )
    problem = f"picks none of {counted(len(catalogue), 'event')}"
    if uses_states(expression):
        there = [f"{one.full_name} ({', '.join(sorted(one.states or ())) or 'no state'})" for one in subjects]
        return NothingSelected(where, f"{problem} now", allowed=listing(there), next_step="sluice status")
    return NothingSelected(
        where,
        problem,
        allowed=listing(catalogue.events),
        next_step="`and` needs both sides to hold for one event; `or` joins events",
    )
