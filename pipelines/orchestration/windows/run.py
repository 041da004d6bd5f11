"""What the op of an event does with the windows of a run. Each window succeeds or fails by itself."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import replace

import dagster as dg

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.dagster_private import DagsterExecutionInterruptedError
from pipelines.orchestration.checks.checks_only_run import checks_alone
from pipelines.orchestration.checks.failed_windows import MOST_NOTED, UnfinishedWindows
from pipelines.orchestration.checks.in_a_window import InAWindowCheck
from pipelines.orchestration.checks.reconciled import NotReconciled, ReconciledCheck
from pipelines.orchestration.config import RunConfig
from pipelines.orchestration.control import RunControl, is_of_a_terminal
from pipelines.orchestration.event_log import EventLog, event_log
from pipelines.orchestration.keys import asset_key, stage_of, warehouse_pool
from pipelines.orchestration.place import require_place
from pipelines.orchestration.pools import pool_slot
from pipelines.orchestration.run_listeners import tell_listener
from pipelines.orchestration.windows.failures import RunFailure, alike, failures_of_windows, run_failure
from pipelines.orchestration.windows.held_files import HeldFiles
from pipelines.orchestration.windows.one_window import OneWindow
from pipelines.orchestration.windows.records import WindowRecords
from pipelines.orchestration.windows.run_files import allowed_file
from pipelines.orchestration.windows.stages import stages_of
from pipelines.orchestration.windows.unchanged_windows import UnchangedWindows
from pipelines.pacing.hold import Cancelled, RunEnded
from pipelines.pacing.pacer import Pacer
from pipelines.publishing.key_search import KeysUnmatched
from pipelines.publishing.publisher import Publisher
from pipelines.run_events import (
    Ended,
    Paused,
    Retrying,
    RunEvent,
    Said,
    Warned,
    WentOn,
    WindowDone,
    WindowFailed,
    WindowReconciled,
    WindowStarted,
    problems_of,
    sentence,
)
from resources.c_library import SLOWLY, why_missing
from resources.errors import SluiceError, TransientError
from resources.kafka.reading.lag import GroupReader
from resources.platform import Platform
from resources.process.interruption import interruption
from resources.snapshots import SnapshotError
from resources.wording import counted

_RETRIES = 3
_FIRST_WAIT_SECONDS = 10
_DAEMON_DECIDES_SECONDS = 15.0


class WindowRun:
    """One run of one event: materializes the selected stages of each of its windows."""

    def __init__(
        self,
        event: Event,
        context: dg.AssetExecutionContext,
        config: RunConfig,
        platform: Platform,
        windows: Sequence[str],
        unchanged: UnchangedWindows,
    ) -> None:
        self._event, self._context, self._platform, self._unchanged = event, context, platform, unchanged
        # A retry, by the daemon or by hand, is the same request as the run that it repeats.
        request = context.run.root_run_id or context.run.run_id
        config = replace(
            config,
            keys_file=allowed_file("keys_file", config.keys_file, platform),
            plan_file=allowed_file("plan_file", config.plan_file, platform),
        )
        self._request = config.publish_request(request=request, requested_by=_launched_by(context.run))
        self._selected = {stage for key in context.selected_asset_keys if (stage := stage_of(key))}
        self._stages = stages_of(event, self._request, self._selected)
        self._files = HeldFiles(platform.let_writers)
        # The stages of each window; a window may get more than the selected ones.
        self._of_window: dict[str, set[str]] = {}
        # Windows that the run started and did not finish.
        self._changed: set[str] = set()
        self._limits = config.limits(event, platform.settings)
        self._control = RunControl(context.instance, context.run.run_id)
        self._pacer = Pacer(
            self._limits,
            groups=lambda: GroupReader(platform.settings),
            operator=self._control,
            transaction_seconds=platform.settings.transaction_seconds,
            tell=self._tell,
            sleep=self._wait,
        )
        self._publisher = Publisher(
            event,
            platform,
            run_id=context.run.run_id,
            request=self._request,
            pace=self._pacer,
            tell=self._tell,
        )
        topic = self._request.topic
        self._reconciled = ReconciledCheck(event, platform, topic=topic, tell=self._tell)
        self._in_a_window = InAWindowCheck(event, platform, tell=self._tell)
        self._windows = windows
        self._keys = self._publisher.keys_check([event.windows.window(key) for key in windows])
        self._log = EventLog()
        publishes = "published" in self._stages and topic is None
        self._unfinished = UnfinishedWindows(event, platform, context.run.run_id, publishes=publishes)

    def _complete_stages(self) -> None:
        """Decide what each window gets: the selected stages, and the stages before them that it never had. If
        somebody materializes `published` of a window that was never sourced, they want it published."""
        for key in self._windows:
            stages = set(self._stages)
            if (
                self._request.replay is None
                and self._request.redrive is None
                and self._request.expected is None
            ):
                for stage, before in (("published", "transformed"), ("transformed", "sourced")):
                    if stage in stages and before not in stages and not self._has(key, before):
                        stages.add(before)
            self._of_window[key] = stages

    def _has(self, window: str, stage: str) -> bool:
        try:
            return self._platform.snapshots.current(self._event.full_name, window, stage) is not None
        except SnapshotError:
            return True  # the window reports the error in its turn

    def _tell(self, event: RunEvent) -> None:
        """Report the event in the run's log, and to the terminal that shows the run."""
        told = sentence(event)
        # A finished window is not logged: its record has the text as a description, and each log entry costs
        # a tenth of the time of a small window.
        if told and not isinstance(event, (WindowDone, WindowReconciled)):
            self._context.log.log(event.level, told)
        if isinstance(event, (Paused, WentOn)):
            self._control.answer(event)
        tell_listener(self._context.run.run_id, event)

    def windows(self) -> Iterator[object]:
        """Materializations and check results as they happen;
        at the end an error that names the failed windows."""
        if self._limits and "published" in self._stages:
            self._tell(Said(text=f"limits: {self._limits}"))
        if (reason := why_missing()) is not None:
            self._tell(Warned(text=f"without the compiled library {SLOWLY}: {reason}"))
        try:
            with (
                closing(self._files), closing(self._pacer), ExitStack() as held, self._reconciled, self._publisher, self._keeping_unchanged(),
            ):  # fmt: skip
                self._log = held.enter_context(event_log(self._context.instance))
                if self._log.warning:
                    self._tell(Warned(text=self._log.warning))
                self._unfinished.begin()
                self._complete_stages()
                if not self._stages:
                    yield from checks_alone(
                        self._context, self._event, self._windows, platform=self._platform, unfinished=self._unfinished,
                        reconciled=self._reconciled, in_a_window=self._in_a_window,
                    )  # fmt: skip
                    return
                if any("sourced" in stages for stages in self._of_window.values()):
                    # Once for a run: to claim and free the slot for every window
                    # would cost more than a small window.
                    held.enter_context(self._warehouse_slot())
                yield from self._each()
                self._control.require_under_way()
        except RunEnded as ended:
            self._tell(Ended(problems=ended.parts))
            if ended.status == "canceled":
                raise DagsterExecutionInterruptedError(str(ended)) from None
            if not is_of_a_terminal(self._context.run):
                # A second report of the failure, with a step's reason, would cancel the retry that the daemon
                # decides about within seconds of the first report.
                time.sleep(_DAEMON_DECIDES_SECONDS)
            raise run_failure(str(ended), [RunFailure((), ended.parts)]) from None
        except Cancelled as cancelled:
            self._tell(Ended(problems=cancelled.parts))
            # Otherwise Dagster would consider the interruption a failure.
            self._context.instance.report_run_canceling(self._context.run, message=str(cancelled))
            raise DagsterExecutionInterruptedError(str(cancelled)) from None

    @contextmanager
    def _keeping_unchanged(self) -> Iterator[None]:
        """If the block fails, the windows that this run did not change stay as they were in Dagster."""
        try:
            yield
        except (Cancelled, dg.RetryRequested):
            raise  # not a failure
        except Exception as error:
            if interruption(error) is None:
                self._unchanged.keep(error, changed=self._changed, ledger=self._publisher.ledger)
            raise

    def _wait(self, seconds: float) -> None:
        self._files.now()
        time.sleep(seconds)

    def _warehouse_slot(self) -> AbstractContextManager[None]:
        name = self._event.full_name
        return pool_slot(
            self._context,
            warehouse_pool(self._event.warehouse),
            name,
            tell=self._tell,
            look=lambda: self._pacer.between(name, "no window was begun"),
        )

    def _one_window(self) -> OneWindow:
        return OneWindow(
            self._event,
            self._platform,
            run_id=self._context.run.run_id,
            records=WindowRecords(self._event, self._context, self._platform, self._log),
            publisher=self._publisher,
            reconciled=self._reconciled,
            unfinished=self._unfinished,
            files=self._files,
            pacer=self._pacer,
            not_asked=frozenset(self._selected - self._stages),
            to_topic=self._request.topic,
            last=self._windows[-1] if self._windows else None,
            tell=self._tell,
        )

    def _each(self) -> Iterator[object]:
        failed: dict[str, WindowFailed] = {}
        passing: TransientError | None = None
        stopped: list[Window] = []  # by that error
        todo = self._todo()
        if todo and "published" in self._stages:
            try:
                require_place(self._context.instance, self._platform)
                self._keys.before()
                self._publisher.require_fit(todo)
            except TransientError as fault:
                failed[todo[0].key] = self._failed(todo[0], fault, failed, passing=True)
                passing, stopped, todo = fault, todo, []
            except SluiceError as error:
                yield from self._not_begun(todo, error, str(error))
                raise _refused(error) from None
            except Exception as error:
                if stop := interruption(error):
                    raise stop from None
                # This is a defect. The windows are not published in any case.
                yield from self._not_begun(todo, error, f"{type(error).__name__}: {error}")
                raise
        not_begun = 0
        one = self._one_window()
        for number, window in enumerate(todo):
            ended: Exception | None = None
            self._tell(WindowStarted(window=window.key, done=number, of=len(todo)))
            try:
                self._pacer.between(
                    window.key, f"{number} of {counted(len(todo), 'window was', 'windows were')} done"
                )
                self._renew()
                with self._log.one_window():
                    yield from one.run(window, self._of_window[window.key])
            except Cancelled:
                raise
            except TransientError as fault:
                # Continue from this window later: if later windows were published first,
                # a key's events would be out of order.
                passing, stopped = fault, [window]
                self._stopped_in(window, fault)
                failed[window.key] = self._failed(window, fault, failed, passing=True)
                not_begun = len(todo) - number - 1
                break
            except SluiceError as error:
                ended, failed[window.key] = error, self._failed(window, error, failed)
            except Exception as error:
                if stop := interruption(error):
                    raise stop from None
                self._context.log.exception(f"{window.key}: {type(error).__name__}")
                ended, failed[window.key] = error, self._failed(window, error, failed)
            if ended is not None and self._stopped_in(window, ended):
                told = "; ".join(map(str, failed[window.key].problems))
                yield from self._unfinished.ended(window, ended, told)
            # After the handlers: if Dagster cannot record a window, that is not the window's fault.
            self._log.write()
        self._files.reading()
        if "sourced" in self._stages and not passing:
            yield from self._in_a_window.evaluations()
        if passing and self._context.retry_number < _RETRIES:
            wait = _FIRST_WAIT_SECONDS * 2**self._context.retry_number
            self._tell(Retrying(seconds=wait))
            raise dg.RetryRequested(max_retries=_RETRIES, seconds_to_wait=wait)
        if passing is not None:
            yield from self._not_begun(stopped, passing, str(passing))
        if failed:
            if todo and todo[-1].key not in failed:
                yield from self._unfinished.at_end()
            raise failures_of_windows(self._event, list(failed.values()), not_begun)
        try:
            self._keys.after()
        except SluiceError as error:
            raise _refused(error) from None

    def _renew(self) -> None:
        """Use a secret that was changed since the last window."""
        if self._platform.renew():
            self._publisher.close()
            self._reconciled.close()
            self._pacer.renew()
            self._context.log.info(
                "a secret in a file has changed; connections are opened again with the new one"
            )

    def _failed(
        self,
        window: Window,
        error: Exception,
        before: Mapping[str, WindowFailed],
        *,
        passing: bool = False,
    ) -> WindowFailed:
        """Report a window that failed. If another window failed for the same reason, report only that."""
        problems = problems_of(error)
        like = next((one for one in before.values() if alike(one, window.key, problems)), None)
        found = WindowFailed(window=window.key, problems=problems, passing=passing)
        self._tell(replace(found, same_as=like.window) if like else found)
        return found

    def _stopped_in(self, window: Window, error: Exception) -> bool:
        """Whether the window is no longer as it was before this run,
        or should no longer be; `error` ended it."""
        replays = self._request.replay is not None or self._request.redrive is not None
        # An unchanged window still holds what earlier requests published.
        if (
            replays
            and not isinstance(error, NotReconciled)
            and self._unchanged.still_published(window.key, self._publisher.ledger)
        ):
            return False
        self._changed.add(window.key)
        return True

    def _not_begun(self, windows: list[Window], error: Exception, told: str) -> Iterator[object]:
        """Note the windows that are not published as they were before."""
        kept = self._unchanged.keep(error, changed=self._changed, ledger=self._publisher.ledger)
        for window in [window for window in windows if window.key not in kept][:MOST_NOTED]:
            yield from self._unfinished.ended(window, error, told)

    def _todo(self) -> list[Window]:
        windows = [self._event.windows.window(key) for key in self._windows]
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


def _refused(error: SluiceError) -> dg.Failure:
    metadata = {}
    if isinstance(error, KeysUnmatched):
        metadata = {"unmatched_keys": dg.MetadataValue.json(error.unmatched.as_dict())}
    return run_failure(str(error), [RunFailure((), error.parts)], metadata)


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
