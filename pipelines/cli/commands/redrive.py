"""`sluice redrive`."""

from typing import Any

import click

from pipelines.cli.options.limits import limit_options


@click.command()
@click.argument("event", metavar="SELECTION")
@click.argument("windows", required=False)
@click.option("--reason", help="Why; kept in the ledger and in the headers of the redriven events.")
@click.option("--force", is_flag=True, help="Also letters that this version of the module has tried before.")
@click.option("--by", "requested_by", metavar="WHO", help="Who asks; by default this user on this machine.")
@limit_options
@click.option("--json", "as_json", is_flag=True, help="One JSON array of windows, for programs.")
def command(
    event: str,
    windows: str | None,
    reason: str | None,
    force: bool,
    requested_by: str | None,
    as_json: bool,
    **limits: Any,
) -> None:
    """After a fix of the module: publish the rows that were dead letters and now fit the contract.

    The rows are those that were sourced then, not newer ones. Of a window that was published without them, exactly
    the repaired rows go out, as its next generation. A window that they blocked is published, if it passes now.
    Rows that fail again stay dead letters, and are not tried again before the module changes once more.

    \b
    WINDOWS is a window's key, a range FIRST..LAST, or a coarser date; left out: every window with dead letters.
      sluice redrive flight_departed 2013-01-01 --reason "delays may be unknown"
      sluice redrive flight_departed 2013-01 --reason "delays may be unknown"
      sluice redrive flight_departed
      sluice redrive 'flights/*' 2013-01 --reason "delays may be unknown"

    Of a selection only windows with dead letters are redriven, those that overlap WINDOWS.

    It never publishes an event that is on the topic already, nor other events that the fix alters: it says how many
    these are, and `sluice publish EVENT WINDOWS --correct` publishes them.
    """
    from pipelines.cli.actions.redrive import run

    run(event, windows, reason, force, requested_by, as_json, **limits)
