"""`sluice check`."""

import click


@click.command()
@click.argument("event", required=False)
@click.option("--offline", is_flag=True, help="Leave out what needs Kafka and the registry.")
def command(event: str | None, offline: bool) -> None:
    """Try an event, or all of them, against everything it depends on.

    One line per check: the declaration, the contract, the SQL (described by the warehouse, its columns compared
    with the contract's where there is no transform), compatibility with the registered contract, and whether the
    topic is fit. Exit code 1 when anything is wrong, so it serves in CI.

    \b
    Examples:
      sluice check flight_departed
      sluice check --offline

    It never reads a row, runs a transform, creates a topic or registers a contract.
    """
    from pipelines.cli.checking import check_event
    from pipelines.cli.choosing import chosen
    from pipelines.cli.findings import show
    from resources.platform import Platform

    catalogue, events, whole = chosen(event)
    failed, checks = [], 0
    with Platform() as platform:
        for one in events:
            click.secho(one.full_name, bold=True)
            findings = show(check_event(one, platform, offline=offline))
            checks += len(findings)
            for warning in catalogue.warnings:
                if warning.file == f"assets/{one.full_name}.py":
                    click.echo(f"  note  {warning}")
            if not all(finding.ok for finding in findings):
                failed.append(one.full_name)
    if failed or not whole:
        named = failed + ([] if whole else ["what does not load, above"])
        click.echo(f"\nNot well: {', '.join(named)}.")
        raise SystemExit(1)
    many = f" of {len(events)} events" if len(events) != 1 else ""
    click.echo(f"\n{checks} checks{many} passed.")
    if event and events:
        first = events[0].windows.key(events[0].windows.start)
        click.echo(f"Next: sluice preview {events[0].name} {first}")
