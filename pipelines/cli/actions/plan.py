"""Makes a plan from a terminal, and prints it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import click

from pipelines.authoring.event import Event
from pipelines.authoring.problems import listing
from pipelines.authoring.windows import Window
from pipelines.cli.actions.dead_letters import windows_to_redrive
from pipelines.cli.actions.replay import published_entries, windows_to_replay
from pipelines.cli.options.events import Chosen
from pipelines.cli.options.windows import require_ended
from pipelines.cli.output.errors import lines_of, tell
from pipelines.cli.output.nothing_sent import Silent, besides, nothing_because
from pipelines.cli.output.tables import heading, progress, size, table
from pipelines.cli.output.values import to_cell, to_json
from pipelines.dry_run.dry_run import DryRun
from pipelines.dry_run.plan import Plan, WindowPlan
from pipelines.dry_run.speed import MOST_WINDOWS, estimate, rows_per_second
from pipelines.ledger.listing import read_ledger
from pipelines.ledger.unfinished_windows import unfinished
from pipelines.orchestration.config import RunConfig
from pipelines.orchestration.keys import STAGES
from pipelines.publishing.key_search import KeySearch, Unmatched
from pipelines.publishing.request import Replay
from pipelines.run_events import Outcome, but_for_window
from resources.follow_ups import follow_up
from resources.platform import Platform
from resources.settings import Settings
from resources.wording import counted, headline

_MOST_ROWS = 60
_MOST_REFUSALS, _MOST_NAMED = 20, 6


@dataclass(frozen=True)
class Wanted:
    """What to plan. `windows`: the user's text; `named`: the windows that it means (for a selection, those
    that overlap).
    `config`: the run configuration for a later run; `shown`: how much to show. `of_letters`: only the windows
    with dead letters."""

    windows: str | None
    named: Sequence[Window] | None
    config: Mapping[str, Any]
    shown: int
    of_letters: bool = False


def windows_to_plan(
    meant: Chosen, text: str | None, *, ended_only: bool
) -> Iterator[tuple[Event, list[Window] | None]]:
    """The events that are meant, each with the windows that `text` means; None without a text. In a
    selection, events without such a window are named and left out; with `ended_only`, windows that have not
    ended are left out too."""
    now = datetime.now(UTC)
    for event in meant.events:
        if text is None:
            yield event, None
            continue
        windows = meant.windows(event, text)
        if not meant.named and ended_only:
            windows = [window for window in windows if window.end <= now]
        if windows or meant.named:
            yield event, windows
        else:
            click.echo(f"{event.full_name}: no ended window overlaps {text} ({event.windows})", err=True)


def made(event: Event, wanted: Wanted) -> Plan:
    """The plan of these windows; shows a progress bar on a terminal."""
    now = datetime.now(UTC)
    config = RunConfig(**wanted.config)
    request = config.publish_request(request="plan", requested_by="plan")
    found: list[WindowPlan] = []
    with Platform() as platform:
        settings = platform.settings
        if request.redrive is not None:
            windows = _with_letters(event, platform, wanted)
        elif request.replay is None:
            windows = require_ended(event, wanted.named or (), now)
        else:
            windows = windows_to_replay(
                event, wanted.windows, wanted.named, request.replay.selection, platform
            )
        ledger = read_ledger(platform)
        entries = {entry.key: entry for entry in ledger.entries}
        keys = _sought(event, platform, request.replay, windows)
        dry_run = DryRun(
            event,
            platform,
            request,
            entries,
            damaged=dict(ledger.damaged),
            shown=wanted.shown,
            keys=keys,
        )
        with progress(event.full_name, len(windows)) as bar:
            behind = {one.window: one for one in unfinished(platform.snapshots, [event.full_name])}
            for one in dry_run.windows(windows):
                if one.window in behind and not one.refused:
                    before = behind[one.window]
                    because = f"{one.because}; its newest run was {before.state}: {headline(before.reason)}"
                    if request.replay is None and request.redrive is None:
                        # Its rows fit now; in its newest run they did not.
                        fits = follow_up(f"sluice publish {event.full_name} {one.window}")
                        because += f"; next: {before.next_step if before.state == 'failed' else fits}"
                    one = replace(one, because=because)
                found.append(one)
                bar.at(len(found), f"{one.window}: {one.action}")
        seconds, basis = estimate(
            sum(one.records for one in found),
            sum(one.bytes for one in found),
            config.limits(event, platform.settings),
            _recent(event, platform.settings),
        )
    stored = request.redrive is not None or (request.replay is not None and request.replay.source == "stored")
    stages = ("published",) if stored else STAGES
    made_at = now.isoformat(timespec="seconds")
    return Plan(
        event.full_name,
        event.code_version,
        made_at,
        config.as_run_config(),
        stages,
        tuple(found),
        seconds,
        basis,
        keys.unmatched.as_dict() if keys and keys.unmatched else None,
        settings.environment.name if settings.environment else None,
    )


def _with_letters(event: Event, platform: Platform, wanted: Wanted) -> list[Window]:
    """The windows that are named, or all windows with dead letters."""
    if wanted.named is not None and not wanted.of_letters:
        return list(wanted.named)
    found = [event.windows.window(key) for key in windows_to_redrive(event, platform, unread=tell)]
    return found if wanted.named is None else [window for window in found if window in wanted.named]


def _sought(
    event: Event, platform: Platform, replay: Replay | None, windows: Sequence[Window]
) -> KeySearch | None:
    """The keys or the range of a replay, searched in stored rows.
    In fresh rows they are searched when these rows are made."""
    if replay is None or replay.selection.everything:
        return None
    keys = KeySearch(event, platform, replay.selection)
    if replay.source == "fresh":
        keys.require_typed(())
    else:
        keys.look_stored(published_entries(event, platform, windows))
    return keys


def _recent(event: Event, settings: Settings) -> float | None:
    """The event's latest speed (rows per second), if this installation has run it."""
    if not (settings.home / "dagster").is_dir():
        return None
    from pipelines.orchestration.launch import dagster_instance
    from pipelines.orchestration.publication_records import newest_publications

    with dagster_instance(settings) as instance:
        return rows_per_second(newest_publications(instance, event, most=MOST_WINDOWS))


