"""One schedule for each cadence and delay:
at each tick it requests a run of each event's newest complete window."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from pipelines.authoring.cadence import following
from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.orchestration.keys import STAGES, asset_key
from resources.wording import counted

# Dagster's job over all assets: a job for each event would cost more than the events (docs/performance.md).
ALL_ASSETS_JOB = "__ASSET_JOB"


def build_schedules(events: Iterable[Event]) -> list[dg.ScheduleDefinition]:
    """Schedules, named after what they wait for: `hourly`, `daily_after_2h`, …;
    off until an operator starts them."""
    groups: dict[tuple[str, timedelta], list[Event]] = defaultdict(list)
    for event in events:
        groups[event.windows.cadence, event.windows.delay].append(event)
    return [_schedule(cadence, delay, group) for (cadence, delay), group in sorted(groups.items())]


def _schedule(cadence: str, delay: timedelta, events: list[Event]) -> dg.ScheduleDefinition:
    name = cadence if not delay else f"{cadence}_after_{_short(delay)}"

    def request(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        now = context.scheduled_execution_time
        requested, ended = 0, 0
        wrong: list[str] = []
        for event in events:
            try:
                window = event.windows.last_complete(now)
                over = window is not None and _ended(event, now)
            except Exception as error:  # whatever it is, the other events of the tick are requested
                wrong.append(f"{event.full_name}: {type(error).__name__}: {error}")
                context.log.exception(f"{event.full_name} is not requested")
                continue
            if window is None:
                continue
            if over:
                ended += 1
                continue
            requested += 1
            yield run_request(event, window)
        if not requested:
            past = f"; the windows of {ended} ended before, a backfill publishes them" if ended else ""
            past += f"; not requested: {'; '.join(wrong)}" if wrong else ""
            yield dg.SkipReason(
                f"no {cadence} window of {counted(len(events), 'event')} became complete at {now:%Y-%m-%d %H:%M} UTC{past}"
            )

    return dg.ScheduleDefinition(
        name=name,
        job_name=ALL_ASSETS_JOB,
        cron_schedule=cron_of(cadence, delay),
        execution_timezone="UTC",
        execution_fn=request,
        description=f"Publishes the newest complete {cadence} window of {counted(len(events), 'event')}"
        + (f", {_short(delay)} after its end." if delay else "."),
    )


def run_request(event: Event, window: Window) -> dg.RunRequest:
    """A run of all stages of one window; a schedule requests it once, however often a tick is evaluated."""
    return dg.RunRequest(
        run_key=f"{event.full_name}|{window.key}",
        asset_selection=[asset_key(event, stage) for stage in STAGES],
        partition_key=window.key,
        tags={"sluice/event": event.full_name},
    )


def _ended(event: Event, now: datetime) -> bool:
    """Whether the event's last window was already complete at the tick before `now`. A schedule only
    publishes new windows; history is published on purpose, with a backfill."""
    windows = event.windows
    if windows.end is None or windows.end > now:  # after an end in the year 9999 there are no dates
        return False
    return following(windows.cadence, windows.end) + windows.delay <= now


def cron_of(cadence: str, delay: timedelta) -> str:
    """The cron line that ticks when a window of this cadence is complete, `delay` after its end."""
    # Any end of a window of the cadence will do: Monday 2024-01-01 ends an hour, a day, a week and a month.
    tick = datetime(2024, 1, 1, tzinfo=UTC) + delay
    match cadence:
        case "hourly":
            return f"{tick.minute} * * * *"
        case "daily":
            return f"{tick.minute} {tick.hour} * * *"
        case "weekly":
            return f"{tick.minute} {tick.hour} * * {tick.isoweekday() % 7}"
        case _ if delay < timedelta(days=27):
            return f"{tick.minute} {tick.hour} {tick.day} * *"
        case _:
            # Not every month has such a day. A daily tick is safe, because a window is requested only once.
            return f"{tick.minute} {tick.hour} * * *"


def _short(delay: timedelta) -> str:
    minutes = int(delay.total_seconds() // 60)
    days, minutes = divmod(minutes, 1440)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{days}d" if days else "", f"{hours}h" if hours else "", f"{minutes}m" if minutes else ""]
    return "".join(parts)
