"""`sluice redrive`."""

from typing import Any

import click

from pipelines.cli.limiting import limit_options, limits_of


@click.command()
@click.argument("event")
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

    It never publishes an event that is on the topic already, nor other events that the fix alters: it says how many
    these are, and `sluice publish EVENT WINDOWS --correct` publishes them.
    """
    from pipelines.cli.choosing import catalogue_and_event
    from pipelines.cli.launching import run_all
    from pipelines.cli.letters import windows_to_redrive
    from pipelines.cli.replaying import unbroken
    from pipelines.cli.reporting import announcing, report
    from pipelines.orchestration.config import RunConfig
    from resources.platform import Platform
    from resources.settings import load_settings

    catalogue, found = catalogue_and_event(event)
    config = RunConfig(
        reason=reason or "", requested_by=requested_by or "", redrive=True, force=force, **limits_of(**limits)
    )
    if windows:
        chosen = found.windows.parse(windows)
    else:
        with Platform() as platform:
            chosen = [found.windows.window(key) for key in windows_to_redrive(found, platform)]
    if not chosen:
        click.echo("[]" if as_json else f"{found.full_name} has no dead letters.")
        return
    outcomes = run_all(
        catalogue,
        load_settings(),
        [(found, part) for part in unbroken(chosen)],
        again=f"sluice redrive {found.full_name}" + (f" {windows}" if windows else ""),
        stages=("published",),
        config=config.as_run_config(),
        every_window=True,
        before=announcing("redriving"),
    )
    if not report(outcomes, as_json=as_json, done="redriven"):
        raise SystemExit(1)
