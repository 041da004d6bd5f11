"""`sluice replay`."""

from typing import Any

import click

from pipelines.cli.options.limits import limit_options, limits_of
from pipelines.cli.options.replay import Selected, selecting, with_keys_kept


@click.command()
@click.argument("event", metavar="SELECTION")
@click.argument("windows", required=False)
@click.option("--reason", help="Why; kept in the ledger and in the headers of the replayed events. Required.")
@selecting
@click.option("--by", "requested_by", metavar="WHO", help="Who asks; by default this user on this machine.")
@limit_options
@click.option("--json", "as_json", is_flag=True, help="One JSON array of windows, for programs.")
def command(
    event: str,
    windows: str | None,
    reason: str | None,
    keys: tuple[str, ...],
    keys_file: str | None,
    since: str | None,
    until: str | None,
    fresh: bool,
    topic: str | None,
    matching_only: bool,
    requested_by: str | None,
    as_json: bool,
    **limits: Any,
) -> None:
    """Publish again what was published before, on purpose.

    Replayed events keep their event id and say in their headers that they are a replay, of which generation, and
    why. They come from the snapshots that were published, not from the warehouse, unless you ask for --fresh.
    Who asked for what, and why, is kept in the ledger. A replay that was interrupted goes on where it stopped when
    the window is run again, replayed or published.

    \b
    WINDOWS is a window's key, a range FIRST..LAST, or a coarser date; left out: every published window.
      sluice replay flight_departed 2013-01-01..2013-01-07 --reason "billing lost its state"
      sluice replay flight_departed --key 2013-01-02-B6-155-JFK --reason "asked for by billing"
      sluice replay flight_departed --keys lost.txt --reason "lost in the outage"
      sluice replay flight_departed --from 2013-01-01T06:00Z --until 2013-01-01T09:00Z --reason "outage"
      sluice replay flight_departed 2013-01 --to flights.flight-departed.rehearsal --reason "load test"

    A selection of several events replays whole windows: those that overlap WINDOWS. --key, --keys, --from, --until and --to
    are of one event.

    A key that is in none of the windows is named, nothing is replayed, and the exit code is 1; the same holds for a range
    of event time that no event of the windows is in. Keys are compared by the type of the key field. With --fresh the rows are known only afterwards, so the other keys are replayed.

    It never publishes a window that was not published before. `sluice plan --replay` shows what it would do.
    """
    from dataclasses import replace
    from functools import partial

    from pipelines.authoring.event import Event
    from pipelines.authoring.windows import Window
    from pipelines.cli.actions.replay import (
        NothingToReplay,
        refuse_unmatched,
        require_free,
        unbroken,
        unmatched_keys,
        unmatched_now,
        windows_to_replay,
    )
    from pipelines.cli.options.events import chosen
    from pipelines.cli.runs.launcher import run_all
    from pipelines.cli.runs.report import announcing, report
    from pipelines.orchestration.config import RunConfig
    from resources.platform import Platform
    from resources.settings import load_settings
    from resources.wording import counted

    if not (reason and reason.strip()):
        raise click.UsageError('a replay needs a reason: --reason "billing lost its state"')
    meant = chosen(event)
    selected = Selected(keys, keys_file, since, until, fresh, topic, matching_only)
    if selected.of_one_event:
        meant.only("--key, --keys, --matching-only, --from, --until and --to are of one event")
    require_free(topic, meant.catalogue, load_settings())
    work: list[tuple[Event, list[Window]]] = []
    with Platform() as platform:
        kept = with_keys_kept(selected.config(), partial(platform.snapshots.keep_text, "keys"))
        config = RunConfig(reason=reason, requested_by=requested_by or "", **kept, **limits_of(**limits))
        asked = config.publish_request(request="", requested_by="").replay
        assert asked is not None
        for one in meant.events:
            named = None if windows is None else meant.windows(one, windows)
            try:
                work.append((one, windows_to_replay(one, windows, named, asked.selection, platform)))
            except NothingToReplay as error:
                if meant.named:
                    raise
                click.echo(f"{error.where}: {error.problem}", err=True)
        if not work:
            raise NothingToReplay(
                f"selection {meant.quoted}",
                f"has no published window in any of {counted(len(meant.events), 'event')}",
                next_step=f"sluice status {meant.quoted} lists what is published",
            )
        unmatched = unmatched_keys(work[0][0], platform, asked, work[0][1]) if selected.of_one_event else None
    if unmatched is not None and (not matching_only or unmatched.count == unmatched.given):
        refuse_unmatched(*work[0], unmatched, as_json=as_json)
        raise SystemExit(1)
    # A run sees its own windows only, which may be some of these.
    config = replace(config, unmatched_keys="leave_out")
    first, last = work[0][1][0].key, work[0][1][-1].key
    outcomes = run_all(
        meant.catalogue,
        load_settings(),
        [(one, part) for one, found in work for part in unbroken(found)],
        again=f"sluice publish {work[0][0].full_name} {first}..{last}"
        if len(work) == 1
        else f"sluice publish {meant.quoted} {windows or 'WINDOWS'}",
        stages=("sourced", "transformed", "published") if fresh else ("published",),
        config=config.as_run_config(),
        every_window=True,
        before=announcing("replaying"),
    )
    if fresh and not asked.selection.everything:
        unmatched = unmatched_now(work[0][0], load_settings(), asked, work[0][1], outcomes)
    good = report(outcomes, as_json=as_json, done="replayed", unmatched=unmatched)
    if not good or not meant.whole or (unmatched is not None and not matching_only):
        raise SystemExit(1)
