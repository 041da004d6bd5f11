"""What the op of an event does with the windows of a run. Each stands or falls alone."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from functools import partial

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.orchestration import metadata
from pipelines.orchestration.config import RunConfig
from pipelines.orchestration.control import RunControl
from pipelines.orchestration.event_log import EventLog, event_log
from pipelines.orchestration.in_a_window import InAWindowCheck
from pipelines.orchestration.keys import (
    FITS_CONTRACT,
    IN_A_WINDOW,
    RECONCILED,
    STAGES,
    asset_key,
    table_key,
    warehouse_pool,
)
from pipelines.orchestration.place import require_place
from pipelines.orchestration.pools import pool_slot
from pipelines.orchestration.reconciled import ReconciledCheck
from pipelines.orchestration.unfinished import MOST_NOTED, UnfinishedWindows
from pipelines.pacing.hold import Cancelled
from pipelines.pacing.pacer import Pacer
from pipelines.publishing.publisher import NotPublishable, Publisher
from pipelines.publishing.result import PublishResult
from pipelines.publishing.sought import KeysCheck, KeysUnmatched
from pipelines.publishing.validated import validated
from pipelines.steps.sourced import source_window
from pipelines.steps.together import source_and_transform
from pipelines.steps.transformed import Blocked, Transformed, blocked, transform_window
from resources.errors import PassingFault, SluiceError
from resources.kafka.lag import GroupReader
from resources.memory import MANY_ROWS
from resources.platform import Platform

# What a terminal shows of a run it started; in the UI the same lines stand in the run's log.
terminal = logging.getLogger("sluice.run")
terminal.addHandler(logging.NullHandler())

_RETRIES = 3
_FIRST_WAIT_SECONDS = 10
# So long at most small windows keep a file open that others want to write to.
_HELD_SECONDS = 2.0


class WindowRun:
    """One run of one event: materializes the selected stages of each of its windows."""

    def __init__(
        self, event: Event, context: dg.AssetExecutionContext, config: RunConfig, platform: Platform
    ) -> None:
        self._event, self._context, self._platform = event, context, platform
        self._stages = {key.path[-1] for key in context.selected_asset_keys}
        # A retry, by the daemon or by hand, is the same request as the run it repeats.
        request = context.run.root_run_id or context.run.run_id
        self._wish = config.wish(request=request, requested_by=_launched_by(context.run))
        self._check_stages()
        self._opened_at = time.monotonic()
        # Windows that get more than the selected stages.
        self._of_window: dict[str, set[str]] = {}
        self._limits = config.limits(event, platform.settings)
        self._pacer = Pacer(
            self._limits,
            groups=lambda: GroupReader(platform.settings),
            operator=RunControl(context.instance, context.run.run_id),
            transaction_seconds=platform.settings.transaction_seconds,
            say=self._say,
            warn=self._warn,
            sleep=self._wait,
        )
        self._publisher = Publisher(
            event, platform, run_id=context.run.run_id, wish=self._wish, pace=self._pacer, say=self._say
        )
        topic = self._wish.replay.topic if self._wish.replay else None
        self._reconciled = ReconciledCheck(event, platform, topic=topic)
        self._in_a_window = InAWindowCheck(event, platform, warn=self._warn)
        windows = [event.windows.window(key) for key in context.partition_keys]
        self._keys = KeysCheck(event, platform, self._wish.replay, windows, self._publisher.ledger)
        self._log = EventLog()
        publishes = "published" in self._stages and topic is None
        self._unfinished = UnfinishedWindows(event, platform, context.run.run_id, publishes=publishes)

    def _check_stages(self) -> None:
        """A redrive and a replay from stored snapshots read no warehouse, and a fresh replay must: a partition that was
        asked for and not made would count as failed."""
        replay = self._wish.replay
        if replay is None and self._wish.redrive is None:
            return
        told = f"replay: {replay.source}" if replay else "redrive: true"
        wanted = set(STAGES) if replay and replay.source == "fresh" else {"published"}
        if self._stages != wanted:
            raise SluiceError(
                f"{self._event.full_name}, {told}",
                f"the run has {_listed(self._stages)} selected",
                allowed=_listed(wanted),
                next_step=f"launch it again with {_listed(wanted)} of the event selected; nothing was published",
            )

    def _complete_stages(self) -> None:
        """For each window the selected stages and those before them that it never had: who materializes `published`
        of a window that was never sourced wants it published."""
        for key in self._context.partition_keys:
            stages = set(self._stages)
            if self._wish.replay is None and self._wish.redrive is None and self._wish.expected is None:
                for stage, before in (("published", "transformed"), ("transformed", "sourced")):
                    if stage in stages and before not in stages and not self._has(key, before):
                        stages.add(before)
            self._of_window[key] = stages

    def _has(self, window: str, stage: str) -> bool:
        return self._platform.snapshots.current(self._event.full_name, window, stage) is not None

    def _checks_alone(self) -> Iterator[object]:
        """The selected checks, of what is there: nothing is sourced, transformed or published."""
        wanted = {key.name for key in self._context.selected_asset_check_keys}
        for key in self._context.partition_keys:
            if FITS_CONTRACT in wanted:
                yield self._fits_as_stored(key)
            if RECONCILED in wanted:
                yield self._unfinished.again(key) or self._reconciled.again(key)
        if IN_A_WINDOW in wanted:
            yield from self._in_a_window.evaluations(again=True)

    def _fits_as_stored(self, window: str) -> dg.AssetCheckEvaluation:
        told, passed, severity = "", True, dg.AssetCheckSeverity.ERROR
        try:
            snapshot, _ = validated(self._event, self._platform, window)
            told = f"{snapshot.rows:,} rows fitted the contract when they were transformed"
        except NotPublishable as error:
            told, passed = f"{error.problem}; next: {error.next_step}", False
            if not self._has(window, "transformed"):
                severity = dg.AssetCheckSeverity.WARN
        return dg.AssetCheckEvaluation(
            asset_key=asset_key(self._event, "transformed"),
            check_name=FITS_CONTRACT,
            passed=passed,
            partition=window,
            severity=severity,
            description=told,
        )

    def _say(self, text: str) -> None:
        self._context.log.info(text)
        terminal.info(text)

    def _warn(self, text: str) -> None:
        """Said whatever else of a run is left out."""
        self._context.log.warning(text)
        terminal.warning(text)

    def windows(self) -> Iterator[object]:
        """Materializations and check results as they happen; at the end an error naming the windows that failed."""
        if self._limits and "published" in self._stages:
            self._say(f"limits: {self._limits}")
        try:
            with closing(self._pacer), ExitStack() as held, self._reconciled, self._publisher:
                self._log = held.enter_context(event_log(self._context.instance))
                self._unfinished.begin()
                self._complete_stages()
                if not self._stages:
                    yield from self._checks_alone()
                    return
                if any("sourced" in stages for stages in self._of_window.values()):
                    # Once per run: claiming and freeing it for every window would cost more than a small window.
                    held.enter_context(self._warehouse_slot())
                yield from self._each()
        except Cancelled as cancelled:
            self._warn(str(cancelled))
            # Without it Dagster would take the interruption for a failure.
            self._context.instance.report_run_canceling(self._context.run, message=str(cancelled))
            raise DagsterExecutionInterruptedError(str(cancelled)) from None

    def _wait(self, seconds: float) -> None:
        self._platform.let_writers()
        time.sleep(seconds)

    def _let_writers(self, window: Window, rows: int) -> None:
        """Once the window is read. Opening a file again takes as long as a third of a small window, so that between such
        ones it stays open for a while."""
        now = time.monotonic()
        last = window.key == self._context.partition_keys[-1]
        if last or rows >= MANY_ROWS or now - self._opened_at > _HELD_SECONDS:
            self._platform.let_writers()
            self._opened_at = now

    def _warehouse_slot(self) -> AbstractContextManager[None]:
        name = self._event.full_name
        return pool_slot(
            self._context,
            warehouse_pool(self._event.warehouse),
            name,
            say=self._warn,
            look=lambda: self._pacer.between(name, "no window was begun"),
        )

    def _each(self) -> Iterator[object]:
        failed: dict[str, str] = {}
        passing: PassingFault | None = None
        stopped: list[Window] = []  # by it
        todo = self._todo()
        if todo and "published" in self._stages:
            try:
                require_place(self._context.instance, self._platform)
                self._keys.before()
                self._publisher.require_fit(todo)
            except PassingFault as fault:
                self._warn(str(fault))
                failed[todo[0].key] = f"{fault}; no window was begun"
                passing, stopped, todo = fault, todo[:MOST_NOTED], []
            except SluiceError as error:
                for window in todo[:MOST_NOTED]:
                    yield from self._unfinished.ended(window, error, str(error))
                raise _refused(error) from None
            except Exception as error:
                if interruption := _interruption(error):
                    raise interruption from None
                # A defect; and the windows are not published all the same.
                for window in todo[:MOST_NOTED]:
                    yield from self._unfinished.ended(window, error, f"{type(error).__name__}: {error}")
                raise
        for number, window in enumerate(todo, start=1):
            ended: Exception | None = None
            try:
                self._pacer.between(window.key, f"{number - 1} of {len(todo)} windows were done")
                with self._log.one_window():
                    yield from self._window(window)
            except Cancelled:
                raise
            except PassingFault as fault:
                # Go on from here later: publishing the windows behind it first would put a key's events out of order.
                self._context.log.warning(f"{window.key}: {fault}")
                terminal.warning(f"{window.key}: {fault}")
                passing, stopped = fault, [window]
                failed[window.key] = f"{fault}; {len(todo) - number} windows behind it were not begun"
                break
            except SluiceError as error:
                self._context.log.error(f"{window.key}: {error}")
                terminal.error(f"{window.key}: {error}")
                ended, failed[window.key] = error, str(error)
            except Exception as error:
                if interruption := _interruption(error):
                    raise interruption from None
                self._context.log.exception(f"{window.key}: {type(error).__name__}")
                ended = error
                failed[window.key] = (
                    f"{type(error).__name__}: {error} (a defect; its stack trace is in the log)"
                )
            if ended is not None:
                yield from self._unfinished.ended(window, ended, failed[window.key])
            # Behind the handlers: that Dagster cannot record a window is no fault of the window.
            self._log.write()
        if "sourced" in self._stages and not passing:
            yield from self._in_a_window.evaluations()
        if passing and self._context.retry_number < _RETRIES:
            wait = _FIRST_WAIT_SECONDS * 2**self._context.retry_number
            self._say(f"trying again in {wait} s, from there")
            raise dg.RetryRequested(max_retries=_RETRIES, seconds_to_wait=wait)
        for window in stopped:
            assert passing is not None
            yield from self._unfinished.ended(window, passing, str(passing))
        if failed:
            if todo and todo[-1].key not in failed:
                yield from self._unfinished.at_end()
            raise dg.Failure(
                _told(self._event, failed), metadata={"windows_failed": len(failed)}, allow_retries=False
            )
        try:
            self._keys.after()
        except SluiceError as error:
            raise _refused(error) from None

    def _todo(self) -> list[Window]:
        windows = [self._event.windows.window(key) for key in self._context.partition_keys]
        if not self._context.retry_number:
            return windows
        last = next(stage for stage in ("published", "transformed", "sourced") if stage in self._stages)
        records = self._context.instance.all_logs(
            self._context.run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        done = {
            event.partition
            for record in records
            if (event := record.dagster_event) and event.asset_key == asset_key(self._event, last)
        }
        return [window for window in windows if window.key not in done]

    def _window(self, window: Window) -> Iterator[object]:
        event, platform, run_id = self._event, self._platform, self._context.run.run_id
        dead, waited = 0, dict(self._pacer.waited)
        stages = self._of_window[window.key]
        transformed: Callable[[], Transformed] = partial(
            transform_window, event, window, platform, run_id=run_id
        )
        if "sourced" in stages:
            if "transformed" in stages:
                snapshot, transformed = source_and_transform(event, window, platform, run_id=run_id)
            else:
                snapshot = source_window(event, window, platform, run_id=run_id)
            self._let_writers(window, snapshot.rows)
            platform.snapshots.begin_to_settle(event.full_name, window.key)
            if told := metadata.unsteady(snapshot):
                self._warn(f"{window.key}: {told}")
            # Nobody observes the tables, so Dagster's word for their version is the one it begins with.
            tables = {table_key(event.warehouse, table): "INITIAL" for table in event.source.tables}
            about = metadata.of_sourced(snapshot, platform)
            yield self._materialized("sourced", window, snapshot.sha256, about, tables)
        if "transformed" in stages:
            done = transformed()
            dead = done.dead
            yield from self._transformed(window, done)
            if not done.passed:
                platform.snapshots.settle(event.full_name, window.key)
                raise blocked(event, window, platform, done)
        if "published" not in stages:
            platform.snapshots.settle(event.full_name, window.key)
            if "transformed" in stages:
                yield from self._unfinished.done(window, checked=False)
        else:
            try:
                result = self._publisher.publish(window.key)
            except Blocked as error:
                if error.transformed is not None:
                    yield from self._transformed(window, error.transformed)
                raise
            if result.transformed is not None:  # by a redrive, which sources nothing
                yield from self._transformed(window, result.transformed)
            dead = result.dead or dead
            told = result.told
            # To the terminal alone: the run's log has it as the description of what is recorded below, and each entry
            # of that log costs as much as a tenth of a small window.
            terminal.info(f"{window.key}: {told}")
            yield from self._read_back(window, result, dead, waited, told)

    def _read_back(
        self, window: Window, result: PublishResult, dead: int, waited: Mapping[str, float], told: str
    ) -> Iterator[object]:
        """What was published is compared with the topic, and recorded."""
        event, platform = self._event, self._platform
        with metadata.sampling(event, result, platform) as sample:
            # Before it is recorded: a window whose topic is wrong is not a published one.
            reconciled = self._reconciled.evaluate(window.key, result)
            if reconciled is not None:
                yield reconciled
                terminal.info(f"{window.key}: reconciled: {reconciled.description}")
                if not reconciled.passed:
                    raise self._reconciled.failed(window.key, reconciled)
            about = metadata.of_published(event, result, dead, sample)
        about |= metadata.of_waiting(waited, self._pacer.waited)
        if self._wish.replay and self._wish.replay.topic:
            # The event's own topic is as it was.
            yield dg.AssetObservation(
                asset_key(event, "published"), partition=window.key, metadata=about, description=told
            )
            return
        rows = {asset_key(event, "transformed"): result.snapshot}
        yield self._materialized("published", window, result.snapshot, about, rows, told)
        yield from self._unfinished.done(window, checked=reconciled is not None)

    def _transformed(self, window: Window, done: Transformed) -> Iterator[object]:
        """The stage's record and its check. A window that is blocked is not transformed, only observed: its counts
        stand in the asset's plots."""
        about = metadata.of_transformed(done, self._platform)
        if done.passed:
            source = {asset_key(self._event, "sourced"): str(done.facts["source"])}
            yield self._materialized("transformed", window, done.snapshot.sha256, about, source)
        else:
            key = asset_key(self._event, "transformed")
            yield dg.AssetObservation(key, partition=window.key, metadata=about)
        yield self._checked(window, done)

    def _materialized(
        self,
        stage: str,
        window: Window,
        sha256: str,
        about: metadata.Metadata,
        inputs: Mapping[dg.AssetKey, str],
        told: str | None = None,
    ) -> dg.AssetMaterialization:
        """The stage's materialization with its data version and those of its inputs, by which Dagster sees what is
        out of date; an explicit materialization carries only the versions it is given."""
        tags = {
            "dagster/data_version": sha256,
            "dagster/data_version_is_user_provided": "true",
            "dagster/code_version": self._event.code_version,
        }
        for key, version in inputs.items():
            tags[f"dagster/input_data_version/{key.to_user_string()}"] = version
            pointer = f"dagster/input_event_pointer/{key.to_user_string()}"
            tags[pointer] = "NULL"  # a table
            if key.path[-1] in STAGES and not self._log.point(tags, pointer, key, window.key):
                tags[pointer] = self._pointer(key, window)
        return dg.AssetMaterialization(
            asset_key(self._event, stage), partition=window.key, metadata=about, tags=tags, description=told
        )

    def _pointer(self, upstream: dg.AssetKey, window: Window) -> str:
        """Place of the upstream window's newest materialization in Dagster's log: what comes behind it is newer."""
        wanted = dg.AssetRecordsFilter(asset_key=upstream, asset_partitions=[window.key])
        found = self._context.instance.fetch_materializations(wanted, limit=1).records
        return str(found[0].storage_id) if found else "NULL"

    def _checked(self, window: Window, done: Transformed) -> dg.AssetCheckEvaluation:
        return dg.AssetCheckEvaluation(
            asset_key=asset_key(self._event, "transformed"),
            check_name=FITS_CONTRACT,
            passed=done.passed,
            partition=window.key,
            blocking=True,
            description=done.verdict,
            metadata={
                "rows_in": done.rows_in,
                **metadata.of_dead_letters(done, self._platform),
            },
        )


