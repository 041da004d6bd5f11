"""`sluice preview`."""

import click

from resources.follow_ups import follow_up
from resources.wording import counted


@click.command()
@click.argument("event", metavar="SELECTION")
@click.argument("window")
@click.option(
    "--rows", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="Rows to take at most."
)
@click.option(
    "--show", type=click.IntRange(0, 1000), default=3, show_default=True, help="Rows and events to print."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def command(event: str, window: str, rows: int, show: int, as_json: bool) -> None:
    """Show what publishing a window would send.

    The warehouse gives at most --rows rows of the window; they pass through the transform, the contract and the
    encoder as in a run, and the source rows, the decoded events, their size and the dead letters are printed.

    \b
    Examples:
      sluice preview flight_departed 2013-01-01
      sluice preview weather_observed 2013-01-01-05:00 --rows 50 --show 10

    Exit code 1 when the rows are blocked: more of them do not fit the contract than the event allows.

    It never publishes, and writes nothing to the snapshot store, the registry or the topic.
    """
    from pipelines.cli.actions.preview import preview
    from pipelines.cli.options.events import chosen
    from pipelines.cli.output.tables import cut, heading, shown, size, table
    from pipelines.cli.output.values import to_cell, to_json
    from pipelines.stages.unwindowed_rows import count_unwindowed
    from resources.errors import SluiceError
    from resources.platform import Platform

    found = chosen(event).only("a preview is of one event")
    windows = found.windows.parse(window)
    if len(windows) > 1:
        raise SluiceError(
            f"window {window!r}",
            f"names {counted(len(windows), 'window')}, and a preview is of one",
            next_step=f"sluice preview {found.full_name} {windows[0].key}",
        )
    with Platform() as platform:
        seen = preview(found, windows[0], platform, rows=rows, shown=show)
        lost = count_unwindowed(found, platform.warehouse(found.warehouse))
    window_key = windows[0].key
    if as_json:
        told = {"event": found.full_name, "window": window_key, **seen.__dict__}
        click.echo(to_json({**told, "rows_in_no_window": lost.as_dict()}, indent=2))
        if not seen.passed:
            raise SystemExit(1)
        return
    click.secho(f"{found.full_name} {windows[0].key}", bold=True)
    more = "; the window may hold more (--rows)" if seen.rows_in >= rows else ", all of the window"
    click.echo(f"{seen.rows_in:,} source rows{more}" if seen.rows_in else "The window has no rows.")
    if seen.source:
        heading("Source rows")
        # On their side: a row of twenty columns is wider than any terminal.
        names = list(seen.source[0])
        rows_shown = [(name, *(cut(to_cell(row[name]), 60) for row in seen.source)) for name in names]
        table(("column", *(f"row {number}" for number in range(len(seen.source)))), rows_shown)
    if seen.events:
        heading("Events")
        for key, value in seen.events:
            click.echo(f"{click.style(shown(key), bold=True)}  {to_json(value)}")
    if seen.bytes:
        mean = sum(seen.bytes) / len(seen.bytes)
        one = len(seen.bytes) == 1
        each = (
            ""
            if one
            else f"each on average ({min(seen.bytes)} to {max(seen.bytes)}), {size(sum(seen.bytes))} in all "
        )
        click.echo(
            f"\n{counted(seen.event_count, 'event')}, {mean:.0f} bytes {each}before compression; topic {found.topic}, "
            f"schema id {seen.schema_id}"
        )
    if seen.id_note:
        click.echo(f"Note: {seen.id_note}.")
    if seen.dropped:
        click.echo(f"{counted(seen.dropped, 'row was', 'rows were')} left out by the transform.")
    if seen.rows_in:
        heading("Dead letters")
        click.echo(seen.verdict)
    if seen.dead:
        columns = ("source_row", "field", "reason", "value", "detail")
        table(columns, [[cut(to_cell(letter[name]), 80) for name in columns] for letter in seen.dead])
    if lost.count or lost.unknown:
        click.echo(f"\n{lost.sentence}")
    if not seen.passed:
        click.echo(
            follow_up(
                f"\nThe window is blocked: publishing it would send nothing. Next: mend {found.module_path.name} or the data, "
                f"then sluice preview {found.name} {window_key}"
            )
        )
        raise SystemExit(1)
    if not seen.event_count:
        why = "none of these rows becomes an event" if seen.rows_in else "the window has no rows"
        click.echo(f"\nNothing was published, and publishing the window would send nothing: {why}.")
        return
    click.echo(follow_up(f"\nNothing was published. Next: sluice publish {found.name} {window_key}"))
