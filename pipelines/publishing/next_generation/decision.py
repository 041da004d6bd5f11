"""What to do with a window: pure functions of the ledger's entry and of what is wished.

    ledger says              snapshot     action
    nothing                  any          backfill, generation 1
    published                the same     nothing
    published                another      correct: publish the difference, next generation
    publishing               the same     resume after rows_done
    publishing, whole        another      correct, against the rows already published
    publishing, otherwise    another      finish that generation, then decide again

Resuming by row number holds only for the same hash: rows may have moved. "Whole" is a backfill of all rows of its
snapshot. What else was interrupted (a correction, a replay, a redrive, a backfill without stale rows) is finished
first because its target is the one state that both the topic and the store can name.

A replay is another request, and has a table of its own:

    ledger says              asked by         action
    nothing                  any              replay on a shadow topic; elsewhere there is nothing to replay
    published                this request     nothing: a retry of a run must not replay again
    published, later         this request     nothing: so too where the window was corrected since
    published                another          replay, next generation
    publishing               this request     resume after rows_done
    publishing               another          finish that generation, then decide again

So has a redrive of a window that is on the topic. (One that its dead letters kept from it is transformed again, and
then published by the first table.)

    ledger says              repaired rows    action
    published                none             nothing
    published                some             redrive: publish them, next generation
    publishing               not asked        finish that generation, then decide again
"""

from dataclasses import dataclass
from typing import Literal

from pipelines.ledger.entry import LedgerEntry
from resources.wording import counted

Action = Literal["nothing", "backfill", "resume", "finish", "correct", "replay", "redrive"]


@dataclass(frozen=True)
class Decision:
    """The action for a window, the generation it belongs to, and the sentence an operator reads."""

    action: Action
    generation: int
    because: str


def decide(entry: LedgerEntry | None, snapshot: str) -> Decision:
    """The action that makes the topic equal `snapshot`, given the newest committed `entry`."""
    if entry is None:
        return Decision("backfill", 1, "never published before")
    if entry.complete:
        if entry.snapshot == snapshot:
            return Decision("nothing", entry.generation, f"unchanged since generation {entry.generation}")
        return Decision(
            "correct", entry.generation + 1, f"its events differ from generation {entry.generation}"
        )
    if entry.snapshot == snapshot:
        return Decision("resume", entry.generation, _stopped(entry))
    if entry.kind != "backfill" or entry.delta is not None:
        return Decision(
            "finish", entry.generation, f"{_stopped(entry)}; that {entry.kind} is completed first"
        )
    return Decision("correct", entry.generation + 1, f"{_stopped(entry)}, and its events differ since")


def decide_replay(entry: LedgerEntry | None, request: str) -> Decision:
    """The action that replays a window for `request`, given the newest committed `entry` of the topic replayed to."""
    if entry is None:
        return Decision("replay", 1, "asked for")
    if entry.request == request:
        if entry.complete:
            return Decision("nothing", entry.generation, "replayed by this request before")
        return Decision("resume", entry.generation, _stopped(entry))
    if not entry.complete:
        return Decision(
            "finish", entry.generation, f"{_stopped(entry)}; that {entry.kind} is completed first"
        )
    for earlier in entry.earlier:
        # To its end: a replay that is not whole is finished before anything else.
        if earlier.get("request") == request:
            return Decision(
                "nothing",
                entry.generation,
                f"replayed by this request before, as generation {earlier['generation']}",
            )
    return Decision("replay", entry.generation + 1, "asked for")


def decide_redrive(entry: LedgerEntry, repaired: int | None, because: str) -> Decision:
    """The action for a window of whose dead letters `repaired` rows now fit; None where that was not asked yet."""
    if not entry.complete or repaired is None:
        return Decision(
            "finish", entry.generation, f"{_stopped(entry)}; that {entry.kind} is completed first"
        )
    if not repaired:
        return Decision("nothing", entry.generation, because)
    return Decision("redrive", entry.generation + 1, because)


def _stopped(entry: LedgerEntry) -> str:
    return f"{entry.rows_done:,} of {counted(entry.rows_total, 'row was', 'rows were')} committed before run {entry.run_id[:8]} stopped"
