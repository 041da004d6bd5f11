"""A plan is applied only to windows that are still as the plan found them."""

from collections.abc import Mapping
from typing import Protocol

from pipelines.ledger.entry import LedgerEntry
from pipelines.publishing.next_generation.decision import Decision
from pipelines.publishing.request import PlannedState
from resources.errors import SluiceError
from resources.wording import counted


class PlanOutdated(SluiceError):
    """A window is no longer as the plan found it. Nothing of it was written."""


class Expectation(Protocol):
    """What a run expects of its windows."""

    def asks(self, decision: Decision) -> bool:
        """Whether the run expects anything of a window with this decision. If not, the target is not looked
        up, which may need a request."""

    def meet(
        self, where: str, window: str, entry: LedgerEntry | None, decision: Decision, target: str
    ) -> None:
        """Called with the first decision for a window if `asks` is true for it, before anything is written.
        `entry`: the window's ledger entry; `target`: the hash of the snapshot whose rows would be
        published."""


class AsPlanned:
    """A window with something to do must be as the plan found it.
    `plan`: the found state by window; None: no plan."""

    def __init__(self, plan: Mapping[str, PlannedState] | None, run_id: str) -> None:
        self._plan, self._run_id = plan, run_id

    def asks(self, decision: Decision) -> bool:
        """True if there is a plan and something to do."""
        return self._plan is not None and decision.action != "nothing"

    def meet(
        self, where: str, window: str, entry: LedgerEntry | None, decision: Decision, target: str
    ) -> None:
        """Raises PlanOutdated if the window is not as planned."""
        expected = (self._plan or {}).get(window)
        if expected is None:
            raise PlanOutdated(where, "is not part of the plan", next_step="plan it too")
        if target != expected.snapshot:
            raise PlanOutdated(
                where,
                f"its rows have changed since the plan: snapshot {target[:12]}, planned {(expected.snapshot or 'none')[:12]}",
                next_step="plan again; nothing of this window was published",
            )
        found = (entry.generation, entry.rows_done) if entry else (0, 0)
        # An interrupted publication of the same rows is completed.
        # This covers a retried run of this plan, too.
        on_its_way = decision.action == "resume" and found[0] <= expected.generation + 1
        if found != (expected.generation, expected.rows_done) and not (
            on_its_way or (entry and entry.run_id == self._run_id)
        ):
            raise PlanOutdated(
                where,
                f"has been published since the plan: the ledger is at generation {found[0]}, {counted(found[1], 'record')}; the "
                f"plan found generation {expected.generation}, {counted(expected.rows_done, 'record')}",
                next_step="plan again; nothing of this window was published by this run",
            )


class Noted:
    """For a plan: keeps what is found first of each window, and accepts everything."""

    def __init__(self) -> None:
        self.found: dict[str, PlannedState] = {}

    def asks(self, decision: Decision) -> bool:  # noqa: ARG002
        """True for every window."""
        return True

    def meet(
        self,
        where: str,  # noqa: ARG002
        window: str,
        entry: LedgerEntry | None,
        decision: Decision,  # noqa: ARG002
        target: str,
    ) -> None:
        """Keep the state."""
        state = (entry.generation, entry.rows_done) if entry else (0, 0)
        self.found.setdefault(window, PlannedState(target or None, *state))
