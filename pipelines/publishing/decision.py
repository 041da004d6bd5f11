"""What to do with a window: a pure function of the ledger's entry and the snapshot at hand.

    ledger says              snapshot     action
    nothing                  any          backfill, generation 1
    published                the same     nothing
    published                another      correct: publish the difference, next generation
    publishing, backfill     the same     resume after rows_done
    publishing, backfill     another      correct, against the rows already published
    publishing, correction   the same     resume after rows_done of the stored difference
    publishing, correction   another      finish that correction, then decide again

Resuming by row number holds only for the same hash: rows may have moved. An interrupted correction is
finished first because its target is the one state that both the topic and the store can name.
"""

from dataclasses import dataclass
from typing import Literal

from pipelines.publishing.entry import LedgerEntry

Action = Literal["nothing", "backfill", "resume", "finish", "correct"]


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
    done = f"{entry.rows_done:,} of {entry.rows_total:,} rows were committed before run {entry.run_id[:8]} stopped"
    if entry.snapshot == snapshot:
        return Decision("resume", entry.generation, done)
    if entry.kind == "correction":
        return Decision("finish", entry.generation, f"{done}; that correction is completed first")
    return Decision("correct", entry.generation + 1, f"{done}, and its events differ since")
