"""The work of `sluice redrive`."""

from typing import Any

import click

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.cli.actions.dead_letters import windows_to_redrive
from pipelines.cli.actions.replay import unbroken
from pipelines.cli.options.events import Chosen, chosen
from pipelines.cli.options.limits import limits_of
from pipelines.cli.output.errors import tell
from pipelines.cli.runs.launcher import run_all
from pipelines.cli.runs.report import announcing, report
from pipelines.orchestration.config import RunConfig
from resources.platform import Platform
from resources.settings import load_settings
from resources.wording import counted


def run(
    event: str,
    windows: str | None,
    reason: str | None,
    force: bool,
    requested_by: str | None,
    as_json: bool,
    **limits: Any,
) -> None:
    """The command; its help explains the options."""
    meant = chosen(event)
    config = RunConfig(
        reason=reason or "", requested_by=requested_by or "", redrive=True, force=force, **limits_of(**limits)
    )
    with Platform() as platform:
        work = [(one, _windows(one, windows, meant, platform)) for one in meant.events]
    if not any(found for _, found in work):
        none = f"{meant.names[0]} has no" if meant.named else f"None of {counted(len(work), 'event')} has"
        click.echo("[]" if as_json else f"{none} dead letters.")
        if not meant.whole:
            raise SystemExit(1)
        return
    outcomes = run_all(
        meant.catalogue,
        load_settings(),
        [(one, part) for one, found in work for part in unbroken(found)],
        again=f"sluice redrive {meant.names[0] if meant.named else meant.quoted}"
        + (f" {windows}" if windows else ""),
        stages=("published",),
        config=config.as_run_config(),
        every_window=True,
        before=announcing("redriving"),
    )
    if not report(outcomes, as_json=as_json, done="redriven") or not meant.whole:
        raise SystemExit(1)


def _windows(event: Event, text: str | None, meant: Chosen, platform: Platform) -> list[Window]:
    """The windows that are named. For a selection, or if none is named: the windows with dead letters."""
    if text is not None and meant.named:
        return meant.windows(event, text)
    found = [event.windows.window(key) for key in windows_to_redrive(event, platform, unread=tell)]
    if text is None:
        return found
    wanted = {window.key for window in meant.windows(event, text)}
    return [window for window in found if window.key in wanted]
