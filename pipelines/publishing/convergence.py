"""Makes the topic hold a window's current validated snapshot: a backfill, a correction, the rest of either, or nothing."""

from pipelines.publishing.decision import Decision, decide
from pipelines.publishing.entry import LedgerDamaged, LedgerEntry, ledger_key, read_entry
from pipelines.publishing.planning import Planned
from pipelines.publishing.publication import Publication
from pipelines.publishing.run import Run
from pipelines.publishing.validated import validated


class Convergence(Publication):
    """On the event's own topic, whatever is replayed elsewhere."""

    def __init__(self, run: Run, window: str) -> None:
        super().__init__(run, window, run.event.topic)

    def _prepare(self) -> None:
        self._snapshot, self._facts = validated(self._event, self._platform, self._window)

    def _decide(self, entry: LedgerEntry | None) -> Decision:
        return decide(entry, self._snapshot.sha256)

    def _plan(self, decision: Decision, entry: LedgerEntry | None) -> Planned:
        return self._run.planner.publication(decision, entry, self._window, self._snapshot, self._facts)

    def _target(self, entry: LedgerEntry | None) -> str:  # noqa: ARG002
        return self._snapshot.sha256

    def _rows_read(self, entry: LedgerEntry) -> int:  # noqa: ARG002
        return self._snapshot.rows

    def _surely_something(self) -> bool:
        key = ledger_key(self._topic, self._window)
        read, value = self._platform.ledger.known(key)
        try:
            return read and self._decide(read_entry(key, value)).action != "nothing"
        except LedgerDamaged:
            return False  # of then; asked again, it may be sound
