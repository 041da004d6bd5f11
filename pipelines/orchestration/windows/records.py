"""What Dagster records of a window: the materialization of each stage, the verdict on its rows,
and what did not change."""

from collections.abc import Iterable, Iterator, Mapping

import dagster as dg

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.orchestration.event_log import EventLog
from pipelines.orchestration.keys import FITS_CONTRACT, asset_key, stage_of
from pipelines.orchestration.versions import NOWHERE, pointer_tag, tables_read, version_tags
from pipelines.orchestration.windows import metadata
from pipelines.orchestration.windows.unchanged_windows import newest_records, recorded_again
from pipelines.stages.transform import Transformed
from resources.platform import Platform
from resources.snapshots import Snapshot


class WindowRecords:
    """The records of the windows of one run."""

    def __init__(
        self, event: Event, context: dg.AssetExecutionContext, platform: Platform, log: EventLog
    ) -> None:
        self._event, self._context, self._platform, self._log = event, context, platform, log

    def sourced(self, window: Window, snapshot: Snapshot) -> dg.AssetMaterialization:
        """Record that the rows of the window are stored."""
        about = metadata.of_sourced(snapshot, self._platform)
        return self._materialized("sourced", window, snapshot.sha256, about, tables_read(self._event))

    def transformed(self, window: Window, done: Transformed) -> Iterator[object]:
        """The stage's record and its check. A blocked window is not materialized but only observed, so that
        its counts are in the asset's plots."""
        key = asset_key(self._event, "transformed")
        about = metadata.of_transformed(done, self._platform)
        if done.passed:
            source = {asset_key(self._event, "sourced"): str(done.facts["source"])}
            yield self._materialized("transformed", window, done.snapshot.sha256, about, source)
        else:
            yield dg.AssetObservation(key, partition=window.key, metadata=about)
        yield dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=FITS_CONTRACT,
            passed=done.passed,
            partition=window.key,
            blocking=True,
            description=done.verdict,
            metadata={"rows_in": done.rows_in, **metadata.of_dead_letters(done, self._platform)},
        )

    def published(
        self, window: Window, snapshot: str, about: metadata.Metadata, told: str
    ) -> dg.AssetMaterialization:
        """Record that the topic holds the window, as the rows of the snapshot with this hash."""
        rows = {asset_key(self._event, "transformed"): snapshot}
        return self._materialized("published", window, snapshot, about, rows, told)

    def replayed(self, window: Window, about: metadata.Metadata, told: str) -> dg.AssetObservation:
        """Record that the window was published to another topic. The event's own topic did not change."""
        return dg.AssetObservation(
            asset_key(self._event, "published"), partition=window.key, metadata=about, description=told
        )

    def unchanged(self, window: Window, stages: Iterable[str], because: str) -> Iterator[object]:
        """Record again what was selected and did not change:
        a backfill counts what its runs did not materialize as failed."""
        if "dagster/backfill" not in self._context.run.tags:
            return
        for stage in sorted(stages):
            key = asset_key(self._event, stage)
            record = newest_records(self._context.instance, key, [window.key]).get(window.key)
            if record is not None:
                yield recorded_again(record, because, window.key)

    def _materialized(
        self,
        stage: str,
        window: Window,
        sha256: str,
        about: metadata.Metadata,
        inputs: Mapping[dg.AssetKey, str],
        told: str | None = None,
    ) -> dg.AssetMaterialization:
        tags = version_tags(self._event.code_version, sha256, inputs)
        for key in inputs:
            if stage_of(key) and not self._log.point(tags, pointer_tag(key), key, window.key):
                tags[pointer_tag(key)] = self._pointer(key, window)
        return dg.AssetMaterialization(
            asset_key(self._event, stage), partition=window.key, metadata=about, tags=tags, description=told
        )

    def _pointer(self, upstream: dg.AssetKey, window: Window) -> str:
        """The place of the upstream window's newest materialization in Dagster's log.
        A later place means a newer one."""
        wanted = dg.AssetRecordsFilter(asset_key=upstream, asset_partitions=[window.key])
        found = self._context.instance.fetch_materializations(wanted, limit=1).records
        return str(found[0].storage_id) if found else NOWHERE
