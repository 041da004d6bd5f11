"""Jobs over selections of events, as an operator declares them: `[jobs.NAME]` in sluice.toml.

A Dagster asset job has one partitions definition. So the events of a job are grouped by their windows. One
group becomes the job NAME. If there are several groups, each becomes a job of its own, named NAME and the
cadence. All of them share one schedule.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg

from pipelines.authoring.cadence import Cadence
from pipelines.authoring.catalogue import Catalogue
from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window, Windows
from pipelines.orchestration.definitions.schedules import ALL_ASSETS_JOB, run_request
from pipelines.orchestration.keys import EVENTS_TAG, STAGES, asset_key
from pipelines.selection.evaluation import select
from pipelines.selection.expressions import uses_states
from pipelines.selection.parser import parse
from resources.errors import SluiceError, readable
from resources.settings.jobs import JOBS, JobSetting
from resources.wording import counted

_EPOCH = datetime(1970, 1, 1)
_Span = tuple[Cadence, datetime, datetime | None]


@dataclass
class Jobs:
    """`broken`: the jobs that could not be built, by the place that declares them, with what is wrong."""

    jobs: list["dg.UnresolvedAssetJobDefinition"] = field(default_factory=list)
    schedules: list[dg.ScheduleDefinition] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)


def build_jobs(catalogue: Catalogue, declared: Sequence[JobSetting]) -> Jobs:
    """The jobs and schedules over the events of the catalogue. A wrong job does not affect the others."""
    found = Jobs()
    taken: set[str] = set()
    for one in declared:
        place = place_of(one)
        try:
            events = _events(catalogue, one)
            jobs = _jobs(one, events)
            schedule = [] if one.cron is None else [_schedule(one.name, one.select, one.cron, events)]
            if twice := sorted(taken & {job.name for job in jobs}):
                raise SluiceError(
                    place,
                    f"makes the job {twice[0]}, and so does another one",
                    next_step="give it another name",
                )
        except SluiceError as error:
            found.broken[place] = readable(str(error))
            continue
        taken |= {job.name for job in jobs}
        found.jobs += jobs
        found.schedules += schedule
    return found


def place_of(one: JobSetting) -> str:
    """Where the job is declared."""
    return f"sluice.toml [{JOBS}.{one.name}]"


def _events(catalogue: Catalogue, one: JobSetting) -> tuple[Event, ...]:
    place = place_of(one)
    expression = parse(one.select)
    if uses_states(expression):
        raise SluiceError(
            place,
            f"select={one.select!r} uses state:, and Dagster builds a job once, when it loads the events",
            allowed="names, owner: and tag:",
            next_step="leave state: out; a run publishes nothing for a window that is on its topic already",
        )
    selected = select(expression, catalogue, lambda _: {})
    if not selected.events:
        raise SluiceError(place, f"none of its events loads: {', '.join(selected.refused)}")
    return selected.events


def _jobs(one: JobSetting, events: Sequence[Event]) -> "list[dg.UnresolvedAssetJobDefinition]":
    groups: dict[_Span, list[Event]] = defaultdict(list)
    for event in events:
        groups[_span(event.windows)].append(event)
    names = _names(one.name, list(groups))
    for name in names.values():
        _check_name(one, name)
    return [
        dg.define_asset_job(
            names[span],
            selection=dg.AssetSelection.assets(
                *(asset_key(event, stage) for event in group for stage in STAGES)
            ),
            description=f"{counted(len(group), 'event')} of the selection `{one.select}`.",
            run_tags={"sluice/job": one.name, EVENTS_TAG: ",".join(event.full_name for event in group)},
        )
        for span, group in groups.items()
    ]


def _check_name(one: JobSetting, name: str) -> None:
    """Raises SluiceError for a name that Dagster refuses. Dagster itself checks a job's name only when it
    resolves all jobs, and then none of them loads."""
    try:
        dg.GraphDefinition(name=name)
    except dg.DagsterInvalidDefinitionError as error:
        raise SluiceError(
            place_of(one),
            f"{name!r} cannot be the name of a job: Dagster reserves it",
            allowed="a name that is neither a keyword of Python nor a word of Dagster, such as config, input or type",
            next_step=f"rename the job, for example to [{JOBS}.{name.lower()}_job]",
        ) from error


def _span(windows: Windows) -> _Span:
    """The part of the windows that Dagster compares: the delay does not belong to it."""
    return windows.cadence, windows.start, windows.end


def _names(name: str, spans: Sequence[_Span]) -> Mapping[_Span, str]:
    if len(spans) == 1:
        return {spans[0]: name}
    cadences = Counter(cadence for cadence, _, _ in spans)
    return {span: f"{name}_{span[0] if cadences[span[0]] == 1 else _written(span)}" for span in spans}


def _written(span: _Span) -> str:
    cadence, start, end = span
    bound = "%Y%m%d%H" if cadence == "hourly" else "%Y%m%d"
    written = f"{cadence}_from_{start:{bound}}"
    return written if end is None else f"{written}_until_{end:{bound}}"


def _schedule(name: str, selected: str, cron: str, events: Sequence[Event]) -> dg.ScheduleDefinition:
    ticks = _ticks(name, cron)

    def request(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        now = context.scheduled_execution_time
        with dg.partition_loading_context(effective_dt=now):
            between = ticks.get_last_partition_window()
        since = between.start if between else now
        requested = 0
        for event in events:
            for window in _became_complete(event, since.astimezone(UTC), now.astimezone(UTC)):
                requested += 1
                yield run_request(event, window).with_replaced_attrs(
                    tags={"sluice/event": event.full_name, "sluice/job": name}
                )
        if not requested:
            yield dg.SkipReason(
                f"no window of {counted(len(events), 'event')} became complete from {since:%Y-%m-%d %H:%M} to "
                f"{now:%Y-%m-%d %H:%M} UTC"
            )

    return dg.ScheduleDefinition(
        name=f"{name}_schedule",
        job_name=ALL_ASSETS_JOB,
        cron_schedule=cron,
        execution_timezone="UTC",
        execution_fn=request,
        description=f"Publishes the windows that became complete since the tick before, of {counted(len(events), 'event')} of "
        f"the selection `{selected}`.",
    )


def _ticks(name: str, cron: str) -> dg.TimeWindowPartitionsDefinition:
    """The time between two ticks as a partition: Dagster itself says when the last tick was."""
    try:
        return dg.TimeWindowPartitionsDefinition(
            start=_EPOCH, fmt="%Y-%m-%d-%H:%M", cron_schedule=cron, timezone="UTC"
        )
    except Exception as error:  # errors of several kinds, all about the cron line
        raise SluiceError(
            f"sluice.toml [{JOBS}.{name}]",
            f"cron={cron!r} is not a cron line",
            allowed="five fields: minute, hour, day of month, month, day of week; in UTC",
            next_step='write cron = "0 6 * * *" for each day at 06:00 UTC',
        ) from error


def _became_complete(event: Event, since: datetime, until: datetime) -> Iterator[Window]:
    """The event's windows whose end plus delay is after `since` and not after `until`, in order."""
    windows = event.windows
    last, before = windows.last_complete(until), windows.last_complete(since)
    if last is None or last == before:
        return
    first = before.end if before is not None else windows.start
    yield from windows.between(windows.key(first), last.key)
