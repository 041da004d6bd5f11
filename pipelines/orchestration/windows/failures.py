"""Why windows of a run failed: written into Dagster at the end of the run, and read back from there."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import dagster as dg

from pipelines.authoring.event import Event
from pipelines.authoring.problems import listing
from pipelines.run_events import WindowFailed, but_for_window
from resources.errors import Problem, readable
from resources.wording import counted

_KEY = "failures"
_MOST_REASONS = 20
_MOST_NAMED = 6


@dataclass(frozen=True)
class RunFailure:
    """One reason, and the windows that failed for it. No windows: the run itself failed before them.
    `not_begun`: how many windows after them were not started."""

    windows: tuple[str, ...]
    problems: tuple[Problem, ...]
    not_begun: int = 0

    def __str__(self) -> str:
        told = "; ".join(map(str, self.problems))
        if self.not_begun:
            told += f"; {counted(self.not_begun, 'window')} behind it were not begun"
        if self.windows[1:]:
            told += f"\n  (the same for {listing(self.windows[1:], _MOST_NAMED)})"
        return readable(told)


def alike(one: WindowFailed, window: str, problems: Sequence[Problem]) -> bool:
    """Whether a window failed for the same reason as another, apart from its own name."""
    return but_for_window(one.window or "", one.problems) == but_for_window(window, problems)


def failures_of_windows(event: Event, failed: Sequence[WindowFailed], not_begun: int) -> dg.Failure:
    """The failure of a run in which these windows failed.
    If several have the same reason, it is reported once."""
    groups: list[tuple[WindowFailed, list[str]]] = []
    for one in failed:
        like = next((group for group in groups if alike(group[0], one.window or "", one.problems)), None)
        if like:
            like[1].append(one.window or "")
        else:
            groups.append((one, [one.window or ""]))
    found = [RunFailure(tuple(windows), first.problems) for first, windows in groups]
    if not_begun:
        found[-1] = RunFailure(found[-1].windows, found[-1].problems, not_begun)
    lines = [f"{counted(len(failed), 'window')} of {event.full_name} failed; the others stand."]
    lines += [f"- {one}" for one in found[:_MOST_REASONS]]
    if len(found) > _MOST_REASONS:
        lines.append(f"- and {counted(len(found) - _MOST_REASONS, 'other reason')}; see the log")
    return run_failure(readable("\n".join(lines)), found[:_MOST_REASONS], {"windows_failed": len(failed)})


def run_failure(
    told: str, failures: Sequence[RunFailure], metadata: Mapping[str, Any] | None = None
) -> dg.Failure:
    """Dagster's failure of a run, with its reasons as data; it is not retried."""
    about = {**(metadata or {}), _KEY: dg.MetadataValue.json([asdict(one) for one in failures])}
    return dg.Failure(told, metadata=about, allow_retries=False)


def failures_in(metadata: Mapping[str, Any]) -> tuple[RunFailure, ...]:
    """The reasons in a failure's metadata (plain values);
    empty if the failure was not made by `run_failure`."""
    return tuple(
        RunFailure(
            tuple(one["windows"]),
            tuple(Problem(**problem) for problem in one["problems"]),
            one.get("not_begun", 0),
        )
        for one in metadata.get(_KEY) or ()
    )
