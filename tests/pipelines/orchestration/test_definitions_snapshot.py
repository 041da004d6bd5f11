"""What an operator finds in Dagster, held still: keys, checks, pools, partitions, schedules, owners.

A difference is either a mistake or a decision. If it is a decision, write the new state and read its diff:

    SLUICE_UPDATE_SNAPSHOT=1 make test   (or this file alone, by pytest)
"""

import json
import os
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines import load_catalogue
from pipelines.orchestration.build import build_definitions

SNAPSHOT = Path(__file__).with_name("definitions_snapshot.json")


def _state() -> dict[str, Any]:
    repository = build_definitions(load_catalogue()).get_repository_def()
    graph = repository.asset_graph
    assets: dict[str, Any] = {}
    for key in sorted(graph.get_all_asset_keys(), key=lambda key: key.path):
        node = graph.get(key)
        assets[key.to_user_string()] = {
            "group": node.group_name,
            "depends_on": sorted(parent.to_user_string() for parent in node.parent_keys),
            "kinds": sorted(node.kinds),
            "owners": sorted(node.owners),
            "partitions": type(node.partitions_def).__name__ if node.partitions_def else None,
            "single_run": node.backfill_policy == dg.BackfillPolicy.single_run(),
            "pools": sorted(node.pools or ()),
            "external": node.is_external,
        }
    checks = {
        f"{check.asset_key.to_user_string()}: {check.name}": {
            "blocking": graph.get_check_spec(check).blocking,
        }
        for check in sorted(graph.asset_check_keys, key=lambda check: (check.asset_key.path, check.name))
    }
    schedules = {
        schedule.name: {"cron": schedule.cron_schedule, "job": schedule.job_name}
        for schedule in sorted(repository.schedule_defs, key=lambda schedule: schedule.name)
    }
    jobs = sorted(job.name for job in repository.get_all_jobs())
    return {"assets": assets, "checks": checks, "schedules": schedules, "jobs": jobs}


def test_the_definitions_are_those_that_were_agreed() -> None:
    state = json.loads(json.dumps(_state()))
    if os.environ.get("SLUICE_UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(json.dumps(state, indent=1) + "\n")
    assert state == json.loads(SNAPSHOT.read_text()), (
        "the definitions changed; if that is meant: SLUICE_UPDATE_SNAPSHOT=1 and commit the diff"
    )


def test_every_event_has_its_three_assets_and_both_checks() -> None:
    state = _state()
    for event in load_catalogue().events.values():
        for stage in ("sourced", "transformed", "published"):
            assert f"{event.full_name}/{stage}" in state["assets"]
        assert state["checks"][f"{event.full_name}/transformed: fits_contract"]["blocking"]
        assert f"{event.full_name}/published: reconciled" in state["checks"]
