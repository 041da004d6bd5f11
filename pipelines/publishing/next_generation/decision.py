"""What to do with a window: pure functions of the ledger's entry and the request.

    ledger says              snapshot     action
    nothing                  any          backfill, generation 1
    published                the same     nothing
    published                another      correct: publish the difference, next generation
    publishing               the same     resume after rows_done
    publishing, whole        another      correct, against the rows already published
    publishing, otherwise    another      finish that generation, then decide again

Resuming by row number is right only for the same snapshot hash: in another snapshot the rows may be at other
places. "Whole" is a backfill of all rows of its snapshot. Any other interrupted generation (a correction, a
replay, a redrive, a backfill without stale rows) is finished first, because only its target is a state that
both the topic and the store can name.

A replay has a table of its own:

    ledger says              request      action
    nothing                  any          replay on a shadow topic; else there is nothing to replay
    published                this one     nothing: a retry of a run must not replay again
    published, later         this one     nothing: also if the window was corrected since
    published                another      replay, next generation
    publishing               this one     resume after rows_done
    publishing               another      finish that generation, then decide again

A redrive of a published window has one, too. (A window that its dead letters block is transformed again, and
then published by the first table.)

    ledger says              repaired rows    action
    published                none             nothing
    published                some             redrive: publish them, next generation
    publishing               not known yet    finish that generation, then decide again
"""

from dataclasses import dataclass
from typing import Literal

from pipelines.ledger.entry import LedgerEntry
from resources.wording import counted

Action = Literal["nothing", "backfill", "resume", "finish", "correct", "replay", "redrive"]


@dataclass(frozen=True)
class Decision:
    """The action for a window, the generation it belongs to, and the sentence for the operator."""

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
    """The action that replays a window for `request`,
    given the newest committed `entry` of the topic that is replayed to."""
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
        # Only complete generations are here: an incomplete replay is finished before anything else.
        if earlier.get("request") == request:
            return Decision(
                "nothing",
                entry.generation,
                f"replayed by this request before, as generation {earlier['generation']}",
            )
    return Decision("replay", entry.generation + 1, "asked for")


def decide_redrive(entry: LedgerEntry, repaired: int | None, because: str) -> Decision:
    """The action for a window with `repaired` rows that were dead letters and fit now;
    None: they were not retried yet."""
    if not entry.complete or repaired is None:
        return Decision(
            "finish", entry.generation, f"{_stopped(entry)}; that {entry.kind} is completed first"
        )
    if not repaired:
        return Decision("nothing", entry.generation, because)
    return Decision("redrive", entry.generation + 1, because)


def _stopped(entry: LedgerEntry) -> str:
    return f"{entry.rows_done:,} of {counted(entry.rows_total, 'row was', 'rows were')} committed before run {entry.run_id[:8]} stopped"
