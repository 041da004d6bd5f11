"""`sluice dead-letters`."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pipelines.cli.letters import WindowLetters
    from resources.snapshots import SnapshotStore

_WIDEST = 60


@click.command()
@click.argument("event", required=False)
@click.argument("windows", required=False)
@click.option("-n", "--rows", default=20, show_default=True, help="Letters shown of each window.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON array of windows, for programs; with WINDOWS every letter.",
)
def command(event: str | None, windows: str | None, rows: int, as_json: bool) -> None:
    """Rows that did not fit their contract: how many, why, and which.

    Without EVENT: one line per event. With EVENT: one line per window. With WINDOWS too: the letters themselves,
    with the field to blame, its value, what is allowed there and the row's number in the window's sourced
    snapshot. They are those of the newest rows of each window, published or not.

    \b
    WINDOWS is a window's key, a range FIRST..LAST, or a coarser date:
      sluice dead-letters
      sluice dead-letters flight_departed
      sluice dead-letters flight_departed 2013-01-01
      sluice dead-letters flight_departed 2013-01 --json | jq '.[].letters[].row | fromjson'

    It reads the snapshot store and changes nothing.
    """
    from dataclasses import asdict

    from pipelines.cli.choosing import chosen
    from pipelines.cli.letters import letters_of, rows_of, without_letters
    from pipelines.cli.plain import to_json
    from pipelines.cli.unfinished import tell_unfinished
    from pipelines.publishing.unfinished import unfinished
    from resources.platform import Platform

    _, events, whole = chosen(event)
    keys = [window.key for window in events[0].windows.parse(windows)] if windows else None
    with Platform() as platform:
        store = platform.snapshots
        found = [one for each in events for one in letters_of(each, store, keys)]
        if as_json:
            shown = [
                {name: value for name, value in asdict(one).items() if name != "snapshot"}
                | ({"letters": list(rows_of(one, store))} if windows else {})
                for one in found
            ]
            click.echo(to_json(shown, indent=2))
        elif not found:
            about = " ".join(part for part in (events[0].full_name if event else "", windows) if part)
            why = without_letters(events[0], store, keys) if keys else ""
            click.echo(f"There are no dead letters{f' of {about}' if about else ''}{why}.")
            named = unfinished(store, [events[0].full_name]) if event else []
            tell_unfinished([one for one in named if keys is None or one.window in keys])
        elif windows:
            _letters(found, store, rows)
        elif event:
            _windows(found)
        else:
            _events(found)
    if not whole:
        raise SystemExit(1)


def _events(found: "list[WindowLetters]") -> None:
    from itertools import groupby

    from pipelines.cli.screen import table

    groups = [(name, list(group)) for name, group in groupby(found, key=lambda one: one.event)]
    table(
        ("event", "windows", "blocked", "dead letters", "of rows", "reasons"),
        [
            (
                name, len(group), sum(one.state == "blocked" for one in group), sum(one.dead for one in group),
                sum(one.rows_in for one in group), _listed(group),
            )
            for name, group in groups
        ],
    )  # fmt: skip
    click.echo(f"\nNext: sluice dead-letters {groups[0][0]}")


def _windows(found: "list[WindowLetters]") -> None:
    from pipelines.cli.screen import table

    table(
        ("window", "state", "dead letters", "of rows", "reasons", "found at", "run"),
        [
            (
                one.window, one.state, one.dead, one.rows_in, _listed([one]),
                one.written_at.replace("+00:00", "Z"), one.run_id[:8],
            )
            for one in found
        ],
        total=("total", "", sum(one.dead for one in found), sum(one.rows_in for one in found), _listed(found), "", "")
        if len(found) > 1
        else (),
    )  # fmt: skip
    click.echo(f"\nNext: sluice dead-letters {found[0].event} {found[0].window}")


def _letters(found: "list[WindowLetters]", store: "SnapshotStore", most: int) -> None:
    from pipelines.cli.letters import rows_of
    from pipelines.cli.plain import to_cell
    from pipelines.cli.screen import cut, heading, table

    names = ("source_row", "field", "reason", "value", "detail", "attempts")
    for one in found:
        heading(f"{one.window}: {one.dead:,} of {one.rows_in:,} rows, {one.state}: {_listed([one])}")
        table(
            names,
            [
                [row[name] if name in ("source_row", "attempts") else cut(to_cell(row[name]), _WIDEST) for name in names]
                for row in rows_of(one, store, most)
            ],
        )  # fmt: skip
        if one.dead > most:
            click.echo(f"{one.dead - most:,} more; -n shows more of them, --json all")
        click.echo(f"run {one.run_id[:8]}, file {one.file}")
    first = found[0]
    click.echo(f"\nNext: mend the module, then sluice redrive {first.event} {first.window}")


def _listed(windows: "list[WindowLetters]") -> str:
    from pipelines.cli.letters import reasons_of

    return ", ".join(f"{reason} {count:,}" for reason, count in reasons_of(windows).most_common())
