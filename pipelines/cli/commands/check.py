"""`sluice check`."""

import click

from resources.wording import counted


@click.command()
@click.argument("event", required=False, metavar="[SELECTION]")
@click.argument("windows", required=False)
@click.option("--offline", is_flag=True, help="Leave out what needs Kafka and the registry.")
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON array of events with their findings, for programs."
)
def command(event: str | None, windows: str | None, offline: bool, as_json: bool) -> None:
    """Try an event, those of a selection, or all of them, against everything that publishing depends on.

    One line per check: the declaration, the contract, the SQL (described by the warehouse), a few real rows,
    compatibility with the registered contract, then the preflight of docs/preflight.md: the topic, its partitions,
    replicas, retention, timestamps and cleanup, the ledger, this login's rights, and the room on disk. Exit code 1
    when anything FAILs, so it serves in CI; what only warns, or cannot be seen by this login (?), does not.

    It reads up to 1,000 rows of one window and of the newest window that has rows, for 10 seconds at most, and passes
    them through the transform and the contract as a run would: once as they are, then again, as halves and one by one,
    for 15 seconds at most. The query is asked twice. What differs is named by its column and row.

    \b
    WINDOWS is what would be published, a key or a range; left out: every complete window.
      sluice check flight_departed
      sluice check flight_departed 2013-01-01..2013-01-07
      sluice check 'flights/* and not flight_departed' 2013-01
      sluice check --offline
      sluice check --json | jq '.[].findings[] | select(.level != "ok")'

    It counts the rows that belong to no window, and so become no event, for 10 seconds at most: without a time, before
    the first window, after the last one.

    It never publishes, creates an event's topic or registers a contract, and keeps no row that it read. That an event
    passed is written to the journal, once for each version of its code (`sluice history EVENT` shows it).
    """
    from pipelines.cli.actions.check import NO_WINDOW, check_event
    from pipelines.cli.options.events import chosen
    from pipelines.cli.output.destination import say_destination
    from pipelines.cli.output.errors import warn
    from pipelines.cli.output.findings import in_numbers, show
    from pipelines.cli.output.samples import samples_note
    from pipelines.cli.output.values import to_json
    from pipelines.journal.milestones import milestones_at_end, passed_check
    from pipelines.preflight.rules.contract import TODO
    from resources.follow_ups import follow_up
    from resources.identity import this_user
    from resources.platform import Platform

    meant = chosen(event)
    catalogue, events, whole = meant.catalogue, meant.events, meant.whole
    failed, found, reports = [], [], []
    with (
        Platform() as platform,
        milestones_at_end(
            platform.settings, warn=warn, writing=lambda: say_destination(platform.settings)
        ) as milestones,
    ):
        for one, wanted in meant.with_windows(windows):
            findings = check_event(one, platform, wanted, offline=offline)
            notes = [
                str(w)
                for w in catalogue.warnings
                if w.file == f"{catalogue.assets_root.name}/{one.full_name}.py"
            ]
            if as_json:
                shown = list(findings)
                told = [finding.as_dict() for finding in shown]
                reports.append({"event": one.full_name, "findings": told, "notes": notes})
            else:
                click.secho(one.full_name, bold=True)
                shown = show(findings)
                for note in notes:
                    click.echo(f"  note  {note}")
            found += shown
            if not all(finding.ok for finding in shown):
                failed.append(one.full_name)
            elif not offline:
                milestones.append(passed_check(one, by=this_user()))
    if as_json:
        click.echo(to_json(reports, indent=2))
    else:
        many = f" of {counted(len(events), 'event')}" if len(events) != 1 else ""
        if events:
            click.echo(f"\n{in_numbers(found)}{many}.")
        elif whole:
            click.echo(f"There is no event to check under {catalogue.assets_root}.")
        if event is None and (note := samples_note(catalogue.samples_left_out)):
            click.echo(note)
        for again in (one for one in found if one.level == "warning" and one.subject in (NO_WINDOW, TODO)):
            # Said again: of all warnings these are about events that nobody will get, or will understand.
            what = "Rows in no window" if again.subject == NO_WINDOW else "Not finished"
            click.echo(f"{what}: {again.told}.")
    if failed or not whole:
        named = failed + ([] if whole else ["what does not load, above"])
        if not as_json:
            click.echo(f"Not well: {', '.join(named)}.")
        raise SystemExit(1)
    if meant.named and not as_json:
        of_it = events[0].windows
        first = of_it.parse(windows)[0].key if windows else of_it.key(of_it.start)
        click.echo(follow_up(f"Next: sluice preview {events[0].name} {first}"))
