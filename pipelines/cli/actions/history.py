"""The work of `sluice history`."""

from datetime import UTC, datetime, timedelta

import click

from pipelines.authoring.problems import listing
from pipelines.cli.options.events import chosen, loaded_events, single_name
from pipelines.cli.output.tables import shown, table
from pipelines.cli.output.values import to_json
from pipelines.history.happening import Happening
from pipelines.history.history import History, history, part_of
from pipelines.journal.journal import Journal
from pipelines.ledger.listing import each_about, read_ledger
from resources.errors import SluiceError, did_you_mean, readable
from resources.platform import Platform
from resources.wording import counted

_SHOWN_ERRORS = 3
# An end within one second of the beginning is not shown: it says nothing.
_SAME = timedelta(seconds=1)


def run(event: str, since: str | None, last: int, *, as_json: bool) -> None:
    """The command; its help explains the options."""
    begin = None if since is None else _instant(since)
    event = single_name(event) or chosen(event).only("a history is of one event").full_name
    with Platform() as platform:
        journal = Journal(platform.settings)
        topic, name = _topic_of(event, platform, journal)
        whole = history(topic, each_about(platform, topic), journal.read([topic])[topic])
    part = part_of(whole, begin, last)
    if as_json:
        click.echo(to_json(_as_json(part, name), indent=2))
    else:
        _show(part, name, since)
    for error in part.errors[:_SHOWN_ERRORS]:
        click.echo(readable(f"Not shown: {error}"), err=True)
    damaged = part.damaged_ledger + part.damaged_journal
    if damaged > _SHOWN_ERRORS:
        click.echo(f"Not shown: {damaged:,} records that cannot be read, in all", err=True)
    if part.damaged_ledger:
        raise SystemExit(1)


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(
            f"--since {text[:40]!r} is neither a day nor an instant, such as 2024-03-01 or 2024-03-01T06:00Z"
        ) from None
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError:
        raise click.UsageError(f"--since {text[:40]!r} is not in the years 1 to 9999 in UTC") from None


def _topic_of(name: str, platform: Platform, journal: Journal) -> tuple[str, str]:
    """The topic of the event that is meant, and the event's name. For an event without a module they come
    from ledger and journal. Raises SluiceError."""
    catalogue = loaded_events()
    for event in catalogue:
        if name in (event.full_name, event.topic):
            return event.topic, event.full_name
    if any(event.name == name for event in catalogue):
        event = catalogue.find(name)  # raises if more than one domain has it
        return event.topic, event.full_name
    known = {(entry.shadow_of or entry.topic, entry.event) for entry in read_ledger(platform).entries}
    meant = {topic for topic, event in known if name in (topic, event, event.rpartition("/")[2])}
    meant |= journal.topics_where(
        lambda one: name in (one.topic, one.event, (one.event or "").rpartition("/")[2])
    )
    if len(meant) == 1:
        return meant.pop(), name
    names = sorted({*(event.full_name for event in catalogue), *(event for _, event in known)})
    if not meant:
        raise SluiceError(
            f"event {name!r}",
            f"there is no such module, and neither the ledger nor the journal has a record of it.{did_you_mean(name, names)}",
            allowed=f"the name of an event or a topic: {listing(map(shown, names)) or 'there is none'}",
        )
    raise SluiceError(
        f"event {name!r}",
        "several topics had events of this name",
        allowed=listing(map(shown, sorted(meant))),
        next_step="name one of these topics in place of the event",
    )


def _as_json(part: History, name: str) -> dict[str, object]:
    return {
        "event": name,
        "topic": part.topic,
        "names": list(part.names),
        "happenings": [one.as_json() for one in part.happenings],
        "left_out": part.left_out,
        "damaged_records": {"ledger": part.damaged_ledger, "journal": part.damaged_journal},
        "errors": list(part.errors),
    }


def _show(part: History, name: str, since: str | None) -> None:
    others = [one for one in part.names if one != name]
    # Names that come from ledger and journal are not always those of an event: anybody may write a record.
    click.secho(f"{shown(name)} on {shown(part.topic)}", bold=True)
    if others:
        click.echo(f"also called: {listing(map(shown, others))}")
    if not part.happenings:
        click.echo(f"Nothing is recorded{f' since {since}' if since else ' yet'}.")
    else:
        table(("when (UTC)", "what", "details", "by", "reason"), [_row(one) for one in part.happenings])
    if part.left_out:
        click.echo(f"{counted(part.left_out, 'older line')} not shown; --last and --since choose others.")


def _row(one: Happening) -> tuple[object, ...]:
    when = f"{one.at:%Y-%m-%d %H:%M:%S}"
    if one.until is not None and one.until - one.at >= _SAME:
        when += (
            f" to {one.until:%H:%M:%S}"
            if one.until.date() == one.at.date()
            else f" to {one.until:%Y-%m-%d %H:%M:%S}"
        )
    details = ", ".join(part for part in (one.which, one.summary) if part)
    return when, one.what.replace("_", " "), details, one.by or "-", one.reason or "-"