def _refused(error: SluiceError) -> dg.Failure:
    metadata = {}
    if isinstance(error, KeysUnmatched):
        metadata = {"unmatched_keys": dg.MetadataValue.json(error.unmatched.as_dict())}
    return dg.Failure(str(error), metadata=metadata, allow_retries=False)


def _listed(stages: set[str]) -> str:
    return ", ".join(stage for stage in STAGES if stage in stages)


def _launched_by(run: dg.DagsterRun) -> str:
    """Who launched a run, as far as Dagster knows."""
    tags = run.tags
    for tag, told in (
        ("sluice/requested_by", "{}"),
        ("user", "{}"),
        ("dagster/schedule_name", "schedule {}"),
        ("dagster/backfill", "backfill {}"),
    ):
        if tag in tags:
            return told.format(tags[tag])
    return "Dagster"


def _interruption(error: BaseException | None) -> BaseException | None:
    """The request to stop behind an error: one that arrives within a client's C code comes out as a SystemError."""
    while error is not None:
        if not isinstance(error, Exception):
            return error
        error = error.__cause__ or error.__context__
    return None


def _told(event: Event, failed: dict[str, str]) -> str:
    lines = [
        f"{len(failed)} window{'s' if len(failed) > 1 else ''} of {event.full_name} failed; the others stand."
    ]
    lines += [f"- {told}" for told in list(failed.values())[:20]]
    if len(failed) > 20:
        lines.append(f"- and {len(failed) - 20} more; see the log")
    return "\n".join(lines)
