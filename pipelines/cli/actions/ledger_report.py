"""`sluice ledger report`: reports the ledger's windows to Dagster."""

from collections.abc import Mapping, Sequence

import click

from pipelines.cli.options.events import chosen
from pipelines.cli.output.errors import tell
from pipelines.cli.output.tables import progress, table
from pipelines.cli.output.values import to_json
from pipelines.ledger.listing import read_ledger
from pipelines.orchestration.launch import dagster_instance
from pipelines.orchestration.ledger_report import report, unknown_windows
from resources.platform import Platform
from resources.wording import counted


def run(name: str | None, *, as_json: bool) -> None:
    """The command; for one event, for some, or for all."""
    meant = chosen(name)
    events = meant.events
    done: list[dict[str, object]] = []
    with Platform() as platform, dagster_instance(platform.settings) as instance:
        ledger = read_ledger(platform)
        for _, error in ledger.damaged:
            tell(error)
        for event in events:
            found = unknown_windows(instance, event, ledger.entries)
            with progress(event.full_name, len(found)) as bar:
                reports = report(instance, event, found, platform)
                for number, (entry, reported) in enumerate(reports, start=1):
                    bar.at(number, entry.window)
                    if reported:
                        done.append(
                            {"event": event.full_name, "window": entry.window, "generation": entry.generation}
                        )
    if as_json:
        click.echo(to_json(done, indent=2))
    else:
        _print(done, [event.full_name for event in events])
    if not meant.whole:
        raise SystemExit(1)


def _print(done: Sequence[Mapping[str, object]], events: Sequence[str]) -> None:
    counts = [(event, sum(one["event"] == event for one in done)) for event in events]
    shown = [row for row in counts if row[1]]
    if shown:
        table(("event", "windows reported"), shown)
    click.echo(
        f"{counted(len(done), 'window')} reported to Dagster."
        if done
        else "Dagster knows every window that the ledger has as published."
    )
