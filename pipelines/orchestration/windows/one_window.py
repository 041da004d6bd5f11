"""One window of a run from top to bottom: sourced, transformed, published, read back,
with each step recorded."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.orchestration.checks.failed_windows import UnfinishedWindows
from pipelines.orchestration.checks.reconciled import ReconciledCheck
from pipelines.orchestration.windows import metadata
from pipelines.orchestration.windows.held_files import HeldFiles
from pipelines.orchestration.windows.records import WindowRecords
from pipelines.pacing.pacer import Pacer
from pipelines.publishing.publisher import Publisher
from pipelines.publishing.result import PublishResult
from pipelines.run_events import Tell, Warned, WindowReconciled, done_told
from pipelines.stages.source import source_window
from pipelines.stages.source_and_transform import source_and_transform
from pipelines.stages.transform import Blocked, Transformed, blocked, transform_window
from resources.platform import Platform
from resources.process.memory import MANY_ROWS


class OneWindow:
    """Takes one window after the other through its stages."""

    def __init__(
        self,
        event: Event,
        platform: Platform,
        *,
        run_id: str,
        records: WindowRecords,
        publisher: Publisher,
        reconciled: ReconciledCheck,
        unfinished: UnfinishedWindows,
        files: HeldFiles,
        pacer: Pacer,
        not_asked: frozenset[str],
        to_topic: str | None,
        last: str | None,
        tell: Tell,
    ) -> None:
        """`not_asked`: stages that were selected but that the request does not need. `to_topic`: the other
        topic of a replay. `last`: the run's last window."""
        self._event, self._platform, self._run_id = event, platform, run_id
        self._records, self._publisher = records, publisher
        self._reconciled, self._unfinished = reconciled, unfinished
        self._files, self._pacer = files, pacer
        self._not_asked, self._to_topic, self._last, self._tell = not_asked, to_topic, last, tell

    def run(self, window: Window, stages: set[str]) -> Iterator[object]:
        """Yields Dagster's records of these stages of the window, as they happen.
        Raises the error that ended the window."""
        event, platform = self._event, self._platform
        dead, waited = 0, dict(self._pacer.waited)
        transformed: Callable[[], Transformed] = partial(
            transform_window, event, window, platform, run_id=self._run_id
        )
        if "sourced" in stages:
            self._files.reading()

            def read(rows: int) -> None:
                self._files.read(at_once=window.key == self._last or rows >= MANY_ROWS)

            if "transformed" in stages:
                snapshot, transformed = source_and_transform(
                    event, window, platform, run_id=self._run_id, read=read
                )
            else:
                snapshot = source_window(event, window, platform, run_id=self._run_id, read=read)
            platform.snapshots.begin_fsync(event.full_name, window.key)
            if told := metadata.unsteady(snapshot):
                self._tell(Warned(window=window.key, text=told))
            yield self._records.sourced(window, snapshot)
        if "transformed" in stages:
            done = transformed()
            dead = done.dead
            yield from self._records.transformed(window, done)
            if not done.passed:
                platform.snapshots.fsync_window(event.full_name, window.key)
                raise blocked(event, window, done)
        if "published" in stages:
            yield from self._published(window, dead, waited)
            return
        platform.snapshots.fsync_window(event.full_name, window.key)
        if "transformed" in stages:
            yield from self._unfinished.done(window, checked=False)

    def _published(self, window: Window, dead: int, waited: Mapping[str, float]) -> Iterator[object]:
        try:
            result = self._publisher.publish(window.key)
        except Blocked as error:
            if error.transformed is not None:
                yield from self._records.transformed(window, error.transformed)
            raise
        if result.transformed is not None:  # by a redrive, which sources nothing
            yield from self._records.transformed(window, result.transformed)
        elif self._not_asked:
            yield from self._records.unchanged(
                window, self._not_asked, "a replay or a redrive reads no warehouse"
            )
        published = result.done(window.key)
        self._tell(published)
        yield from self._read_back(window, result, result.dead or dead, waited, done_told(published))

    def _read_back(
        self, window: Window, result: PublishResult, dead: int, waited: Mapping[str, float], told: str
    ) -> Iterator[object]:
        """Compare what was published with the topic, and record it."""
        with metadata.sampling(self._event, result, self._platform) as sample:
            # Checked before it is recorded: if the topic is wrong, the window does not count as published.
            reconciled = self._reconciled.evaluate(window.key, result)
            if reconciled is not None:
                yield reconciled
                self._tell(WindowReconciled(window=window.key, told=reconciled.description or ""))
                if not reconciled.passed:
                    raise self._reconciled.failed(window.key, reconciled)
            about = metadata.of_published(self._event, result, dead, sample)
        about |= metadata.of_waiting(waited, self._pacer.waited)
        if self._to_topic:
            yield from self._records.unchanged(window, {"published"}, f"replayed to {self._to_topic}")
            yield self._records.replayed(window, about, told)
            return
        yield self._records.published(window, result.snapshot, about, told)
        yield from self._unfinished.done(window, checked=reconciled is not None)
