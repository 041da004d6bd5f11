"""`sluice verify`."""

from typing import TYPE_CHECKING

import click

from resources.follow_ups import follow_up
from resources.wording import counted

if TYPE_CHECKING:
    from pipelines.authoring.event import Event
    from pipelines.cli.actions.verify import Verified
    from pipelines.reconciling.result import Reconciliation


@click.command()
@click.argument("event", metavar="SELECTION")
@click.argument("windows", required=False)
@click.option("--topic", metavar="TOPIC", help="Verify what was replayed to this shadow topic instead.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array of windows, for programs.")
def command(event: str, windows: str | None, topic: str | None, as_json: bool) -> None:
    """Read published windows back and compare them with what should be there, record by record.

    What should be there, over all generations of a window (its backfill, corrections and replays), is encoded anew
    from the stored snapshots that the ledger names; what is there is read as a careful consumer reads it. One record missing, altered or doubled among a million is found and named by its key.
    What the topic's retention or compaction removed is counted as that. Some rows, always those with the extremes of each
    column, are read again in plain Python, from the sourced snapshot to the record: a value that was made wrong is named.
    Exit code 1 when a window differs or is interrupted, when what should be there is not known any more, and when a
    window is not published because its newest run was blocked or failed.

    \b
    WINDOWS is a window's key, a range FIRST..LAST, or a coarser date; left out: every published window.
      sluice verify flight_departed 2013-01-01
      sluice verify flight_departed 2013-01
      sluice verify 'flights/*' 2013-01
      sluice verify weather_observed --json | jq '.[] | select(.verdict != "agrees")'

    It reads, and changes nothing.
    """
    from pipelines.cli.actions.verify import Verified, verified, windows_to_verify
    from pipelines.cli.options.events import chosen
    from pipelines.cli.output.errors import tell, when_stopped
    from pipelines.cli.output.tables import progress
    from pipelines.cli.output.unfinished_windows import tell_unfinished
    from pipelines.cli.output.values import to_json
    from pipelines.ledger.listing import read_ledger
    from pipelines.ledger.unfinished_windows import Unfinished, unfinished
    from resources.errors import TransientError
    from resources.platform import Platform

    meant = chosen(event)
    if topic is not None:
        meant.only("a shadow topic is of one event")
    found: list[tuple[Event, list[Verified], list[Unfinished]]] = []
    told: list[dict[str, object]] = []
    with (
        Platform() as platform,
        when_stopped(
            lambda: (
                f"Stopped after {counted(sum(len(done) for _, done, _ in found), 'window')}; nothing was changed."
            )
        ),
    ):
        ledger = read_ledger(platform)
        for one_event, named in meant.with_windows(windows):
            wanted = None if named is None else [window.key for window in named]
            keys = windows_to_verify(one_event, wanted, ledger, topic)
            done: list[Verified] = []
            found.append((one_event, done, []))
            with progress(one_event.full_name, len(keys)) as bar:
                for one in verified(one_event, keys, platform, topic):
                    done.append(one)
                    bar.at(len(done), f"{one.window}: {one.verdict}")
            behind = [] if topic else unfinished(platform.snapshots, [one_event.full_name])
            found[-1][2].extend(one for one in behind if wanted is None or one.window in wanted)
            if done and isinstance(done[-1].error, TransientError):
                break  # Kafka is away for the other events too
    good = meant.whole
    for one_event, done, behind in found:
        name = one_event.full_name
        known = {one.window for one in done if one.result.verdict != "unpublished"}
        good = good and all(one.ok for one in done) and all(one.window in known for one in behind)
        if as_json:
            ended = {one.window: {"newest_run": one.as_json()} for one in behind}
            told += [{**one.as_json(), **ended.pop(one.window, {})} for one in done]
            told += [
                {"event": name, "window": window, "verdict": "unpublished", **one}
                for window, one in ended.items()
            ]
            continue
        if not meant.named:
            click.secho(f"{name}", bold=True)
        if not done and behind:
            click.echo(
                f"{name}: {'these windows are' if len(behind) > 1 else 'this window is'} not published."
            )
        elif not done:
            click.echo(f"{name} has not been {f'replayed to {topic}' if topic else 'published'} yet.")
        else:
            _report(done)
        tell_unfinished(behind, published=[(name, window) for window in known])
        if not meant.named:
            click.echo()
    if as_json:
        click.echo(to_json(told, indent=2))
    for one in (one for _, done, _ in found for one in done):
        if one.error is not None:
            click.echo(err=True)
            tell(one.error)
    if not good:
        raise SystemExit(1)


def _report(done: "list[Verified]") -> None:
    from pipelines.cli.output.tables import size, table
    from resources.errors import readable

    rows = [
        (
            one.window, "no rows" if r.no_rows and one.ok else one.verdict, r.generations, r.expected, r.found, r.missing, r.altered, r.duplicated,
            r.deleted_by_policy + r.compacted, f"{r.seconds:.1f}",
        )
        if (r := one.result).verdict != "unpublished" and one.error is None
        else (one.window, one.verdict, *[None] * 8)
        for one in done
    ]  # fmt: skip
    results = [one.result for one in done]
    names = ("expected", "found", "missing", "altered", "duplicated", "deleted_by_policy", "compacted")
    *sums, deleted, compacted = (sum(getattr(result, name) for result in results) for name in names)
    columns = (
        "window", "verdict", "generations", "expected", "found", "missing", "altered", "doubled", "removed by topic", "seconds",
    )  # fmt: skip
    table(columns, rows, total=["total", "", "", *sums, deleted + compacted, ""] if len(rows) > 1 else ())
    for one in done:
        if one.error is None and not one.result.ok:
            click.echo(f"\n{click.style(one.window, bold=True)}: {readable(one.result.told)}")
        elif one.result.notes:
            click.echo(f"\n{click.style(one.window, bold=True)}: {readable('; '.join(one.result.notes))}")
    differing = sum(not one.ok and not one.interrupted for one in done)
    read = size(sum(one.result.bytes_read for one in done))
    stopped = [one for one in done if one.interrupted]
    if differing:
        click.echo(
            f"\n{differing} of {counted(len(done), 'window differs', 'windows differ')} or are not known. See docs/reconciliation.md."
        )
    elif stopped:
        click.echo(f"\nNothing of what was published is missing, altered or doubled. {read} read.")
    else:
        click.echo(f"\nNothing is missing, altered or doubled. {read} read.")
    _report_judged(results)
    if stopped:
        first = stopped[0]
        click.echo(
            f"\n{counted(len(stopped), 'window')} interrupted: only the first {counted(first.result.expected, 'record')} "
            f"of {first.window} are published; a run stopped between two transactions, or is publishing now.\n"
            + follow_up(
                f"Next: sluice publish {first.result.event} {first.window}   (sends the rest, nothing twice)"
            )
        )


def _report_judged(results: "list[Reconciliation]") -> None:
    """How many rows an independent reading compared with their source, and of which windows none."""
    from collections import Counter

    judged = sum(result.judged for result in results)
    if judged:
        rows = "row was" if judged == 1 else "rows were"
        click.echo(f"{judged:,} {rows} compared with their source by an independent reading.")
    for why, windows in Counter(result.not_judged for result in results if result.not_judged).items():
        click.echo(f"Not compared with their source: {windows} window{'s' if windows > 1 else ''}, {why}.")
