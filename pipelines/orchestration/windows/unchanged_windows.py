"""Windows that a failed run did not change stay as they were on Dagster's pages.

Dagster shows a window as failed if a failed run was to materialize it and did not. So a run that is refused,
or that stops half-way, would show the published windows of its range as failed. Instead, Sluice records each
of them again, outside the run: with the data version and the figures of the last materialization, and with
the run that made it.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from itertools import product

import dagster as dg

from pipelines.authoring.event import Event
from pipelines.dagster_private import AssetEventSummaryRecord
from pipelines.ledger.entry import LedgerEntry
from pipelines.orchestration.event_log import event_log
from pipelines.orchestration.keys import asset_key
from resources.errors import SluiceError, TransientError

SINCE_RUN, BECAUSE = "unchanged_since_run", "unchanged_because"

_AT_ONCE = 100
_ROWS_AT_ONCE = 1_000
_LONGEST_REASON = 300

Ledger = Callable[[str], LedgerEntry | None]
"""Returns the newest entry of a window on the event's own topic. Raises SluiceError if that topic is not the
one that the entry is about, and TransientError if the brokers do not answer."""


def recorded_again(record: dg.EventLogRecord, because: str, partition: str) -> dg.AssetMaterialization:
    """The materialization of `record` again: its figures and versions, the run that made it,
    and why it is recorded again."""
    made = record.asset_materialization
    assert made is not None
    since = made.metadata.get(SINCE_RUN, dg.MetadataValue.text(record.run_id))
    return dg.AssetMaterialization(
        made.asset_key,
        partition=partition,
        metadata={**made.metadata, SINCE_RUN: since, BECAUSE: because},
        tags=made.tags,
        description=f"unchanged since run {str(since.value)[:8]}: {because}",
    )


def newest_records(
    instance: dg.DagsterInstance, asset: dg.AssetKey, windows: Iterable[str]
) -> dict[str, dg.EventLogRecord]:
    """The last materialization of each of these windows that has one. Meant for a hundred windows at once."""
    latest = instance.get_latest_storage_id_by_partition(
        asset, dg.DagsterEventType.ASSET_MATERIALIZATION, set(windows)
    )
    if not latest:
        return {}
    wanted = dg.AssetRecordsFilter(asset_key=asset, storage_ids=list(latest.values()))
    found = instance.fetch_materializations(wanted, limit=len(latest)).records
    return {record.partition_key: record for record in found if record.partition_key}


class UnchangedWindows:
    """The unchanged windows of one run, among `windows` of the `selected` assets of `event`."""

    def __init__(
        self,
        event: Event,
        instance: dg.DagsterInstance,
        run: dg.DagsterRun,
        selected: Iterable[dg.AssetKey],
        windows: Sequence[str],
        *,
        warn: Callable[[str], None],
    ) -> None:
        self._event, self._instance, self._run, self._warn = event, instance, run, warn
        self._selected, self._windows = sorted(selected), windows
        self._published = asset_key(event, "published")
        self._answering = True
        self._kept: set[str] | None = None

    def keep(
        self, error: BaseException, *, changed: Container[str] = (), ledger: Ledger | None = None
    ) -> set[str]:
        """Record again what the run, which fails with `error`, did not change; `changed` names the windows
        that it changed. Returns the windows whose published asset is recorded again. Only the first call does
        something.

        A window keeps its state: a window that was shown as failed before stays so, and so does a window that
        is incomplete by the ledger.
        """
        if self._kept is None:
            self._kept = set()
            left = [window for window in self._windows if window not in changed]
            try:
                with event_log(self._instance) as log:
                    for asset, chunk in product(self._selected, list(_chunks(left))):
                        # In one transaction, if the storage supports it.
                        with log.one_window():
                            self._keep(asset, chunk, _told(error), ledger)
                        log.write()
            except Exception as another:  # the reason why the run failed matters more
                self._warn(
                    f"Dagster may show windows as failed that are published as before: {type(another).__name__}: {another}"
                )
        return self._kept

    def still_published(self, window: str, ledger: Ledger) -> bool:
        """Whether the ledger has nothing of the window except what Dagster knows as published. Then a run
        that replayed the window and failed has published nothing of it."""
        record = newest_records(self._instance, self._published, [window]).get(window)
        made = record.asset_materialization if record is not None else None
        if made is None:
            return False
        try:
            entry = ledger(window)
        except SluiceError:
            return False
        known = made.metadata.get("generation")
        return entry is not None and entry.complete and known is not None and known.value == entry.generation

    def _keep(self, asset: dg.AssetKey, windows: Sequence[str], because: str, ledger: Ledger | None) -> None:
        records = {
            window: record
            for window, record in newest_records(self._instance, asset, windows).items()
            if record.run_id != self._run.run_id
        }
        red = self._red_before(asset, {window: record.storage_id for window, record in records.items()})
        for window, record in records.items():
            if window in red or (asset == self._published and not self._whole(window, ledger)):
                continue
            told = f"run {self._run.run_id[:8]} failed and did not change it: {because}"
            self._instance.report_runless_asset_event(recorded_again(record, told, window))
            if asset == self._published and self._kept is not None:
                self._kept.add(window)

    def _whole(self, window: str, ledger: Ledger | None) -> bool:
        """False if the ledger says that the window is incomplete.
        If the ledger does not answer, the window counts as unchanged."""
        if ledger is None or not self._answering:
            return True
        try:
            entry = ledger(window)
        except TransientError:
            self._answering = False
            return True
        except SluiceError:
            return False
        return entry is not None and entry.complete

    def _red_before(self, asset: dg.AssetKey, latest: Mapping[str, int]) -> set[str]:
        """The windows that an earlier run was to materialize after their last materialization,
        if that run failed or still works."""
        own = self._planned(asset, run_id=self._run.run_id, limit=1)
        if not latest or not own:
            return set()
        runs: dict[str, str] = {}
        place, end = min(latest.values()), own[0].storage_id
        while rows := self._planned(asset, after=place, before=end, limit=_ROWS_AT_ONCE):
            for row in rows:
                if row.run_id and row.partition and row.storage_id > latest.get(row.partition, end):
                    runs[row.partition] = row.run_id
            place = rows[-1].storage_id
        over = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED}
        wrong: set[str] = set()
        for chunk in _chunks(sorted(set(runs.values()))):
            found = self._instance.get_runs(filters=dg.RunsFilter(run_ids=list(chunk)))
            wrong |= {run.run_id for run in found if run.status not in over}
        return {window for window, run_id in runs.items() if run_id in wrong}

    def _planned(
        self,
        asset: dg.AssetKey,
        *,
        limit: int,
        run_id: str | None = None,
        after: int | None = None,
        before: int | None = None,
    ) -> Sequence[AssetEventSummaryRecord]:
        return self._instance.get_asset_event_summary_records(
            dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
            asset_key=asset,
            run_id=run_id,
            after_storage_id=after,
            before_storage_id=before,
            limit=limit,
            ascending=True,
        )


def _chunks(windows: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(windows), _AT_ONCE):
        yield windows[first : first + _AT_ONCE]


def _told(error: BaseException) -> str:
    """The first line of the error."""
    text = (error.description or "" if isinstance(error, dg.Failure) else str(error)).strip()
    line = text.partition("\n")[0] or type(error).__name__
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]} …"