def show_plan(event: Event, plan: Plan, out: Path | None) -> None:
    """Print the plan for people."""
    if plan.windows or not plan.config.get("redrive"):
        _windows(plan)
        _samples(event, plan)
        _estimate(event, plan)
    else:
        click.echo(f"{event.full_name} has no dead letters.")
    _refusals(plan)
    if plan.unmatched_keys:
        unmatched = str(Unmatched.from_dict(plan.unmatched_keys))
        click.echo(f"\n{unmatched[0].upper()}{unmatched[1:]}.")
    if out is None:
        return
    if plan.keys_missing:
        given = (plan.unmatched_keys or {}).get("given")
        told = "keys of it are in none of its windows" if given else "it selects no event"
        click.echo(f"\nWritten to {out}; it cannot be applied while {told}.")
    elif plan.refused:
        click.echo(f"\nWritten to {out}; it cannot be applied while windows of it are refused.")
    else:
        click.echo(f"\nWritten to {out}. Next: {follow_up(f'sluice plan --apply {out}')}")


def _refusals(plan: Plan) -> None:
    """Print why windows are refused:
    a reason that several windows share is printed once, with the first of them."""
    alike: dict[object, list[WindowPlan]] = {}
    for one in plan.refused:
        alike.setdefault(but_for_window(one.window, one.problems), []).append(one)
    groups = list(alike.values())
    for first, *others in groups[:_MOST_REFUSALS]:
        click.echo(err=True)
        for problem in first.problems:
            head, *rest = lines_of(problem)
            for line in (f"{click.style('Refused: ', fg='red')}{head}", *rest):
                click.echo(line, err=True)
        if others:
            click.echo(f"  (the same for {listing((one.window for one in others), _MOST_NAMED)})", err=True)
    if len(groups) > _MOST_REFUSALS:
        left = sum(map(len, groups[_MOST_REFUSALS:]))
        click.echo(f"and {counted(left, 'other window')}; --json has them all", err=True)


def _windows(plan: Plan) -> None:
    rows = [
        (
            one.window, one.action, one.generation or None, one.rows, one.dead, one.records, one.tombstones, one.gone,
            size(one.bytes), one.because,
        )
        for one in plan.windows
    ]  # fmt: skip
    total: tuple[object, ...] = ()
    if len(rows) > 1:
        sums = [
            sum(getattr(one, name) for one in plan.windows)
            for name in ("rows", "dead", "records", "tombstones", "gone")
        ]
        total = ("total", "", "", *sums, size(sum(one.bytes for one in plan.windows)), "")
    if len(rows) > _MOST_ROWS:
        click.echo(f"{len(rows) - _MOST_ROWS // 2:,} earlier windows are not shown; --json prints them all")
        rows = rows[-_MOST_ROWS // 2 :]
    head = (
        "window",
        "action",
        "generation",
        "events",
        "dead",
        "to publish",
        "tombstones",
        "gone",
        "bytes",
        "because",
    )
    table(head, rows, total=total)


def _samples(event: Event, plan: Plan) -> None:
    first = next((one for one in plan.windows if one.sample), None)
    if first is None:
        return
    heading(f"Of {first.window}, first events to publish")
    for value in first.sample:
        click.echo(to_json(value))
    changed = next((one for one in plan.windows if one.changes), None)
    if changed is None:
        return
    heading(f"Of {changed.window}, changed since they were published")
    rows = [row for change in changed.changes for row in _changed(change)]
    table((event.key, "field", "published", "now"), rows)


def _changed(change: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    key = change["key"]
    rows = [(key, name, to_cell(was), to_cell(now)) for name, (was, now) in change["fields"].items()]
    rows += [(key, name, "(no such field)", to_cell(now)) for name, now in change.get("added", {}).items()]
    rows += [(key, name, to_cell(was), "(no such field)") for name, was in change.get("removed", {}).items()]
    return rows or [(key, "-", "the same values", "written by another contract")]


def _estimate(event: Event, plan: Plan) -> None:
    click.echo()
    records = sum(one.records for one in plan.windows)
    if not records:
        silent = [Silent(cast(Outcome, one.outcome)) for one in plan.windows if one.outcome]
        told = (
            f": {nothing_because(silent)}" if silent and len(silent) == len(plan.windows) else besides(silent)
        )
        click.echo(f"Nothing would be published{told}.")
        return
    others = besides(Silent(cast(Outcome, one.outcome)) for one in plan.windows if one.outcome)
    about = "unknown" if plan.seconds is None else f"about {_duration(plan.seconds)}"
    click.echo(f"{counted(records, 'record')} would be published{others}; time: {about} ({plan.speed}).")
    if event.stale_writes == "skip":
        click.echo(
            "At most: those whose key has a newer value on the topic by then are left out (stale_writes)."
        )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    if seconds < 7200:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
