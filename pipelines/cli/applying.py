"""A plan carried out: the run it was made for, with what it found."""

from functools import partial
from pathlib import Path

from pipelines.cli.choosing import catalogue_and_event
from pipelines.cli.launching import run_all
from pipelines.cli.replay_options import with_keys_kept
from pipelines.cli.replaying import unbroken
from pipelines.cli.reporting import announcing, report
from pipelines.foresight.plan import PlanUnreadable, read_plan
from pipelines.orchestration.config import RunConfig
from pipelines.publishing.as_planned import PlanOutdated
from resources.platform import Platform


def apply(address: str, *, as_json: bool) -> bool:
    """Launch what the plan at `address` says; True when no window failed.

    Raises PlanOutdated before any run where the event's definition has changed or a window of the plan is refused.
    """
    plan = read_plan(address)
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
            f"{len(plan.refused)} of its {len(plan.windows)} windows would not be published, "
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
            # Looked for by the plan, in all of its windows; a run sees its own only.
            config["unmatched_keys"] = "leave_out"
        # A copy under its hash: the run may be on another machine, and must find the plan that was read here.
        config["plan_file"] = platform.snapshots.keep_text("plans", plan.to_json())
        settings = platform.settings
    windows = [event.windows.window(one.window) for one in plan.windows]
    outcomes = run_all(
        catalogue,
        settings,
        [(event, part) for part in unbroken(windows)],
        again=f"sluice publish {event.full_name} {windows[0].key}..{windows[-1].key}",
        stages=plan.stages,
        config=RunConfig(**config).as_run_config(),
        every_window=True,
        before=announcing(
            f"applying {Path(address).name}: {'replaying' if 'replay' in config else 'publishing'}"
        ),
    )
    return report(outcomes, as_json=as_json)
