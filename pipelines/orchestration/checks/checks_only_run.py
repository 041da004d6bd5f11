"""*Execute all* on checks: the checks are evaluated on what exists;
nothing is sourced, transformed or published."""

from collections.abc import Iterator, Sequence

import dagster as dg

from pipelines.authoring.event import Event
from pipelines.orchestration.checks.failed_windows import UnfinishedWindows
from pipelines.orchestration.checks.in_a_window import InAWindowCheck
from pipelines.orchestration.checks.reconciled import ReconciledCheck
from pipelines.orchestration.keys import FITS_CONTRACT, IN_A_WINDOW, RECONCILED, asset_key
from pipelines.publishing.next_generation.validated_snapshot import validated
from pipelines.publishing.publisher import NotPublishable
from resources.platform import Platform
from resources.snapshots import SnapshotError
from resources.wording import counted


def checks_alone(
    context: dg.AssetExecutionContext,
    event: Event,
    windows: Sequence[str],
    *,
    platform: Platform,
    unfinished: UnfinishedWindows,
    reconciled: ReconciledCheck,
    in_a_window: InAWindowCheck,
) -> Iterator[dg.AssetCheckEvaluation]:
    """The evaluations of the selected checks for each window. If the run names no window, also for windows
    that a run left blocked or failed. These come last, because the page of the asset shows the newest
    evaluation."""
    if not (context.has_partition_key or context.has_partition_key_range):
        noted = unfinished.noted()
        windows = [*(window for window in windows if window not in noted), *noted]
    wanted = {key.name for key in context.selected_asset_check_keys}
    for key in windows:
        if FITS_CONTRACT in wanted:
            yield _fits_as_stored(event, platform, key)
        if RECONCILED in wanted:
            yield unfinished.again(key) or reconciled.again(key)
    if IN_A_WINDOW in wanted:
        yield from in_a_window.evaluations(again=True)


def _fits_as_stored(event: Event, platform: Platform, window: str) -> dg.AssetCheckEvaluation:
    told, passed, severity = "", True, dg.AssetCheckSeverity.ERROR
    try:
        snapshot, _ = validated(event, platform, window)
        told = f"{counted(snapshot.rows, 'row')} fitted the contract when they were transformed"
    except SnapshotError as error:
        told, passed = str(error), False
    except NotPublishable as error:
        told, passed = f"{error.problem}; next: {error.next_step}", False
        if platform.snapshots.current(event.full_name, window, "transformed") is None:
            severity = dg.AssetCheckSeverity.WARN
    return dg.AssetCheckEvaluation(
        asset_key=asset_key(event, "transformed"),
        check_name=FITS_CONTRACT,
        passed=passed,
        partition=window,
        severity=severity,
        description=told,
    )
