"""The work of `sluice new`."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.authoring.cadence import Cadence
from pipelines.authoring.loading.draft_check import judged
from pipelines.cli.actions.check import check_event
from pipelines.cli.options.events import loaded_events
from pipelines.cli.output.findings import show
from pipelines.cli.output.paths import shown_path
from pipelines.drafting.candidates import choose_event_time, choose_key
from pipelines.drafting.draft import Request, draft
from pipelines.drafting.first_window import first_window
from pipelines.drafting.lost_rows import first_real_window, lost_rows
from pipelines.drafting.python_literals import require_plain
from pipelines.drafting.whole_files import write_all
from resources.follow_ups import follow_up
from resources.platform import Platform
from resources.settings import assets_folder
from resources.wording import counted


def run(
    event: str,
    table: str,
    domain: str | None,
    key: str | None,
    event_time: str | None,
    windows: "Cadence",
    start: str | None,
    owner: str | None,
    warehouse: str,
) -> None:
    """The command; its help explains the options."""
    folder, name = _place(assets_folder(), event, domain)
    files = folder / f"{name}.py", folder / f"{name}.avsc"
    _refuse_existing(files)
    options = {"--table": table, "--key": key, "--event-time": event_time, "--start": start, "--owner": owner,
               "--warehouse": warehouse}  # fmt: skip
    for option, given in options.items():
        require_plain(option, [given or ""], "type it anew")
    with Platform() as platform:
        opened = platform.warehouse(warehouse)
        source = opened.table(table)
        require_plain("table", source.parts)
        require_plain(f"{source.sql}: the column", [column.name for column in source.columns])
        time = choose_event_time(source, event_time, name)
        of_key = choose_key(source, key, time.column)
        first, why_first = (
            (start, "as you said")
            if start
            else first_real_window(
                opened,
                source.sql,
                time.column,
                windows,
                first_window(opened, source.sql, time.column, windows),
            )
        )
        lost = lost_rows(opened, source.sql, time.column, windows, first)
        if lost is not None and (lost.count or lost.unknown):
            click.echo(f"{lost.sentence}\n")
        request = Request(folder.name, name, windows, first, warehouse, owner or f"team:{folder.name}")
        made = draft(request, source, of_key, time)
        path = folder / f"{name}.py"
        # The other modules are run, as with every command; this module is only read.
        found = judged(path, made.module, made.contract, loaded_events())
        package = folder / "__init__.py"
        texts = {} if package.exists() else {package: f'"""Events of the domain {folder.name}."""\n'}
        write_all(texts | {files[1]: made.contract, files[0]: made.module})
        click.echo(f"Wrote {shown_path(files[0])} and {shown_path(files[1])}.\n")
        _tell_choices(
            ("key", f"{of_key.column.name}: {of_key.why}"),
            ("event time", f"{time.column.name}: {time.why}"),
            ("windows", f"{windows} from {first}: {why_first}"),
            *(("note", choice) for choice in made.choices),
            *(("question", question) for question in made.questions),
            *(("left out", left) for left in made.left_out),
        )
        ok = all(finding.ok for finding in show(check_event(found, platform, offline=True)))
    click.echo(f"\nNow edit {shown_path(files[0])}: the sentence at its top, the columns, the owner;")
    click.echo(f"and {shown_path(files[1])}: every TODO, since consumers read nothing else.")
    if made.questions:
        answers = [
            f"{option} COLUMN" for option, one in (("--key", of_key), ("--event-time", time)) if one.question
        ]
        click.echo(
            f"The draft is kept with {counted(len(made.questions), 'open question')}, marked TODO in both "
            f"files: answer there, or delete both and draft again with {' and '.join(answers)}."
        )
    click.echo(follow_up(f"Next: sluice preview {name} {first}"))
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


def _tell_choices(*choices: tuple[str, str]) -> None:
    from resources.security.printable import in_one_line

    for name, told in choices:
        click.echo(f"  {name:<12}{in_one_line(told)}")
    click.echo()
