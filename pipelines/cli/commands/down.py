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
    from pipelines.cli.failures import when_stopped
    from resources.servers import down
    from resources.settings import load_settings

    home = load_settings().home
    with when_stopped(lambda: "Stopped before every server was down; run `sluice down` again."):
        stopped = down(home, progress=lambda told: click.echo(f"  {told}", err=True))
    if not stopped:
        click.echo("No server of this home was running.")
        return
    click.echo(
        f"Stopped {' and '.join(f'{one.kind} {one.role}' for one in stopped)}. Their data stay in {home}."
    )
