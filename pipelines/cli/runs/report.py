"""What a command that ran windows prints: a line before, a table and a verdict after, and the failures."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import cast

import click

from pipelines.authoring.event import Event
from pipelines.authoring.problems import listing
from pipelines.authoring.windows import Window
from pipelines.cli.output.errors import lines_of
from pipelines.cli.output.nothing_sent import Silent, besides, nothing_because
from pipelines.cli.output.tables import table
from pipelines.cli.output.values import to_json
from pipelines.cli.runs.launcher import RunOutcome
from pipelines.orchestration.windows.failures import RunFailure
from pipelines.publishing.key_search import Unmatched
from pipelines.run_events import Outcome
from resources.wording import counted, noun

_MOST_ROWS = 60
# If more windows than this failed, only ranges are named.
_MOST_NAMED = 10


def announcing(doing: str) -> Callable[[Event, Sequence[Window]], None]:
    """Prints, before each run, what is done (`publishing`, `replaying`) with which windows."""

    def announce(event: Event, windows: Sequence[Window]) -> None:
        first, last = windows[0].key, windows[-1].key
        told = first if first == last else f"{first}..{last}, {counted(len(windows), 'window')}"
        click.echo(f"{doing} {event.full_name} {told}", err=True)

    return announce


def report(
    outcomes: Sequence[RunOutcome],
    *,
    as_json: bool,
    done: str = "published",
    unmatched: Unmatched | None = None,
) -> bool:
    """Print the result of every window, and to stderr why some failed. True if none failed.

    `done`: what the command does with an event (`replayed`). `unmatched`: keys that were requested and are in
    no window.
    """
    if as_json:
        click.echo(to_json([row for outcome in outcomes for row in outcome.as_json(unmatched)], indent=2))
    else:
        _print(outcomes, done, unmatched)
    failed = [outcome for outcome in outcomes if outcome.failed or outcome.failures]
    for outcome in failed:
        tell_failed(outcome)
    return not failed


def _print(outcomes: Sequence[RunOutcome], done: str, unmatched: Unmatched | None) -> None:
    windows = [(outcome, window) for outcome in outcomes for window in outcome.windows]
    several = len({outcome.event.full_name for outcome in outcomes}) > 1
    rows = [
        (
            *([window.event] if several else []), window.window, window.action, window.read, window.published,
            window.skipped, window.dead, window.rows_per_second,
        )
        for _, window in windows
    ]  # fmt: skip
    head = (["event"] if several else []) + [
        "window",
        "action",
        "read",
        "published",
        "skipped",
        "dead",
        "rows/s",
    ]
    sums = [
        sum(outcome.total(name) for outcome in outcomes) for name in ("read", "published", "skipped", "dead")
    ]
    blank = [""] * (2 if several else 1)
    click.echo()
    if len(rows) > _MOST_ROWS:
        click.echo(
            f"{counted(len(rows) - _MOST_ROWS // 2, 'earlier window is', 'earlier windows are')} not shown; --json prints them all"
        )
        rows = rows[-_MOST_ROWS // 2 :]
    table(head, rows, total=["total", *blank, *sums, ""] if len(windows) > 1 else ())
    runs = ", ".join(outcome.run_id[:8] for outcome in outcomes[:5]) + (", …" if len(outcomes) > 5 else "")
    told = _verdict(outcomes, done)
    if unmatched:
        of_keys = str(unmatched)
        told += f" {of_keys[0].upper()}{of_keys[1:]}."
    click.echo(f"\n{told} Dagster {noun(len(outcomes), 'run')} {runs}.")


def _verdict(outcomes: Sequence[RunOutcome], done: str) -> str:
    count = sum(len(outcome.windows) for outcome in outcomes)
    failed = sum(len(outcome.failed) for outcome in outcomes)
    published = sum(outcome.total("published") for outcome in outcomes)
    sent = _sent(published, sum(outcome.total("tombstones") for outcome in outcomes))
    silent = silent_windows(outcomes)
    if failed:
        return f"{failed} of {counted(count, 'window')} failed, {sent} published{besides(silent)}."
    if not published:
        return f"Nothing was {done}: {nothing_because(silent)}."
    return f"{sent} published{besides(silent)}."


def silent_windows(outcomes: Sequence[RunOutcome]) -> list[Silent]:
    """The windows that were done and sent nothing,
    and the stale records of the windows that sent other records."""
    return [
        Silent(cast(Outcome, window.outcome), window.stale or 0)
        for outcome in outcomes
        for window in outcome.windows
        if window.published is not None and (not window.published or window.stale)
    ]


def _sent(records: int, tombstones: int) -> str:
    """`2 events and 1 tombstone`: a tombstone retracts an event, and is not an event."""
    events = records - tombstones
    parts = [counted(events, "event")] if events or not tombstones else []
    if tombstones:
        parts.append(counted(tombstones, "tombstone"))
    return " and ".join(parts)


def tell_failed(outcome: RunOutcome) -> None:
    """Print to stderr which windows of a run failed, and why, if that is not shown already."""
    click.echo(err=True)
    left = [one for one in outcome.failures if not set(one.windows or ("",)) <= outcome.said]
    above = bool(outcome.failures) and not left
    windows = _listed(outcome) or ("no window" if above else "see below")
    told = f"not published: {windows}{' (why is said above)' if above else ''}"
    click.echo(f"{click.style('Error: ', fg='red')}{outcome.event.full_name}: {told}", err=True)
    for failure in left:
        for line in failure_lines(failure):
            click.echo(line, err=True)


def failure_lines(failure: RunFailure) -> list[str]:
    """One reason, as lines."""
    lines = [line for problem in failure.problems for line in lines_of(problem)]
    if failure.not_begun:
        lines.append(f"  {counted(failure.not_begun, 'window')} behind it were not begun")
    if len(failure.windows) > 1:
        lines.append(f"  (the same for {listing(failure.windows[1:], _MOST_NAMED)})")
    return lines


def _listed(outcome: RunOutcome) -> str:
    """The windows that failed: each one, or, if there are many, the ranges without a gap."""
    if len(outcome.failed) <= _MOST_NAMED:
        return ", ".join(outcome.failed)
    failed = set(outcome.failed)
    groups = groupby(outcome.windows, key=lambda window: window.window in failed)
    ranges = [[window.window for window in group] for unfinished, group in groups if unfinished]
    return ", ".join(keys[0] if len(keys) == 1 else f"{keys[0]}..{keys[-1]}" for keys in ranges)
