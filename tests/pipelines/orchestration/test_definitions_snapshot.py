"""The definitions of this project in Dagster, compared with a file that is reviewed with every change of it.

If the change is intended, write the file again, and look at the difference before you commit it:

python -m tests.pipelines.orchestration.test_definitions_snapshot
"""

import json
import warnings
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines import load_catalogue
from pipelines.orchestration.definitions.build import build_definitions

SNAPSHOT = Path(__file__).with_name("definitions_snapshot.json")
_AGAIN = (
    "what Dagster is told has changed. If that was meant, run\n\n"
    "    python -m tests.pipelines.orchestration.test_definitions_snapshot\n\n"
    "and review the difference: a renamed asset loses its history, a changed partition start moves its windows."
)


def described() -> dict[str, Any]:
    """Asset keys with their partitions, pools and owners; checks, jobs and schedules."""
    definitions = build_definitions(load_catalogue())
    repository = definitions.get_repository_def()
    graph = repository.asset_graph
    assets: dict[str, Any] = {}
    for node in graph.asset_nodes:
        assets[node.key.to_user_string()] = {
            "deps": sorted(key.to_user_string() for key in node.parent_keys),
            "group": node.group_name,
            "kinds": sorted(node.kinds),
            "owners": sorted(node.owners),
            "partitions": _partitions(node.partitions_def),
            "pools": sorted(node.pools or ()),
            **({} if node.is_external else {"backfill_policy": str(node.backfill_policy.policy_type.value)}),
        }
    checks = {}
    for key in graph.asset_check_keys:
        spec = graph.get_check_spec(key)
        checks[key.to_user_string()] = {
            "blocking": spec.blocking,
            "partitions": _partitions(spec.partitions_def),
        }
    return {
        "assets": dict(sorted(assets.items())),
        "checks": dict(sorted(checks.items())),
        "jobs": sorted(job.name for job in repository.get_all_jobs()),
        "schedules": {
            schedule.name: {
                "cron": schedule.cron_schedule,
                "job": schedule.job_name,
                "status": schedule.default_status.value,
                "timezone": schedule.execution_timezone,
            }
            for schedule in sorted(repository.schedule_defs, key=lambda schedule: schedule.name)
        },
        "sensors": sorted(sensor.name for sensor in repository.sensor_defs),
    }


def _partitions(found: dg.PartitionsDefinition | None) -> dict[str, Any] | None:
    if found is None:
        return None
    assert isinstance(found, dg.TimeWindowPartitionsDefinition)
    return {
        "cron": found.cron_schedule,
        "start": found.start.isoformat(),
        "end": found.end.isoformat() if found.end else None,
        "format": found.fmt,
        "timezone": found.timezone,
    }


def as_text(told: dict[str, Any]) -> str:
    return json.dumps(told, indent=1, sort_keys=True) + "\n"


def test_dagster_is_told_what_was_reviewed() -> None:
    assert json.loads(SNAPSHOT.read_text()) == json.loads(as_text(described())), _AGAIN


def test_every_event_has_its_three_assets_and_both_checks() -> None:
    told = described()
    for event in load_catalogue().events.values():
        for stage in ("sourced", "transformed", "published"):
            assert f"{event.full_name}/{event.name}_{stage}" in told["assets"]
        checks = {
            name: told["checks"][f"{event.full_name}/{event.name}_{name}"]
            for name in ("transformed:fits_contract", "published:reconciled")
        }
        assert checks["transformed:fits_contract"]["blocking"]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    SNAPSHOT.write_text(as_text(described()))
