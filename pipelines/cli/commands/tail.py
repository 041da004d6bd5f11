"""`sluice tail`."""

from typing import TYPE_CHECKING

import click

from resources.wording import counted

if TYPE_CHECKING:
    from pipelines.reconciling.records.event_reader import ReadBack


@click.command()
@click.argument("event", metavar="SELECTION")
@click.option(
    "-n", "count", type=click.IntRange(0), default=10, show_default=True, help="How many of the newest."
)
@click.option("--from-beginning", is_flag=True, help="Every event of the topic instead.")
@click.option("-f", "--follow", is_flag=True, help="Go on with events as they are committed, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with offsets and headers.")
def command(event: str, count: int, from_beginning: bool, follow: bool, as_json: bool) -> None:
    """Print the newest events of a topic, decoded with the schema each one names.

    Reads as a careful consumer does: committed records only. Each line: publish time, key, event. A record that cannot
    be decoded is named and counted, and the exit code is 1 then.

    \b
    Examples:
      sluice tail flight_departed -n 3
      sluice tail flight_departed --from-beginning --json | jq .value.carrier
      sluice tail weather_observed --follow

    It joins no consumer group and commits no offset, so it never takes an event from anybody.
    """
    from pipelines.cli.actions.tail import TopicTail
    from pipelines.cli.options.events import chosen
    from pipelines.cli.output.errors import when_stopped
    from resources.platform import Platform

    found = chosen(event).only("the records of one topic are printed")
    printed = undecodable = 0
    with (
        Platform() as platform,
        when_stopped(
            lambda: f"Stopped after {counted(printed, 'event')}{_besides(undecodable)}; nothing was changed."
        ),
    ):
        tail = TopicTail(found.topic, platform)
        for record in tail.all() if from_beginning else tail.newest(count):
            _print(record, as_json)
            printed += 1
            undecodable += record.problem is not None
        if not printed and not follow:
            click.echo(f"{found.topic} holds no event.", err=True)
        if follow:
            for record in tail.after():
                _print(record, as_json)
                printed += 1
                undecodable += record.problem is not None
    if undecodable:
        records = "record" if undecodable == 1 else "records"
        click.echo(
            f"{undecodable:,} of {printed:,} {records} cannot be decoded: another producer writes to {found.topic}, or the "
            "registry has other schemas.",
            err=True,
        )
        raise SystemExit(1)


def _besides(undecodable: int) -> str:
    return f", {undecodable:,} of which cannot be decoded" if undecodable else ""


def _print(record: "ReadBack", as_json: bool) -> None:
    from datetime import datetime

    from pipelines.cli.output.tables import shown
    from pipelines.cli.output.values import to_json
    from pipelines.contract.temporal import timestamp_of

    stamp = timestamp_of(record.timestamp_ms, 1000, zoned=True)
    # Another producer's record may carry any 64 bits as its timestamp.
    at = stamp.isoformat(timespec="milliseconds") if isinstance(stamp, datetime) else stamp.isoformat()
    at = at.replace("+00:00", "Z")
    if as_json:
        click.echo(
            to_json(
                {
                    "timestamp": at,
                    "kafka_partition": record.kafka_partition,
                    "offset": record.offset,
                    "key": record.key,
                    "headers": record.headers,
                    "schema_id": record.schema_id,
                    "value": record.value,
                    **({"problem": record.problem} if record.problem is not None else {}),
                }
            )
        )
        return
    told = "tombstone: this key is gone" if record.value is None else to_json(record.value)
    if record.problem is not None:
        place = f"partition {record.kafka_partition} offset {record.offset}"
        told = click.style(f"cannot be decoded ({place}): {shown(record.problem)}", fg="red")
    headers = f"  {click.style(to_json(record.headers), dim=True)}" if record.headers else ""
    click.echo(f"{click.style(at, dim=True)}  {click.style(shown(record.key), bold=True)}  {told}{headers}")
