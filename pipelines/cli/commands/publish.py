"""`sluice publish`."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.authoring.event import Event
    from pipelines.authoring.windows import Window
    from pipelines.cli.launching import RunOutcome

_MOST_ROWS = 60


@click.command()
@click.argument("event", required=False)
@click.argument("windows", required=False)
@click.option(
    "--all", "all_windows", metavar="WINDOWS", help="Every event: its windows that overlap this time."
)
@click.option("--reason", help="Why; kept in the ledger and in the headers of corrected events.")
@click.option("--correct", is_flag=True, help="Publish what differs under a changed module or contract.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array of windows, for programs.")
def command(
    event: str | None,
    windows: str | None,
    all_windows: str | None,
    reason: str | None,
    correct: bool,
    as_json: bool,
) -> None:
    """Publish windows of an event, each exactly once.

    One Dagster run (seen in `sluice ui`) sources, transforms, checks and publishes each window; a window that
    fails leaves the others alone. A window that was published before is compared with what was sent: nothing
    changed, nothing is published; otherwise only new or changed events go out.

    \b
    WINDOWS is a window's key, a range FIRST..LAST, or a coarser date:
      sluice publish flight_departed 2013-01-01
      sluice publish flight_departed 2013-01-01..2013-01-07
      sluice publish weather_observed 2013-01              every hour of January
      sluice publish --all 2013-01-01..2013-01-07

    It never publishes an event twice, and never a window with rows that do not fit the contract, unless the
    event allows some.
    """
    from datetime import UTC, datetime

    from pipelines.cli.choosing import catalogue_and_event, healthy_catalogue
    from pipelines.cli.launching import run_all
    from pipelines.cli.periods import ended_windows, overlapping, period
    from pipelines.cli.plain import to_json
    from resources.settings import load_settings

    whole = True
    work: list[tuple[Event, list[Window]]]
    now = datetime.now(UTC)
    if all_windows is not None:
        if event or windows:
            raise click.UsageError(
                "--all is for every event: leave EVENT out, as in `sluice publish --all 2013-01-01`"
            )
        catalogue, whole = healthy_catalogue()
        start, end = period(all_windows)
        found = [(one, [w for w in overlapping(one, start, end) if w.end <= now]) for one in catalogue]
        work = [(one, chosen) for one, chosen in found if chosen]
        for one, chosen in found:
            if not chosen:
                click.echo(
                    f"{one.full_name}: no ended window overlaps {all_windows} ({one.windows})", err=True
                )
    elif event and windows:
        catalogue, single = catalogue_and_event(event)
        work = [(single, ended_windows(single, windows, now))]
    else:
        raise click.UsageError(
            "name an event and its windows, as in `sluice publish flight_departed 2013-01-01`"
        )

    outcomes = run_all(
        catalogue,
        load_settings(),
        work,
        again=f"sluice publish --all {all_windows}" if all_windows else f"sluice publish {event} {windows}",
        config={"reason": reason or "", "on_definition_change": "correct" if correct else "ask"},
        every_window=True,
        before=_announce,
    )
    if as_json:
        click.echo(to_json([row for outcome in outcomes for row in outcome.as_json()], indent=2))
    else:
        _report(outcomes)
    failed = [outcome for outcome in outcomes if outcome.failed or outcome.error]
    for outcome in failed:
        _tell_failed(outcome)
    if failed or not whole:
        raise SystemExit(1)


def _announce(event: "Event", windows: "Sequence[Window]") -> None:
    first, last = windows[0].key, windows[-1].key
    told = first if first == last else f"{first}..{last}, {len(windows)} windows"
    click.echo(f"publishing {event.full_name} {told}", err=True)


def _report(outcomes: "list[RunOutcome]") -> None:
    from pipelines.cli.screen import table

    windows = [(outcome, window) for outcome in outcomes for window in outcome.windows]
    several = len(outcomes) > 1
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
        click.echo(f"{len(rows) - _MOST_ROWS // 2:,} earlier windows are not shown; --json prints them all")
        rows = rows[-_MOST_ROWS // 2 :]
    table(head, rows, total=["total", *blank, *sums, ""] if len(windows) > 1 else ())
    runs = ", ".join(outcome.run_id[:8] for outcome in outcomes[:5]) + (", …" if len(outcomes) > 5 else "")
    click.echo(f"\n{_verdict(outcomes)} Dagster run{'s' * several} {runs}.")


def _verdict(outcomes: "list[RunOutcome]") -> str:
    count = sum(len(outcome.windows) for outcome in outcomes)
    failed = sum(len(outcome.failed) for outcome in outcomes)
    published = sum(outcome.total("published") for outcome in outcomes)
    if failed:
        return f"{failed} of {count} windows failed, {published:,} events published."
    if not published:
        return "Nothing was published: every event was on its topic already."
    return f"{published:,} events published."


def _tell_failed(outcome: "RunOutcome") -> None:
    from pipelines.cli.failures import unfolded

    shown = ", ".join(outcome.failed[:10]) + (
        f" and {len(outcome.failed) - 10} more" if len(outcome.failed) > 10 else ""
    )
    click.echo(err=True)
    click.echo(
        f"{click.style('Error: ', fg='red')}{outcome.event.full_name}: not published: {shown or 'see below'}",
        err=True,
    )
    for line in unfolded(outcome.error or ""):
        click.echo(line, err=True)
