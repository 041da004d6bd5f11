"""`sluice register`."""

import click


@click.command()
@click.argument("event", required=False, metavar="[SELECTION]")
def command(event: str | None) -> None:
    """Register the contract of an event, of those of a selection, or of all, with the schema registry.

    The subject is <topic>-value. Compatibility is asked first; a contract that would break its consumers is
    refused with the registry's reasons, and the others are still registered. So is one that still says TODO, as a
    draft of `sluice new` does; the embedded registry takes it with a warning. Registering twice is harmless.

    \b
    Examples:
      sluice register flight_departed
      sluice register 'flights/*'
      sluice register

    It never publishes, and never changes a subject's compatibility level.
    """
    from pipelines.cli.actions.register import run

    run(event)
