"""A plan is applied to what it was made of, or not at all."""

from collections.abc import Callable

from pipelines.publishing.decision import Decision
from pipelines.publishing.entry import LedgerEntry
from pipelines.publishing.wish import Expected
from resources.errors import SluiceError


class PlanOutdated(SluiceError):
    """A window is not as the plan that is applied found it; nothing of it was written."""


def require_as_planned(
    where: str,
    expected: Expected | None,
    entry: LedgerEntry | None,
    decision: Decision,
    target_of: Callable[[], str],
    *,
    run_id: str,
) -> None:
    """Raise PlanOutdated where a window that something is to be done with is not as the plan found it.

    `expected`: what it found, None where the window is not part of it; `entry`: what the claimed window's ledger says;
    `target_of`: asks for the hash of the snapshot whose rows would go out.
    """
    if expected is None:
        raise PlanOutdated(where, "is not part of the plan", next_step="plan it too")
    target = target_of()
    if target != expected.snapshot:
        raise PlanOutdated(
            where,
            f"its rows have changed since the plan: snapshot {target[:12]}, planned {(expected.snapshot or 'none')[:12]}",
            next_step="plan again; nothing of this window was published",
        )
    found = (entry.generation, entry.rows_done) if entry else (0, 0)
    # What stopped on the way to the same rows is completed: also a run of this plan that is retried.
    on_its_way = decision.action == "resume" and found[0] <= expected.generation + 1
    if found != (expected.generation, expected.rows_done) and not (
        on_its_way or (entry and entry.run_id == run_id)
    ):
        raise PlanOutdated(
            where,
            f"has been published since the plan: the ledger is at generation {found[0]}, {found[1]:,} records; the "
            f"plan found generation {expected.generation}, {expected.rows_done:,} records",
            next_step="plan again; nothing of this window was published by this run",
        )
