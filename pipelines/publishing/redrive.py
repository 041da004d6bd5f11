"""Publishes the rows of a published window that did not fit the contract and now do."""

from dataclasses import replace

from pipelines.publishing.decision import Decision, decide_redrive
from pipelines.publishing.entry import LedgerEntry
from pipelines.publishing.planning import NeverPublished, Planned
from pipelines.publishing.publication import Publication
from pipelines.publishing.redriving import Redriver, Repair
from pipelines.publishing.result import PublishResult
from pipelines.publishing.run import Run
from pipelines.publishing.stored import stored_snapshot


class Redriven(Publication):
    """Of a window that `redriver` found unblocked."""

    def __init__(self, run: Run, window: str, redriver: Redriver) -> None:
        super().__init__(run, window, run.event.topic)
        self._redriver = redriver
        self._tried: tuple[str, int] | None = None
        self._repair: Repair | None = None

    def publish(self) -> PublishResult:
        """To its end, with what was made anew of the window's rows."""
        result = super().publish()
        repair = self._repair
        if result.action == "nothing":
            result = replace(result, nothing="not_repaired")
        return replace(result, transformed=repair.done, dead=repair.dead) if repair else result

    def _decide(self, entry: LedgerEntry | None) -> Decision:
        if entry is None:
            raise NeverPublished(
                f"{self._event.full_name} {self._window}",
                "was never published, and no dead letters keep it from that",
                next_step=f"sluice publish {self._event.full_name} {self._window}",
            )
        state = (entry.snapshot, entry.generation)
        if entry.complete and self._tried != state:
            self._repair, self._tried = self._redriver.repair(entry), state
        repair = self._repair
        return decide_redrive(entry, repair.rows if repair else None, repair.told if repair else "")

    def _plan(self, decision: Decision, entry: LedgerEntry | None) -> Planned:  # noqa: ARG002
        assert self._repair is not None
        self._redriver.settle(self._window, self._repair)
        return self._run.planner.redrive(decision, self._window, self._repair)

    def _rows_read(self, entry: LedgerEntry) -> int:
        return stored_snapshot(self._platform, entry, "transformed", entry.snapshot).rows
