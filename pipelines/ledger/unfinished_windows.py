"""Windows whose newest run ended without publishing them: blocked or failed, why, and what to do next."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from resources.follow_ups import follow_up
from resources.snapshots import SnapshotStore

State = Literal["blocked", "failed"]


@dataclass(frozen=True)
class Unfinished:
    """`blocked`: rows do not fit the contract; `failed`: anything else. What was published before stays as it
    is.

    `dead` of `rows_in` source rows do not fit, if that is known. `at`: when the run ended so, UTC. `advice`:
    the next step that the error itself names; `relaunch`: whether the window is to be published again after
    that. Both are None in a note of an older version.
    """

    event: str
    window: str
    state: State
    reason: str
    run_id: str
    at: str
    rows_in: int | None = None
    dead: int | None = None
    advice: str | None = None
    relaunch: bool | None = None

    @property
    def next_step(self) -> str:
        """What to do, with the command that continues from here."""
        if self.state == "blocked":
            return follow_up(f"sluice dead-letters {self.event} {self.window}")
        publish = f"sluice publish {self.event} {self.window}"
        if not self.advice:
            return follow_up(publish)
        return follow_up(f"{self.advice}; then {publish}" if self.relaunch else self.advice)

    @property
    def told(self) -> str:
        """How the run ended for the window, and why."""
        return f"{self.state}: {self.reason}"

    def __str__(self) -> str:
        return f"{self.told}; next: {self.next_step}"

    def as_json(self) -> dict[str, object]:
        """The note for programs."""
        fields = {name: value for name, value in asdict(self).items() if name != "relaunch"}
        return {**fields, "next_step": self.next_step}


def note(store: SnapshotStore, one: Unfinished) -> None:
    """Store the note beside the snapshots, where every command finds it."""
    store.set_unfinished(one.event, one.window, asdict(one))


def unfinished(store: SnapshotStore, events: Iterable[str]) -> list[Unfinished]:
    """The stored notes of these events, by event and window."""
    found = (_read(facts) for name in events for facts in store.unfinished(name))
    return [one for one in found if one is not None]


def _read(facts: Mapping[str, Any]) -> Unfinished | None:
    """The note; None if the facts are not a valid note. Unknown fields of a later version are ignored: a note
    only reports what happened."""
    named = {field.name: facts.get(field.name) for field in fields(Unfinished)}
    texts = all(isinstance(named[name], str) for name in ("event", "window", "reason", "run_id", "at"))
    numbers = all(type(named[name]) in (int, type(None)) for name in ("rows_in", "dead"))
    told = isinstance(named["advice"], str | None) and isinstance(named["relaunch"], bool | None)
    told = told and named["state"] in get_args(State)
    return Unfinished(**named) if texts and numbers and told else None  # type: ignore[arg-type]
