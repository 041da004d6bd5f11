"""A plan is applied to what it was made of, or not at all."""

from collections.abc import Mapping
from typing import Protocol

from pipelines.ledger.entry import LedgerEntry
from pipelines.publishing.next_generation.decision import Decision
from pipelines.publishing.request import PlannedState
from resources.errors import SluiceError
from resources.wording import counted


class PlanOutdated(SluiceError):
    """A window is not as the plan that is applied found it; nothing of it was written."""


class Expectation(Protocol):
    """What is expected of the windows of a run."""

    def asks(self, decision: Decision) -> bool:
        """Whether anything is expected of a window of which this is decided: to know the target may take a question."""

    def meet(
        self, where: str, window: str, entry: LedgerEntry | None, decision: Decision, target: str
    ) -> None:
        """Called with the first decision about a window that it asks about, before anything is written. `entry`: what the
        ledger says of it; `target`: the hash of the snapshot whose rows would go out."""


class AsPlanned:
    """A window that something is to be done with must be as the plan found it; `plan`: by window, None for no plan."""

    def __init__(self, plan: Mapping[str, PlannedState] | None, run_id: str) -> None:
        self._plan, self._run_id = plan, run_id

    def asks(self, decision: Decision) -> bool:
        """Not without a plan, and not where there is nothing to do."""
        return self._plan is not None and decision.action != "nothing"

    def meet(
        self, where: str, window: str, entry: LedgerEntry | None, decision: Decision, target: str
    ) -> None:
        """Raises PlanOutdated."""
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
        # What stopped on the way to the same rows is completed: also a run of this plan that is retried.
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
    """For a plan: what is found first of each window is noted, and anything is expected."""

    def __init__(self) -> None:
        self.found: dict[str, PlannedState] = {}

    def asks(self, decision: Decision) -> bool:  # noqa: ARG002
        """Of every window."""
        return True

    def meet(
        self,
        where: str,  # noqa: ARG002
        window: str,
        entry: LedgerEntry | None,
        decision: Decision,  # noqa: ARG002
        target: str,
    ) -> None:
        """Notes it."""
        state = (entry.generation, entry.rows_done) if entry else (0, 0)
        self.found.setdefault(window, PlannedState(target or None, *state))
