"""The options that say what a replay selects,
shared by the commands that plan a replay and that launch one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from resources.wording import cut

F = TypeVar("F", bound=Callable[..., Any])

# A longer list is kept in a file, because a run's configuration is shown in the UI.
_MOST_INLINE = 100


def selecting(command: F) -> F:
    """Adds `--key`, `--keys`, `--matching-only`, `--from`, `--until`, `--fresh` and `--to`."""
    for option in reversed(
        (
            click.option("--key", "keys", multiple=True, metavar="KEY", help="Only events with this key; may be repeated."),
            click.option(
                "--keys", "keys_file", metavar="FILE",
                help="Only events with the keys in FILE, one on each line; - reads them from the standard input.",
            ),
            click.option(
                "--matching-only", is_flag=True,
                help="Replay the keys that are in these windows though others are in none of them.",
            ),
            click.option("--from", "since", metavar="INSTANT", help="Only events at or after this instant, UTC."),
            click.option("--until", metavar="INSTANT", help="Only events before this instant, UTC."),
            click.option("--fresh", is_flag=True, help="Source the windows anew instead of reading the stored snapshots."),
            click.option(
                "--to", "topic", metavar="TOPIC", help="Replay to this shadow topic; the event's own is left alone."
            ),
        )
    ):  # fmt: skip
        command = option(command)
    return command


@dataclass(frozen=True)
class Selected:
    """The values of those options."""

    keys: tuple[str, ...]
    keys_file: str | None
    since: str | None
    until: str | None
    fresh: bool
    topic: str | None
    matching_only: bool

    @property
    def given(self) -> bool:
        """True if any of them is given."""
        return any(
            (self.keys, self.keys_file, self.since, self.until, self.fresh, self.topic, self.matching_only)
        )

    @property
    def of_one_event(self) -> bool:
        """True if an option is given that makes sense for one event only."""
        return any((self.keys, self.keys_file, self.since, self.until, self.topic, self.matching_only))

    def config(self) -> dict[str, Any]:
        """These options as run configuration; `keys` has every key, also those of the file."""
        if self.matching_only and not (self.keys or self.keys_file):
            raise click.UsageError("--matching-only is about keys: add --key or --keys")
        from_file = _read(self.keys_file) if self.keys_file else []
        return {
            "replay": "fresh" if self.fresh else "stored",
            "keys": [*dict.fromkeys([*self.keys, *from_file])],
            "event_time_from": self.since or "",
            "event_time_until": self.until or "",
            "to_topic": self.topic or "",
            "unmatched_keys": "leave_out" if self.matching_only else "refuse",
        }


def _read(name: str) -> list[str]:
    # Imported here: plans and replays need it, the list of their options does not.
    from pipelines.publishing.selection import keys_in

    try:
        # Read as bytes: in text mode a lone CR would end a line, and a key may contain one.
        with click.open_file(name, "rb") as file:
            keys = keys_in(file.read().decode("utf-8-sig").split("\n"))
    except (OSError, UnicodeDecodeError) as error:
        told = getattr(error, "strerror", None) or f"it is not UTF-8 (byte {getattr(error, 'start', 0)})"
        raise click.UsageError(
            f"--keys {cut(name)}: cannot be read: {told}; a file with one key on each line is expected, or - for the standard "
            "input. One key alone is given by --key"
        ) from None
    if not keys:
        raise click.UsageError(f"--keys {name}: holds no key; one on each line is read")
    return keys


def with_keys_kept(config: dict[str, Any], keep: Callable[[str], str]) -> dict[str, Any]:
    """`config` for a run: a long list of keys is stored by `keep`, which returns its address."""
    keys = config.get("keys") or []
    if len(keys) <= _MOST_INLINE or not all(_is_line(key) for key in keys):
        return config
    return {**config, "keys": [], "keys_file": keep("\n".join(keys) + "\n")}


def _is_line(key: str) -> bool:
    """Whether the key is read back unchanged from a file with one key on each line."""
    return bool(key) and not key.startswith("\ufeff") and "\n" not in key and "\r" not in key
