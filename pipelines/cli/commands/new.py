"""`sluice new`."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.authoring.cadence import Cadence


@click.command()
@click.argument("event")
@click.option("--table", required=True, help="The warehouse table whose rows are the events.")
@click.option("--domain", help="Folder under assets/; may be left out where there is only one.")
@click.option("--key", help="Column of the message key. Default: one that looks like an identifier.")
@click.option("--event-time", help="Column that says when it happened. Default: the first timestamp.")
@click.option(
    "--windows",
    type=click.Choice(["hourly", "daily", "weekly", "monthly"]),
    default="daily",
    show_default=True,
)
@click.option(
    "--start", help="First window, as 2013-01-01. Default: the table's earliest time from the year 1001 on."
)
@click.option("--owner", help="team:NAME or an e-mail address. Default: team:DOMAIN.")
@click.option(
    "--warehouse", default="default", show_default=True, help="The warehouse, as the settings name it."
)
def command(
    event: str, table: str, domain: str | None, key: str | None, event_time: str | None, windows: "Cadence",
    start: str | None, owner: str | None, warehouse: str,
) -> None:  # fmt: skip
    """Draft an event from a table: assets/DOMAIN/EVENT.py and EVENT.avsc.

    Every column becomes a field of the type that loses nothing; key and event time are chosen by name and type,
    and the choice is told. The draft passes `sluice check` at once. What a machine cannot know is marked TODO:
    what happened, and what each field means.

    \b
    Examples:
      sluice new hour_observed --domain weather --table weather
      sluice new order_shipped --table shop.shipments --key order_id --event-time shipped_at

    Before it drafts, it counts the rows that would belong to no window: they become no event.

    It never overwrites a file, and reads no more of the table than its columns and its times.
    """
    from pipelines.cli.checking import check_event
    from pipelines.cli.choosing import catalogue_and_event
    from pipelines.cli.drafting import Request, choose_event_time, choose_key, draft
    from pipelines.cli.findings import show
    from pipelines.cli.first_window import first_window
    from pipelines.cli.lost_rows import first_real_window, lost_rows
    from pipelines.cli.written import require_plain
    from resources.errors import SluiceError
    from resources.platform import Platform
    from resources.settings import ROOT

    folder, name = _place(ROOT / "assets", event, domain)
    files = folder / f"{name}.py", folder / f"{name}.avsc"
    _refuse_existing(files)
    with Platform() as platform:
        opened = platform.warehouse(warehouse)
        require_plain("table", [table])
        columns = opened.columns(table)
        require_plain(f"{table}: the column", [column.name for column in columns])
        time_column, why_time = choose_event_time(columns, event_time, table)
        key_column, why_key = choose_key(columns, key, table, time_column)
        first, why_first = (
            (start, "as you said")
            if start
            else first_real_window(
                opened, table, time_column, windows, first_window(opened, table, time_column, windows)
            )
        )
        lost = lost_rows(opened, table, time_column, windows, first)
        if lost is not None and (lost.count or lost.unknown):
            click.echo(f"{lost.sentence}\n")
        request = Request(folder.name, name, table, windows, first, warehouse, owner or f"team:{folder.name}")
        made = draft(request, columns, key_column, time_column)
        written = _write(folder, files, made.module, made.contract)
        try:
            found = catalogue_and_event(f"{folder.name}/{name}")[1]
        except SluiceError:
            # An argument that no declaration may have (an owner, a start): leave nothing behind.
            for path in reversed(written):
                path.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()
            raise
        click.echo(f"Wrote {files[0].relative_to(ROOT)} and {files[1].relative_to(ROOT)}.\n")
        _tell_choices(
            ("key", f"{key_column.name}: {why_key}"),
            ("event time", f"{time_column.name}: {why_time}"),
            ("windows", f"{windows} from {first}: {why_first}"),
            *(("note", choice) for choice in made.choices),
            *(("left out", left) for left in made.left_out),
        )
        ok = all(finding.ok for finding in show(check_event(found, platform, offline=True)))
    click.echo(f"\nNow edit {files[0].relative_to(ROOT)}: the sentence at its top, the columns, the owner;")
    click.echo(f"and {files[1].relative_to(ROOT)}: every TODO, since consumers read nothing else.")
    click.echo(f"Next: sluice preview {name} {first}")
    if not ok:
        raise SystemExit(1)


def _place(assets: "Path", event: str, domain: str | None) -> "tuple[Path, str]":
    import keyword
    import re

    given, _, name = event.rpartition("/")
    if given and domain and given != domain:
        raise click.UsageError(f"EVENT names the domain {given!r} and --domain says {domain!r}")
    domain = domain or given or None
    known = sorted(path.name for path in assets.iterdir() if path.is_dir() and path.name[0].isalpha())
    if domain is None:
        if len(known) != 1:
            raise click.UsageError(
                f"name the domain: --domain {known[0] if known else 'orders'}  (there are: {', '.join(known)})"
            )
        domain = known[0]
    for what, text in (("event", name), ("domain", domain)):
        if not re.fullmatch(r"[a-z][a-z0-9_]*", text) or keyword.iskeyword(text):
            raise click.UsageError(
                f"{text!r} cannot name a{'n' * (what == 'event')} {what}: lower-case letters, digits and underscores, "
                "as in flight_departed"
            )
    return assets / domain, name


def _refuse_existing(files: "tuple[Path, Path]") -> None:
    from resources.errors import SluiceError

    for path in files:
        if path.exists():
            raise SluiceError(
                str(path),
                "is there already, and nothing is overwritten",
                next_step="choose another name, or edit that file",
            )


def _write(folder: "Path", files: "tuple[Path, Path]", module: str, contract: str) -> "list[Path]":
    """The files written, in order."""
    folder.mkdir(exist_ok=True)
    package = folder / "__init__.py"
    texts = {} if package.exists() else {package: f'"""Events of the domain {folder.name}."""\n'}
    texts |= dict(zip(files, (module, contract), strict=True))
    for path, text in texts.items():
        # "x": also when somebody else made the file since we looked.
        with path.open("x", encoding="utf-8") as handle:
            handle.write(text)
    return list(texts)


def _tell_choices(*choices: tuple[str, str]) -> None:
    for name, told in choices:
        click.echo(f"  {name:<12}{told}")
    click.echo()
