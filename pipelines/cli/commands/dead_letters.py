"""`sluice dead-letters`."""

from typing import TYPE_CHECKING

import click

from resources.follow_ups import follow_up
from resources.wording import counted

if TYPE_CHECKING:
    from pipelines.cli.actions.dead_letters import WindowLetters
    from resources.errors import SluiceError
    from resources.snapshots import SnapshotStore

_WIDEST = 60


@click.command()
@click.argument("event", required=False, metavar="[SELECTION]")
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

    Without an event, or with a selection: one line per event. With the name of one event: one line per window. With WINDOWS too: the letters themselves,
    with the field to blame, its value, what is allowed there and the row's number in the window's sourced
    snapshot. They are those of the newest rows of each window, published or not.

    \b
    WINDOWS is a window's key, a range FIRST..LAST, or a coarser date:
      sluice dead-letters
      sluice dead-letters flight_departed
      sluice dead-letters flight_departed 2013-01-01
      sluice dead-letters 'owner:team:weather'
      sluice dead-letters flight_departed 2013-01 --json | jq '.[].letters[].row | fromjson'

    It reads the snapshot store and changes nothing. A window whose files cannot be read is named, the others are shown,
    and the exit code is 1.
    """
    from dataclasses import asdict

    from pipelines.cli.actions.dead_letters import letters_of, rows_of, without_letters
    from pipelines.cli.options.events import chosen
    from pipelines.cli.output.errors import tell
    from pipelines.cli.output.unfinished_windows import tell_unfinished
    from pipelines.cli.output.values import to_json
    from pipelines.ledger.unfinished_windows import unfinished
    from resources.errors import SluiceError
    from resources.platform import Platform

    meant = chosen(event)
    events, only = meant.events, meant.events[0] if meant.named else None
    keys = {e.full_name: [one.key for one in meant.windows(e, windows)] if windows else None for e in events}
    with Platform() as platform:
        store = platform.snapshots
        unread: list[SluiceError] = []
        found = [
            one
            for each in events
            for one in letters_of(each, store, keys[each.full_name], unread=unread.append)
        ]
        if as_json:
            shown = []
            for one in found:
                told = {name: value for name, value in asdict(one).items() if name != "snapshot"}
                try:
                    shown.append(told | ({"letters": list(rows_of(one, store))} if windows else {}))
                except SluiceError as error:
                    unread.append(error)
                    shown.append(told | {"letters": None, "error": str(error)})
            click.echo(to_json(shown, indent=2))
        elif not found and not unread:
            about = " ".join(part for part in (only.full_name if only else event, windows) if part)
            named = keys[only.full_name] if only else None
            why = without_letters(only, store, named) if only and named else ""
            click.echo(f"There are no dead letters{f' of {about}' if about else ''}{why}.")
            behind = unfinished(store, meant.names) if event else []
            tell_unfinished([one for one in behind if _is_meant(one.window, keys[one.event])])
        elif windows:
            unread += _letters(found, store, rows, named=only is not None)
        elif found:
            _windows(found) if only else _events(found)
    for each_error in unread:
        click.echo(err=True)
        tell(each_error)
    if unread or not meant.whole:
        raise SystemExit(1)


def _is_meant(window: str, keys: "list[str] | None") -> bool:
    return keys is None or window in keys


def _events(found: "list[WindowLetters]") -> None:
    from itertools import groupby

    from pipelines.cli.output.tables import table

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
    click.echo(follow_up(f"\nNext: sluice dead-letters {groups[0][0]}"))


def _windows(found: "list[WindowLetters]") -> None:
    from pipelines.cli.output.tables import table

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
    click.echo(follow_up(f"\nNext: sluice dead-letters {found[0].event} {found[0].window}"))


def _letters(
    found: "list[WindowLetters]", store: "SnapshotStore", most: int, *, named: bool
) -> "list[SluiceError]":
    """Show them; returns the errors of the windows whose letters cannot be read."""
    from pipelines.cli.actions.dead_letters import rows_of
    from pipelines.cli.output.tables import cut, heading, table
    from pipelines.cli.output.values import to_cell
    from resources.errors import SluiceError

    names = ("source_row", "field", "reason", "value", "detail", "attempts")
    unread, read = [], []
    for one in found:
        try:
            letters = list(rows_of(one, store, most))
        except SluiceError as error:
            unread.append(error)
            continue
        read.append(one)
        heading(
            f"{one.window if named else f'{one.event} {one.window}'}: {one.dead:,} of {counted(one.rows_in, 'row')}, {one.state}: {_listed([one])}"
        )
        table(
            names,
            [
                [row[name] if name in ("source_row", "attempts") else cut(to_cell(row[name]), _WIDEST) for name in names]
                for row in letters
            ],
        )  # fmt: skip
        if one.dead > most:
            click.echo(f"{one.dead - most:,} more; -n shows more of them, --json all")
        click.echo(f"run {one.run_id[:8]}, file {one.file}")
    if read:
        click.echo(
            follow_up(f"\nNext: mend the module, then sluice redrive {read[0].event} {read[0].window}")
        )
    return unread


def _listed(windows: "list[WindowLetters]") -> str:
    from pipelines.cli.actions.dead_letters import reasons_of

    return ", ".join(f"{reason} {count:,}" for reason, count in reasons_of(windows).most_common())
