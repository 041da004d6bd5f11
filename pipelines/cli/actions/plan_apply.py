"""Carries out a plan: the run that the plan was made for, with what the plan found."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.cli.actions.replay import unbroken
from pipelines.cli.options.events import catalogue_and_event
from pipelines.cli.options.replay import with_keys_kept
from pipelines.cli.runs.launcher import run_all
from pipelines.cli.runs.report import announcing, report
from pipelines.dry_run.plan import PlanUnreadable, read_plan
from pipelines.orchestration.config import RunConfig
from pipelines.publishing.next_generation.expectation import PlanOutdated
from resources.platform import Platform
from resources.settings import load_settings
from resources.wording import counted


def apply(address: str, *, as_json: bool) -> bool:
    """Launch what the plan at `address` says; True if no window failed.

    Raises PlanOutdated before any run if the event's definition has changed or a window of the plan is
    refused.
    """
    plan = read_plan(address)
    here = load_settings().environment
    if plan.environment != (here.name if here else None):
        raise PlanOutdated(
            f"plan {address}",
            f"was made {_in(plan.environment)}, and this command runs {_in(here.name if here else None)}",
            next_step="apply it there, or plan again here; nothing was published",
        )
    catalogue, event = catalogue_and_event(plan.event)
    if event.code_version != plan.code_version:
        raise PlanOutdated(
            f"plan {address}",
            f"was made with another version of {event.module_path.name} or its contract",
            next_step="plan again; nothing was published",
        )
    if plan.refused:
        raise PlanOutdated(
            f"plan {address}",
            f"{len(plan.refused)} of its {counted(len(plan.windows), 'window')} would not be published, "
            f"{plan.refused[0].window} among them",
            next_step="mend them, leave them out, or plan with --correct or --replay",
        )
    if plan.keys_missing:
        told = plan.unmatched_keys or {}
        raise PlanOutdated(
            f"plan {address}",
            f"{told.get('count')} of its {told.get('given')} keys are in none of its windows"
            if told.get("given")
            else f"no event of its windows is selected by {told.get('within')}",
            next_step="plan again with other keys, or with --matching-only"
            if told.get("given")
            else "plan again with another range",
        )
    if not plan.windows:
        raise PlanUnreadable(f"plan {address}", "holds no window")
    with Platform() as platform:
        config = with_keys_kept(dict(plan.config), partial(platform.snapshots.keep_text, "keys"))
        if any(config.get(name) for name in ("keys", "keys_file", "event_time_from", "event_time_until")):
            # The plan searched for them in all of its windows; a run sees only its own windows.
            config["unmatched_keys"] = "leave_out"
        # A copy, named by its hash:
        # the run may be on another machine, and must find the plan that was read here.
        config["plan_file"] = platform.snapshots.keep_text("plans", plan.to_json())
        settings = platform.settings
    windows = [event.windows.window(one.window) for one in plan.windows]
    outcomes = run_all(
        catalogue,
        settings,
        [(event, part) for part in unbroken(windows)],
        again=f"sluice {'redrive' if config.get('redrive') else 'publish'} {event.full_name} "
        f"{windows[0].key}..{windows[-1].key}",
        stages=plan.stages,
        config=RunConfig(**config).as_run_config(),
        every_window=True,
        before=announcing(f"applying {Path(address).name}: {_doing(config)}"),
    )
    return report(outcomes, as_json=as_json)


def _in(environment: str | None) -> str:
    return f"in environment {environment}" if environment else "in no environment"


def _doing(config: Mapping[str, Any]) -> str:
    return "redriving" if config.get("redrive") else "replaying" if "replay" in config else "publishing"
