"""`sluice publish`."""

from typing import Any

import click

from pipelines.cli.options.limits import limit_options


@click.command()
@click.argument("event", required=False, metavar="[SELECTION]")
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
    """Publish windows of an event, or of the events of a selection, each exactly once.

    One Dagster run (seen in `sluice ui`) sources, transforms, checks and publishes each window; a window that
    fails leaves the others alone. A window that was published before is compared with what was sent: nothing
    changed, nothing is published; otherwise only new or changed events go out.

    \b
    WINDOWS is a window's key, a range FIRST..LAST, or a coarser date:
      sluice publish flight_departed 2013-01-01
      sluice publish flight_departed 2013-01-01..2013-01-07
      sluice publish weather_observed 2013-01              every hour of January
      sluice publish 'flights/* and not flight_departed' 2013-01
      sluice publish --all 2013-01-01..2013-01-07
      sluice publish --all 2013-01 --processes 4           four events at a time

    With a selection, WINDOWS is a time: each event publishes its ended windows that overlap it.

    With --processes the events of --all or of a selection go side by side, each event's windows in order; the windows of one EVENT
    are cut into as many ranges, each a run, and events of one key may come in another order than their windows.

    It never publishes an event twice, and never a window with rows that do not fit the contract, unless the
    event allows some.
    """
    from pipelines.cli.actions.publish import run

    run(event, windows, all_windows, reason, correct, replay, processes, as_json, **limits)
