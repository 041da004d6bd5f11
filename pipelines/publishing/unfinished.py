"""Windows whose newest run ended without publishing them: blocked or failed, why, and what to do next."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from resources.snapshots import SnapshotStore

State = Literal["blocked", "failed"]


@dataclass(frozen=True)
class Unfinished:
    """`blocked`: rows do not fit the contract; `failed`: anything else. What was published before stays as it is.

    `dead` of `rows_in` source rows do not fit, where that is known. `at`: when the run said so, UTC.
    """

    event: str
    window: str
    state: State
    reason: str
    run_id: str
    at: str
    rows_in: int | None = None
    dead: int | None = None

    @property
    def next_step(self) -> str:
        """The command that goes on from here."""
        command = "dead-letters" if self.state == "blocked" else "publish"
        return f"sluice {command} {self.event} {self.window}"

    def __str__(self) -> str:
        return f"{self.state}: {self.reason}; next: {self.next_step}"

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {**asdict(self), "next_step": self.next_step}


def note(store: SnapshotStore, one: Unfinished) -> None:
    """Remember it beside the snapshots, where every command sees it."""
    store.set_unfinished(one.event, one.window, asdict(one))


def unfinished(store: SnapshotStore, events: Iterable[str]) -> list[Unfinished]:
    """What is remembered of these events, by event and window."""
    return [Unfinished(**facts) for name in events for facts in store.unfinished(name)]
