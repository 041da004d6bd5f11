"""The work of `sluice demo`."""

import shutil
from typing import TYPE_CHECKING

import click

from resources.wording import counted

if TYPE_CHECKING:
    from pipelines.authoring.catalogue import Catalogue
    from pipelines.cli.runs.launcher import RunOutcome
    from resources.settings import Settings
    from resources.snapshots import SnapshotStore
import time

from pipelines.cli.options.events import healthy_catalogue
from pipelines.cli.output.errors import when_stopped
from pipelines.cli.output.tables import heading
from resources.follow_ups import follow_up
from resources.settings import ROOT, find_project, load_settings

_PERIOD = "2013-01-01..2013-01-07"
_EVENTS_SHOWN = 2
_NEXT = (
    ("make ui", "the same runs in Dagster's web page"),
    ("sluice new hour_measured --domain weather --table weather", "draft an event of your own"),
    ("sluice publish flight_departed 2013-01-08..2013-01-31", "publish more of one"),
)
_WIDTH = 160


def run() -> None:
    """The command."""
    started = time.monotonic()
    _only_ours(load_settings())
    catalogue, whole = healthy_catalogue()
    click.secho("1. Servers and sample data", bold=True)
    settings = _servers(load_settings())
    heading(f"2. One week of every event: {_PERIOD}")
    outcomes = _publish(catalogue, settings)
    heading("3. What happened")
    _report(outcomes, settings)
    heading("4. Read back by an ordinary consumer (confluent_kafka and fastavro, nothing of Sluice)")
    with when_stopped(lambda: "Stopped while reading back; what was published stays on its topics."):
        _read_back(outcomes, settings)
    click.echo(f"\nDone in {time.monotonic() - started:.0f} s. Next, try:")
    for what, why in _NEXT:
        click.echo(f"  {follow_up(what):<61}{why}")
    if not shutil.which("sluice"):
        click.echo("(`sluice` is in .venv/bin: source .venv/bin/activate)")
    if not whole or any(outcome.failed or outcome.failures for outcome in outcomes):
        raise SystemExit(1)


def _only_ours(settings: "Settings") -> None:
    from resources.errors import SluiceError

    if find_project().root != ROOT:
        raise SluiceError(
            "demo",
            f"it publishes the sample events of Sluice's own tree, and this is the project {find_project().root}",
            next_step="`make demo` in a clone of Sluice; here: `sluice up`, then `sluice publish EVENT WINDOW`",
        )
    foreign = []
    if not settings.embedded and settings.kafka.get("bootstrap.servers"):
        foreign.append("kafka.bootstrap.servers")
    if not settings.embedded and settings.registry.get("url"):
        foreign.append("registry.url")
    if not settings.uses_sample_warehouse:
        foreign.append("warehouse.default")
    if foreign:
        raise SluiceError(
            "demo",
            f"your settings name servers of yours ({', '.join(foreign)}), and the demo publishes only to its own",
            next_step="run it without these settings; for your own servers: sluice publish EVENT WINDOW",
        )


def _servers(settings: "Settings") -> "Settings":
    from pipelines.cli.actions.up import start_servers
    from resources.settings import load_settings

    servers = start_servers(settings, "embedded", sample=True)
    click.echo(f"  Kafka {servers.bootstrap} ({servers.kafka.kind}), registry {servers.registry_url}")
    click.echo(f"  warehouse {settings.home / 'sample.duckdb'}")
    return load_settings()


def _publish(catalogue: "Catalogue", settings: "Settings") -> "list[RunOutcome]":
    from pipelines.cli.options.windows import overlapping, period
    from pipelines.cli.runs.launcher import run_all

    found = [(event, overlapping(event, *period(_PERIOD))) for event in catalogue]
    outcomes = run_all(
        catalogue,
        settings,
        [(event, windows) for event, windows in found if windows],
        again="sluice demo",
        after=_tell_run,
    )
    for event, windows in found:
        if not windows:
            click.echo(f"  {event.full_name:<34}no window in this week ({event.windows})")
    return outcomes


def _tell_run(outcome: "RunOutcome") -> None:
    count = len(outcome.windows)
    many = counted(count, f"{outcome.event.windows.cadence} window")
    click.echo(f"  {outcome.event.full_name:<34}{many:<22}{outcome.seconds:>6.1f} s")


def _report(outcomes: "list[RunOutcome]", settings: "Settings") -> None:
    from pipelines.cli.output.nothing_sent import besides, nothing_because
    from pipelines.cli.output.tables import table
    from pipelines.cli.runs.report import failure_lines, silent_windows
    from resources.snapshots import SnapshotStore

    store = SnapshotStore(settings.snapshots)
    columns = ("event", "windows", "rows sourced", "published", "dead", "rows/s")
    counts = [
        (len(one.windows), _sourced(one, store), one.total("published"), one.total("dead"))
        for one in outcomes
    ]
    rows = [
        (one.event.full_name, *numbers, one.rows_per_second)
        for one, numbers in zip(outcomes, counts, strict=True)
    ]
    table(columns, rows, total=("total", *map(sum, zip(*counts, strict=True)), ""))
    published = sum(one.total("published") for one in outcomes)
    if published:
        click.echo("(rows/s: while publishing; windows as small as these mostly wait for their commit)")
    silent = silent_windows(outcomes)
    others = besides(window for window in silent if window.outcome != "unchanged")
    skipped = sum(
        window.skipped or 0 for one in outcomes for window in one.windows if window.outcome == "unchanged"
    )
    if skipped and not published:
        click.echo(
            f"\nNothing was published: all {counted(skipped, 'event is', 'events are')} on their topics already, and nothing changed "
            f"since{others}."
        )
    elif skipped:
        click.echo(
            f"\n{counted(skipped, 'event was', 'events were')} on their topics already and were not published again{others}."
        )
    elif others and not published:
        click.echo(f"\nNothing was published: {nothing_because(silent)}.")
    for outcome in outcomes:
        for failure in outcome.failures:
            for line in failure_lines(failure):
                click.echo(line, err=True)


def _sourced(outcome: "RunOutcome", store: "SnapshotStore") -> int:
    found = (store.current(outcome.event.full_name, window.window, "sourced") for window in outcome.windows)
    return sum(snapshot.rows for snapshot in found if snapshot is not None)


def _read_back(outcomes: "list[RunOutcome]", settings: "Settings") -> None:
    from pipelines.cli.actions.demo_consumer import first_events
    from pipelines.cli.output.tables import console, cut
    from pipelines.cli.output.values import to_json

    on = console()
    width = on.width if on.is_terminal else _WIDTH
    for outcome in outcomes:
        topic = outcome.event.topic
        click.secho(f"  {topic}", bold=True)
        for _, event in first_events(settings.bootstrap_servers, settings.registry_url, topic, _EVENTS_SHOWN):
            click.echo(f"    {cut(to_json(event), width - 4)}")
