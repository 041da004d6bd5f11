"""The check `reconciled`: what a run published is read back before the window counts as published."""

from typing import Any

import dagster as dg

from pipelines.authoring.event import Event
from pipelines.ledger.entry import LedgerEntry, ledger_key, read_entry
from pipelines.orchestration.keys import RECONCILED, asset_key
from pipelines.publishing.result import PublishResult
from pipelines.reconciling.expected import CannotReconcile
from pipelines.reconciling.reconciler import Reconciler
from pipelines.reconciling.result import Reconciliation
from pipelines.run_events import Tell, Warned
from resources.errors import SluiceError
from resources.platform import Platform


class NotReconciled(SluiceError):
    """What is on the topic is not what was published. The check has reported it."""

    relaunch = False


class ReconciledCheck(Reconciler):
    """Evaluates the check for the windows of one run if the setting `reconcile` is on. `topic`: a shadow
    topic that the run publishes to instead of the event's own."""

    def __init__(
        self,
        event: Event,
        platform: Platform,
        *,
        topic: str | None = None,
        tell: Tell = lambda _: None,
    ) -> None:
        super().__init__(event, platform)
        self._shadow, self._tell = topic, tell

    def evaluate(self, window: str, result: PublishResult) -> dg.AssetCheckEvaluation | None:
        """The evaluation. None if the setting `reconcile` is off, if the ledger has no entry, if this run
        published nothing and the window's newest generation has passed the check before, or if nothing can be
        said about what an earlier run published.

        A passed check is noted beside the snapshots. If a run is killed between its last commit and this
        check, or if its check fails, the next run reads the window back, even if it publishes nothing.
        """
        if not self._platform.settings.reconcile:
            return None
        key = ledger_key(self._shadow or self._event.topic, window)
        answer = self._platform.ledger.ask(key)
        written = result.entry if result.entry is not None and result.entry.key == key else None
        # The topic and the ledger are read at the same time.
        # Usually the ledger holds what this run has just written.
        found = self._found(window, written, result) if written is not None else None
        value = answer()
        entry = read_entry(key, value)
        if entry is None:
            return None
        state = {"topic": entry.topic, "generation": entry.generation, "snapshot": entry.snapshot}
        if written is None or value != written.to_json():
            if not result.published and self._right_before(window) == state:
                return None
            found = self._found(window, entry, result)
        if found is None:
            return None
        if found.ok and self._shadow is None:
            try:
                self._platform.snapshots.set_reconciled(self._event.full_name, window, state)
            except SluiceError as error:
                self._tell(Warned(window=window, text=f"the next run reads the topic again: {error}"))
        return self._evaluation(window, found.ok, found.told, _figures(found))

    def _right_before(self, window: str) -> dict[str, Any] | None:
        """The state at the last passed check; None if it is not known.
        It only saves reading the topic again."""
        try:
            return self._platform.snapshots.reconciled(self._event.full_name, window)
        except SluiceError as error:
            told = f"what was found right before is unknown, so the topic is read again: {error}"
            self._tell(Warned(window=window, text=told))
            return None

    def again(self, window: str) -> dg.AssetCheckEvaluation:
        """The evaluation of what is on the topic now, whoever published it."""
        try:
            found = self.reconcile(window)
        except CannotReconcile as error:
            return self._evaluation(window, False, str(error), severity=dg.AssetCheckSeverity.WARN)
        if found.verdict == "unpublished":
            told = "not published yet"
            return self._evaluation(window, False, told, severity=dg.AssetCheckSeverity.WARN)
        return self._evaluation(window, found.ok, found.told, _figures(found))

    def _evaluation(
        self,
        window: str,
        passed: bool,
        told: str,
        metadata: dict[str, Any] | None = None,
        severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    ) -> dg.AssetCheckEvaluation:
        return dg.AssetCheckEvaluation(
            asset_key=asset_key(self._event, "published"),
            check_name=RECONCILED,
            passed=passed,
            partition=window,
            severity=severity,
            description=told,
            metadata=metadata or {},
        )

    def _found(self, window: str, entry: LedgerEntry, result: PublishResult) -> Reconciliation | None:
        """The reconciliation; None if nothing can be said about what an earlier run published."""
        try:
            return self.reconcile(window, entry=entry)
        except CannotReconcile:
            if result.published:
                raise
            return None

    def failed(self, window: str, evaluation: dg.AssetCheckEvaluation) -> SluiceError:
        """The error for the operator of a window that does not reconcile."""
        return NotReconciled(
            f"{self._event.full_name} {window}",
            f"was published, and its topic does not hold what it should: {evaluation.description}",
            next_step=f"`sluice verify {self._event.full_name} {window}` reads it again; docs/reconciliation.md says "
            "what to do",
        )


def _figures(found: Reconciliation) -> dict[str, Any]:
    return {
        "generation": found.generation,
        "expected": found.expected,
        "found": found.found,
        "missing": found.missing,
        "altered": found.altered,
        "duplicated": found.duplicated,
        "deleted_by_policy": found.deleted_by_policy,
        "compacted": found.compacted,
        "records_of_others": found.others,
        "checksum_expected": found.checksum_expected,
        "checksum_found": found.checksum_found,
        "examples": dg.MetadataValue.json([example.__dict__ for example in found.examples]),
        "seconds": round(found.seconds, 3),
        "bytes_read": found.bytes_read,
    }
