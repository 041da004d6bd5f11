"""`sluice doctor`."""

import click


@click.command()
def command() -> None:
    """Print every setting and try to reach everything they point at.

    Looks at Kafka, the registry, each warehouse, the snapshot folder, the ledger topic and the disk, and says
    what to do about each thing that is not well; then the exit code is 1. Passwords and keys are masked, so the
    output can be shown to a colleague.

    \b
    Example:
      sluice doctor

    It never creates a topic or registers a schema; in the snapshot folder it writes one small file and removes it.
    """
    from pipelines.cli.actions import doctor as examining
    from pipelines.cli.output.findings import show
    from pipelines.cli.output.tables import heading, table
    from resources.platform import Platform
    from resources.settings import load_settings

    settings = load_settings()
    click.secho("Settings", bold=True)
    click.echo(settings.destination())
    table(("setting", "value"), [(name, value or "-") for name, value in settings.printable().items()])
    heading("Versions")
    table(("package", "version"), examining.versions())
    heading("Reached")
    with Platform(settings) as platform:
        findings = show(examining.examine(platform))
    bad = list(dict.fromkeys(finding.subject for finding in findings if not finding.ok))
    click.echo()
    if bad:
        click.echo(f"Not well: {', '.join(bad)}.")
        raise SystemExit(1)
    click.echo("All is well.")
