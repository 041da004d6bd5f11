"""The work of `sluice redrive`."""

from typing import Any

import click

from pipelines.cli.actions.dead_letters import windows_to_redrive
from pipelines.cli.actions.replay import unbroken
from pipelines.cli.options.events import catalogue_and_event
from pipelines.cli.options.limits import limits_of
from pipelines.cli.output.errors import tell
from pipelines.cli.runs.launcher import run_all
from pipelines.cli.runs.report import announcing, report
from pipelines.orchestration.config import RunConfig
from resources.platform import Platform
from resources.settings import load_settings


def run(
    event: str,
    windows: str | None,
    reason: str | None,
    force: bool,
    requested_by: str | None,
    as_json: bool,
    **limits: Any,
) -> None:
    """The command; its options are told by its help."""
    catalogue, found = catalogue_and_event(event)
    config = RunConfig(
        reason=reason or "", requested_by=requested_by or "", redrive=True, force=force, **limits_of(**limits)
    )
    if windows:
        chosen = found.windows.parse(windows)
    else:
        with Platform() as platform:
            chosen = [found.windows.window(key) for key in windows_to_redrive(found, platform, unread=tell)]
    if not chosen:
        click.echo("[]" if as_json else f"{found.full_name} has no dead letters.")
        return
    outcomes = run_all(
        catalogue,
        load_settings(),
        [(found, part) for part in unbroken(chosen)],
        again=f"sluice redrive {found.full_name}" + (f" {windows}" if windows else ""),
        stages=("published",),
        config=config.as_run_config(),
        every_window=True,
        before=announcing("redriving"),
    )
    if not report(outcomes, as_json=as_json, done="redriven"):
        raise SystemExit(1)
