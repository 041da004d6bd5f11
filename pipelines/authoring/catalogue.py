"""All events of an `assets/` tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.authoring.problems import DeclarationProblem, listing, near_miss
from pipelines.authoring.samples import to_get_them, why_left_out
from resources.errors import Problem, SluiceError
from resources.wording import counted

if TYPE_CHECKING:
    from pipelines.authoring.event import Event


class UnknownEventError(SluiceError):
    """No event has the name `name`, or more than one has it."""

    def __init__(self, name: str, problem: str, *, allowed: str, next_step: str | None) -> None:
        self.name = name
        super().__init__(f"event {name!r}", problem, allowed=allowed, next_step=next_step)


class CatalogueError(SluiceError):
    """The catalogue has mistakes; each is a paragraph of the text.

    `problems` has all of them, by file and line. `healthy` is a catalogue of the events without a mistake,
    for a caller that needs only one of those events.
    """

    def __init__(self, problems: Sequence[DeclarationProblem], healthy: Catalogue) -> None:
        self.problems = tuple(problems)
        self.healthy = healthy
        files = {problem.file for problem in self.problems}
        summary = f"{counted(len(self.problems), 'mistake')} in {counted(len(files), 'file')}"
        super().__init__(str(healthy.assets_root), summary)
        self.several = tuple(Problem(p.where, p.problem, p.allowed, p.next_step) for p in self.problems)
        self.args = ("\n\n".join([f"{summary}:", *(str(problem) for problem in self.problems)]),)


@dataclass(frozen=True)
class Catalogue:
    """The events by full name (`flights/flight_departed`), sorted by it.

    `warnings` are what a reviewer should look at (a `SELECT *`, for example); a warning prevents no run.
    `refused`, in the healthy part of a catalogue with mistakes, has the events that were left out, with their
    mistakes. `samples_left_out` are the names of the sample events that the settings leave out.
    """

    events: Mapping[str, Event]
    assets_root: Path
    warnings: tuple[DeclarationProblem, ...] = ()
    refused: Mapping[str, tuple[DeclarationProblem, ...]] = field(default_factory=dict)
    samples_left_out: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events.values())

    def __len__(self) -> int:
        return len(self.events)

    def find(self, name: str) -> Event:
        """The event called `flights/flight_departed`, or `flight_departed` if only one domain has it.

        Raises `UnknownEventError`, which names the nearest event; `CatalogueError` for an event left out for
        its mistakes.
        """
        if name in self.events:
            return self.events[name]
        bare = [event for event in self if event.name == name]
        if len(bare) == 1:
            return bare[0]
        if bare:
            names = listing(event.full_name for event in bare)
            raise UnknownEventError(
                name, "more than one domain has it", allowed=names, next_step="name the domain too"
            )
        for full_name, problems in self.refused.items():
            if name in (full_name, full_name.rpartition("/")[2]):
                raise CatalogueError(problems, self)
        if sample := next(
            (one for one in sorted(self.samples_left_out) if name in (one, one.rpartition("/")[2])), None
        ):
            raise UnknownEventError(
                name,
                f"{sample} is a sample event, and {why_left_out()}",
                allowed=listing(self.events) or "none",
                next_step=f"to load the samples: {to_get_them()}",
            )
        if not self.events:
            raise UnknownEventError(
                name,
                f"there are no events in {self.assets_root}",
                allowed="none",
                next_step="run: sluice new",
            )
        domains = {event.domain for event in self}
        if name.rstrip("/") in domains:
            raise UnknownEventError(
                name,
                "this is a domain, and no event has its name",
                allowed=listing(one for one in self.events if one.startswith(f"{name.rstrip('/')}/")),
                next_step=f"did you mean '{name.rstrip('/')}/*'? It selects all of its events",
            )
        options = self.events if "/" in name else {event.name for event in self}
        raise UnknownEventError(
            name,
            "there is no such event",
            allowed=listing(self.events),
            next_step=near_miss(name, options) or "run: sluice list",
        )
