"""`sluice new`."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pipelines.authoring.cadence import Cadence


@click.command()
@click.argument("event")
@click.option(
    "--table", required=True, help="The warehouse table or view whose rows are the events, named as in SQL."
)
@click.option("--domain", help="Folder under assets/; may be left out where there is only one.")
@click.option("--key", help="Column of the message key. Default: the declared key, or one named as an id.")
@click.option("--event-time", help="Column that says when it happened. Default: by type and name.")
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

    Every column becomes a field of the type that loses nothing; comments become docs. The key is the one that the
    warehouse declares, else a column whose name says by whole words that it is an id; the event time is chosen by
    type and name. Each choice is shown with its reason. If nothing decides, the draft is kept with an open question.
    The draft passes `sluice check` at once. What a machine cannot know is marked TODO: what happened, and what each
    field means; a contract with TODO is refused by `sluice register`.

    \b
    Examples:
      sluice new hour_observed --domain weather --table weather
      sluice new row_seen --table 'raw."Odd Table"'
      sluice new order_shipped --table shop.shipments --key order_id --event-time shipped_at

    Before it drafts, it counts the rows that would belong to no window: they become no event.

    It never overwrites a file, and reads no more of the table than its columns and its times.
    """
    from pipelines.cli.actions.new import run

    run(event, table, domain, key, event_time, windows, start, owner, warehouse)
