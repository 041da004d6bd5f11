"""The options that say what a replay is of, shared by the commands that plan one and that launch one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

# More of them are kept in a file: a run's configuration is shown in the UI.
_MOST_INLINE = 100


def selecting(command: F) -> F:
    """Adds `--key`, `--keys`, `--from`, `--until`, `--fresh` and `--to`."""
    for option in reversed(
        (
            click.option("--key", "keys", multiple=True, metavar="KEY", help="Only events with this key; may be repeated."),
            click.option(
                "--keys", "keys_file", metavar="FILE",
                help="Only events with the keys in FILE, one on each line; - reads them from the standard input.",
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
    """What those options were given."""

    keys: tuple[str, ...]
    keys_file: str | None
    since: str | None
    until: str | None
    fresh: bool
    topic: str | None

    @property
    def given(self) -> bool:
        """True when any of them is there."""
        return bool(self.keys or self.keys_file or self.since or self.until or self.fresh or self.topic)

    def config(self) -> dict[str, Any]:
        """The run configuration's part, every key in it."""
        from_file = _read(self.keys_file) if self.keys_file else []
        return {
            "replay": "fresh" if self.fresh else "stored",
            "keys": [*dict.fromkeys([*self.keys, *from_file])],
            "event_time_from": self.since or "",
            "event_time_until": self.until or "",
            "to_topic": self.topic or "",
        }


def _read(name: str) -> list[str]:
    try:
        with click.open_file(name, encoding="utf-8-sig") as lines:
            keys = [line.strip() for line in lines if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--keys {name}: cannot be read: {error}") from None
    if not keys:
        raise click.UsageError(f"--keys {name}: holds no key; one on each line is read")
    return keys


def with_keys_kept(config: dict[str, Any], keep: Callable[[str], str]) -> dict[str, Any]:
    """`config` for a run: a long list of keys is stored by `keep`, which returns its address."""
    keys = config.get("keys") or []
    if len(keys) <= _MOST_INLINE:
        return config
    return {**config, "keys": [], "keys_file": keep("\n".join(keys) + "\n")}
