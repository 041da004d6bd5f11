"""`sluice publish`."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.limiting import limit_options, limits_of

if TYPE_CHECKING:
    from pipelines.authoring.catalogue import Catalogue
    from pipelines.authoring.event import Event
    from pipelines.authoring.windows import Window


@click.command()
@click.argument("event", required=False)
@click.argument("windows", required=False)
@click.option(
    "--all", "all_windows", metavar="WINDOWS", help="Every event: its windows that overlap this time."
)
@click.option("--reason", help="Why; kept in the ledger and in the headers of corrected events.")
@click.option("--correct", is_flag=True, help="Publish what differs under a changed module or contract.")
@click.option("--replay", is_flag=True, help="Publish every event again where module or contract changed.")
@click.option(
    "--processes", type=click.IntRange(1, 64), default=1, metavar="N",
    help="Publish in so many processes side by side; see below.",
)  # fmt: skip
@limit_options
@click.option("--json", "as_json", is_flag=True, help="One JSON array of windows, for programs.")
def command(
    event: str | None,
    windows: str | None,
    all_windows: str | None,
    reason: str | None,
    correct: bool,
    replay: bool,
    processes: int,
    as_json: bool,
    **limits: Any,
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
      sluice publish --all 2013-01 --processes 4           four events at a time

    With --processes the events of --all go side by side, each event's windows in order; the windows of one EVENT
    are cut into as many ranges, each a run, and events of one key may come in another order than their windows.

    It never publishes an event twice, and never a window with rows that do not fit the contract, unless the
    event allows some.
    """
    if correct and replay:
        raise click.UsageError("--correct publishes what differs, --replay every event: choose one")

    if all_windows is not None and (event or windows):
        raise click.UsageError(
            "--all is for every event: leave EVENT out, as in `sluice publish --all 2013-01-01`"
        )
    if all_windows is None and not (event and windows):
        raise click.UsageError(
            "name an event and its windows, as in `sluice publish flight_departed 2013-01-01`"
        )
    again = f"sluice publish --all {all_windows}" if all_windows else f"sluice publish {event} {windows}"
    with ExitStack() as begun:
        beside = None
        if processes > 1:
            from pipelines.cli.process import Processes

            # First of all: they load what a run needs while this one looks at what there is to do.
            beside = begun.enter_context(Processes(processes))

        from pipelines.cli.launching import run_all
        from pipelines.cli.reporting import announcing, report
        from resources.settings import load_settings

        catalogue, work, whole = _work(event, windows, all_windows)
        settings = load_settings()
        changed = "correct" if correct else "replay" if replay else "ask"
        config = {"reason": reason or "", "on_definition_change": changed, **limits_of(**limits)}
        if beside:
            from pipelines.cli.side_by_side import publish_side_by_side

            outcomes = publish_side_by_side(
                catalogue, settings, work, beside, divide=all_windows is None, config=config, again=again
            )
        else:
            outcomes = run_all(
                catalogue,
                settings,
                work,
                again=again,
                config=config,
                every_window=True,
                before=announcing("publishing"),
            )
    if not report(outcomes, as_json=as_json) or not whole:
        raise SystemExit(1)


def _work(
    event: str | None, windows: str | None, all_windows: str | None
) -> "tuple[Catalogue, list[tuple[Event, list[Window]]], bool]":
    """The events that are meant, each with its windows; and whether all of them could be loaded."""
    from datetime import UTC, datetime

    from pipelines.cli.choosing import catalogue_and_event, healthy_catalogue
    from pipelines.cli.periods import ended_windows, overlapping, period

    now = datetime.now(UTC)
    if all_windows is None:
        assert event and windows
        catalogue, single = catalogue_and_event(event)
        return catalogue, [(single, ended_windows(single, windows, now))], True
    catalogue, whole = healthy_catalogue()
    start, end = period(all_windows)
    found = [(one, [w for w in overlapping(one, start, end) if w.end <= now]) for one in catalogue]
    for one, chosen in found:
        if not chosen:
            click.echo(f"{one.full_name}: no ended window overlaps {all_windows} ({one.windows})", err=True)
    return catalogue, [(one, chosen) for one, chosen in found if chosen], whole
