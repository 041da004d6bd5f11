"""If a launch's run configuration cannot be carried out, Dagster refuses it before there is a run."""

from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.api import create_execution_plan

from pipelines.orchestration.definitions.assets import build_assets
from pipelines.orchestration.definitions.launch_check import SCHEMA
from pipelines.orchestration.definitions.resource import run_resources
from pipelines.orchestration.definitions.tables import build_tables
from pipelines.orchestration.keys import op_name
from tests.pipelines.orchestration.test_dead_letters import embedded_world
from tests.pipelines.publishing.conftest import World

__all__ = ["embedded_world"]

REPLAY = {"replay": "stored", "reason": "why"}


@pytest.fixture
def launch(embedded_world: World) -> Any:
    event = embedded_world.event
    defs = dg.Definitions([build_assets(event), *build_tables([event])], resources=run_resources())
    job = defs.resolve_implicit_global_asset_job_def()
    return lambda config: create_execution_plan(job, {"ops": {op_name(event): {"config": config}}})


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"replay": "stored"}, "replay: has no reason; next: say why"),
        ({"replay": "fresh", "reason": " \n"}, "replay: has no reason"),
        ({"replay": "fresh", "requested_by": "anna"}, "replay: has no reason"),
        ({"keys": ["a"]}, "keys is for a replay, and none is asked for"),
        ({"keys_file": "/nowhere"}, "keys_file is for a replay"),
        ({"to_topic": "x"}, "to_topic is for a replay"),
        ({"unmatched_keys": "leave_out"}, "unmatched_keys is for a replay"),
        ({**REPLAY, "redrive": True}, "asks for a replay and for a redrive"),
        ({"force": True}, "force is for a redrive"),
        ({**REPLAY, "event_time_from": "noon"}, "event_time_from: 'noon' is no instant"),
        ({**REPLAY, "event_time_until": "2013-13-01"}, "event_time_until: '2013-13-01' is no instant"),
        (
            {**REPLAY, "event_time_from": "2013-01-02", "event_time_until": "2013-01-01"},
            "ends before it begins",
        ),
        ({**REPLAY, "to_topic": "a b"}, "shadow topic: topic='a b' has ' ', which Kafka refuses"),
        ({**REPLAY, "to_topic": "x" * 250}, "has 250 characters"),
        ({**REPLAY, "to_topic": ".."}, "Kafka refuses"),
        ({"max_rows_per_second": -1}, "max_rows_per_second is -1"),
        ({"max_bytes_per_second": -1}, "max_bytes_per_second is -1"),
        ({"max_bytes_per_second": 2**63}, "max_bytes_per_second is 9223372036854775808"),
        ({"max_lag": {"billing": -5}}, "max_lag of billing is -5"),
        ({"max_lag": {"billing\0": 5}}, "max_lag has 'billing\\x00' for the name of a consumer group"),
        ({"reason": "x" * 10_001}, "reason has 10,001 characters"),
        ({"max_rows_per_second": "many"}, "max_rows_per_second"),
        ({"raeson": "a slip"}, "raeson"),
        ({"replay": "perhaps"}, "replay"),
    ],
)
def test_a_launch_that_cannot_be_carried_out_is_refused(
    launch: Any, config: dict[str, Any], told: str
) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError) as refused:
        launch(config)
    assert told in str(refused.value)
    assert "Stack Trace" not in str(refused.value) and 'File "' not in str(refused.value)


@pytest.mark.parametrize(
    "config",
    [
        {},
        REPLAY,
        {**REPLAY, "replay": "fresh", "keys": ["a"], "to_topic": "shadow"},
        # Whether the file exists is known only where the run works.
        {**REPLAY, "keys_file": "/nowhere/keys.txt"},
        {"plan_file": "/nowhere/plan.json"},
        {"redrive": True, "force": True},
        {"max_rows_per_second": 0, "max_bytes_per_second": 2**40, "max_lag": {"billing": 0}},
        {"on_definition_change": "correct", "reason": "mended"},
    ],
)
def test_any_other_launch_is_not(launch: Any, config: dict[str, Any]) -> None:
    assert launch(config)


def test_the_check_belongs_to_these_fields_alone() -> None:
    assert "post_process" in vars(dg.Shape(SCHEMA))
    assert "post_process" not in vars(dg.Shape({"reason": str}))
