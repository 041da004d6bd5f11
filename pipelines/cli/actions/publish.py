"""The work of `sluice publish`."""

import shlex
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.options.limits import limits_of

if TYPE_CHECKING:
    from pipelines.authoring.catalogue import Catalogue
    from pipelines.authoring.event import Event
    from pipelines.authoring.windows import Window


def run(
    event: str | None,
    windows: str | None,
    all_windows: str | None,
    reason: str | None,
    correct: bool,
    replay: bool,
    processes: int,
    as_json: bool,
    **limits: Any,
) -> None:
    """The command; its help explains the options."""
    if correct and replay:
        raise click.UsageError("--correct publishes what differs, --replay every event: choose one")

    if all_windows is not None and (event or windows):
        raise click.UsageError(
            "--all is for every event: leave EVENT out, as in `sluice publish --all 2013-01-01`"
        )
    if all_windows is None and not (event and windows):
        raise click.UsageError(
            "name an event and its windows, as in `sluice publish flight_departed 2013-01-01`"
        )
    again = (
        f"sluice publish --all {all_windows}"
        if all_windows
        else f"sluice publish {shlex.quote(event or '')} {windows}"
    )
    with ExitStack() as begun:
        beside = None
        if processes > 1:
            from pipelines.cli.runs.worker_process import Processes

            # The worker processes are started first: they load what a run needs while this process finds out
            # what there is to do.
            beside = begun.enter_context(Processes(processes))

        from pipelines.cli.runs.launcher import run_all
        from pipelines.cli.runs.report import announcing, report
        from resources.settings import load_settings

        catalogue, work, whole, named = _work(event, windows, all_windows)
        settings = load_settings()
        changed = "correct" if correct else "replay" if replay else "ask"
        config = {"reason": reason or "", "on_definition_change": changed, **limits_of(**limits)}
        if beside:
            from pipelines.cli.runs.processes import publish_in_processes

            outcomes = publish_in_processes(
                catalogue, settings, work, beside, divide=named, config=config, again=again
            )
        else:
            outcomes = run_all(
                catalogue,
                settings,
                work,
                again=again,
                config=config,
                every_window=True,
                before=announcing("publishing"),
            )
    if not report(outcomes, as_json=as_json) or not whole:
        raise SystemExit(1)


def _work(
    event: str | None, windows: str | None, all_windows: str | None
) -> "tuple[Catalogue, list[tuple[Event, list[Window]]], bool, bool]":
    """The events that are meant, each with its windows; whether all of them could be loaded; and whether
    `event` is the name of one event."""
    from datetime import UTC, datetime

    from pipelines.cli.options.events import chosen
    from pipelines.cli.options.windows import ended_windows

    now = datetime.now(UTC)
    meant = chosen(event if all_windows is None else None)
    text = all_windows or windows or ""
    if meant.named:
        (single,) = meant.events
        return meant.catalogue, [(single, ended_windows(single, text, now))], True, True
    found = [(one, [w for w in meant.windows(one, text) if w.end <= now]) for one in meant.events]
    for one, ended in found:
        if not ended:
            click.echo(f"{one.full_name}: no ended window overlaps {text} ({one.windows})", err=True)
    return meant.catalogue, [(one, ended) for one, ended in found if ended], meant.whole, False
