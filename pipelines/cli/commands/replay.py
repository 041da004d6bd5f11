"""`sluice replay`."""

from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.limiting import limit_options, limits_of

if TYPE_CHECKING:
    from io import TextIOWrapper

# More of them are kept in a file: a run's configuration is shown in the UI.
_MOST_INLINE = 100


@click.command()
@click.argument("event")
@click.argument("windows", required=False)
@click.option("--reason", help="Why; kept in the ledger and in the headers of the replayed events. Required.")
@click.option(
    "--key", "keys", multiple=True, metavar="KEY", help="Only events with this key; may be repeated."
)
@click.option(
    "--keys", "keys_file", type=click.File("r", encoding="utf-8"), metavar="FILE",
    help="Only events with the keys in FILE, one on each line; - reads them from the standard input.",
)  # fmt: skip
@click.option("--from", "since", metavar="INSTANT", help="Only events at or after this instant, UTC.")
@click.option("--until", metavar="INSTANT", help="Only events before this instant, UTC.")
@click.option(
    "--fresh", is_flag=True, help="Source the windows anew instead of reading the stored snapshots."
)
@click.option(
    "--to", "topic", metavar="TOPIC", help="Replay to this shadow topic; the event's own is left alone."
)
@click.option("--by", "requested_by", metavar="WHO", help="Who asks; by default this user on this machine.")
@limit_options
@click.option("--json", "as_json", is_flag=True, help="One JSON array of windows, for programs.")
def command(
    event: str,
    windows: str | None,
    reason: str | None,
    keys: tuple[str, ...],
    keys_file: "TextIOWrapper | None",
    since: str | None,
    until: str | None,
    fresh: bool,
    topic: str | None,
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
      sluice replay flight_departed --from 2013-01-01T06:00Z --until 2013-01-01T09:00Z --reason "outage"
      sluice replay flight_departed 2013-01 --to flights.flight-departed.rehearsal --reason "load test"

    It never publishes a window that was not published before. `sluice plan --replay` shows what it would do.
    """
    from pipelines.cli.choosing import catalogue_and_event
    from pipelines.cli.launching import run_all
    from pipelines.cli.replaying import unbroken, windows_to_replay
    from pipelines.cli.reporting import announcing, report
    from pipelines.orchestration.config import RunConfig
    from resources.platform import Platform
    from resources.settings import load_settings

    if not (reason and reason.strip()):
        raise click.UsageError('a replay needs a reason: --reason "billing lost its state"')
    catalogue, found = catalogue_and_event(event)
    from_file = [line.strip() for line in keys_file if line.strip()] if keys_file else []
    if keys_file and not from_file:
        raise click.UsageError(f"{keys_file.name} holds no key; one on each line is read")
    wanted = [*dict.fromkeys([*keys, *from_file])]
    with Platform() as platform:
        many = len(wanted) > _MOST_INLINE
        kept = platform.snapshots.keep_text("keys", "\n".join(wanted) + "\n") if many else ""
        config = RunConfig(
            reason=reason,
            requested_by=requested_by or "",
            replay="fresh" if fresh else "stored",
            keys=[] if many else wanted,
            keys_file=kept,
            event_time_from=since or "",
            event_time_until=until or "",
            to_topic=topic or "",
            **limits_of(**limits),
        )
        asked = config.wish(request="", requested_by="").replay
        assert asked is not None
        chosen = windows_to_replay(found, windows, asked.selection, platform)
    outcomes = run_all(
        catalogue,
        load_settings(),
        [(found, part) for part in unbroken(chosen)],
        again=f"sluice publish {found.full_name} {chosen[0].key}..{chosen[-1].key}",
        stages=("sourced", "transformed", "published") if fresh else ("published",),
        config=config.as_run_config(),
        every_window=True,
        before=announcing("replaying"),
    )
    nothing = "Nothing was replayed: no event of these windows is selected."
    if not report(outcomes, as_json=as_json, nothing=nothing):
        raise SystemExit(1)
