"""Options of the commands that launch runs: limits for this run."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class _GroupAndRecords(click.ParamType):  # type: ignore[type-arg]
    name = "GROUP=RECORDS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        group, equals, records = str(value).rpartition("=")
        if not (equals and group and records.replace("_", "").isdecimal()):
            self.fail(f"{value!r} is not a consumer group and a number, such as billing=50000", param, ctx)
        return group, int(records)


def limit_options(command: F) -> F:
    """`--max-rows-per-second`, `--max-bytes-per-second` and `--max-lag`; see `limits_of`."""
    for option in reversed(
        (
            click.option(
                "--max-rows-per-second", type=click.IntRange(0), metavar="N",
                help="For this run, whatever event and settings say; 0 lifts their limit.",
            ),
            click.option(
                "--max-bytes-per-second", type=click.IntRange(0), metavar="N",
                help="The same for keys and values, before compression.",
            ),
            click.option(
                "--max-lag", type=_GroupAndRecords(), multiple=True, metavar="GROUP=RECORDS",
                help="Pause while this consumer group is further behind; 0 lifts the event's limit. May be repeated.",
            ),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def limits_of(
    max_rows_per_second: int | None, max_bytes_per_second: int | None, max_lag: tuple[tuple[str, int], ...]
) -> dict[str, Any]:
    """The options as run configuration; empty if none was given."""
    found: dict[str, Any] = {
        "max_rows_per_second": max_rows_per_second,
        "max_bytes_per_second": max_bytes_per_second,
    }
    told = {name: value for name, value in found.items() if value is not None}
    return told | ({"max_lag": dict(max_lag)} if max_lag else {})
