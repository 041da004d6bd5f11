"""`sluice down`."""

import click


@click.command()
def command() -> None:
    """Stop the servers that `sluice up` or `sluice demo` started.

    Topics, schemas and the sample warehouse stay in .sluice/ (SLUICE_HOME): the next `sluice up` finds them again.

    \b
    Example:
      sluice down

    It never stops a server it did not start, and deletes nothing.
    """
    from pipelines.cli.actions.down import run

    run()
