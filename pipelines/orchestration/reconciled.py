"""The check `reconciled`: what a run published is read back before the window counts as published."""

from typing import Any

import dagster as dg

from pipelines.authoring.event import Event
from pipelines.orchestration.keys import RECONCILED, asset_key
from pipelines.publishing.entry import ledger_key, read_entry
from pipelines.publishing.result import PublishResult
from pipelines.reconciling.reconciler import Reconciler
from pipelines.reconciling.result import Reconciliation
from resources.errors import SluiceError
from resources.platform import Platform


class ReconciledCheck(Reconciler):
    """Evaluates the check for the windows of one run, where the setting `reconcile` is on."""

    def __init__(self, event: Event, platform: Platform, run_id: str) -> None:
        super().__init__(event, platform)
        self._run_id = run_id

    def evaluate(self, window: str, result: PublishResult, *, again: bool) -> dg.AssetCheckEvaluation | None:
        """The evaluation, or None where this run published nothing. `again`: the run is being retried, and may have
        published the window before the fault."""
        if not self._platform.settings.reconcile or not (result.published or again):
            return None
        key = ledger_key(self._event.topic, window)
        entry = read_entry(key, self._platform.ledger.latest(key))
        if entry is None or entry.run_id != self._run_id:
            return None
        found = self.reconcile(window, entry=entry)
        return dg.AssetCheckEvaluation(
            asset_key=asset_key(self._event, "published"),
            check_name=RECONCILED,
            passed=found.ok,
            partition=window,
            severity=dg.AssetCheckSeverity.ERROR,
            description=found.told,
            metadata=_figures(found),
        )

    def failed(self, window: str, evaluation: dg.AssetCheckEvaluation) -> SluiceError:
        """What the operator of a window that does not reconcile is told."""
        return SluiceError(
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
