"""How the windows of an event are divided among processes, and what prevents that."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from pipelines import Event, load_catalogue
from pipelines.authoring.limits import LagLimit, Limits
from pipelines.cli.runs.launcher import RunOutcome, WindowOutcome
from pipelines.cli.runs.report import _listed
from pipelines.cli.runs.split import Part, cut, divided, require_uncompacted
from pipelines.orchestration.worker_runs import places
from resources.errors import SluiceError
from resources.settings import Settings, load_settings

POOL = "topic_flights_flight_departed_v1"


@pytest.fixture(scope="module")
def event() -> Event:
    return load_catalogue().find("flight_departed")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(
        str(tmp_path), overrides={"concurrency": {"pools": {"default_limit": 1}}}
    ) as made:
        made.event_log_storage.set_concurrency_slots("warehouse_default", 4)
        yield made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"SLUICE_HOME": str(tmp_path)})


def parts_of(
    event: Event, instance: dg.DagsterInstance, settings: Settings, processes: int = 2, **config: object
) -> Sequence[Part]:
    windows = event.windows.parse("2013-01-01..2013-01-05")
    return divided(event, windows, processes, config=config, settings=settings, instance=instance)


@pytest.mark.parametrize("count", [1, 2, 5, 7, 365])
@pytest.mark.parametrize("parts", [1, 2, 3, 64])
def test_parts_are_contiguous_ordered_and_hold_every_window_once(
    event: Event, count: int, parts: int
) -> None:
    windows = event.windows.parse("2013")[:count]
    found = cut(windows, parts)
    assert [window for part in found for window in part] == windows
    assert len(found) == min(parts, count)
    assert {len(part) for part in found} <= {count // len(found), count // len(found) + 1}


def test_an_event_is_divided_where_its_pool_has_the_places(
    event: Event, instance: dg.DagsterInstance, settings: Settings
) -> None:
    assert len(parts_of(event, instance, settings, processes=1)) == 1
    with pytest.raises(SluiceError) as refused:
        parts_of(event, instance, settings)
    assert f"pool {POOL} lets 1 run at a time" in refused.value.problem
    assert f"dagster instance concurrency set {POOL} 2" in (refused.value.next_step or "")
    instance.event_log_storage.set_concurrency_slots(POOL, 2)
    first, second = parts_of(event, instance, settings)
    assert first.name == "flights/flight_departed 2013-01-01..2013-01-02"
    assert second.name == "flights/flight_departed 2013-01-03..2013-01-05"
    assert first.run_id != second.run_id and first.config == second.config == {}
    with pytest.raises(SluiceError, match=r"lets 2 runs at a time.*--processes 2"):
        parts_of(event, instance, settings, processes=3)


def test_the_warehouse_counts_too(event: Event, instance: dg.DagsterInstance, settings: Settings) -> None:
    instance.event_log_storage.set_concurrency_slots(POOL, 8)
    assert len(parts_of(event, instance, settings, processes=4)) == 4
    with pytest.raises(SluiceError, match="warehouse_default lets 4 runs at a time query its warehouse"):
        parts_of(event, instance, settings, processes=5)


def test_without_limits_a_pool_has_any_number_of_places(tmp_path: Path) -> None:
    for name in ("free", "runs"):
        (tmp_path / name).mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "free")) as free:
        assert places(free, POOL) is None
    by_run = {"concurrency": {"pools": {"granularity": "run", "default_limit": 1}}}
    with dg.DagsterInstance.local_temp(str(tmp_path / "runs"), overrides=by_run) as counted:
        assert places(counted, POOL) is None, "Dagster counts the runs of its queue alone"


@pytest.mark.parametrize(
    ("declared", "told"),
    [({"tombstones": True}, "tombstones=True"), ({"stale_writes": "skip"}, 'stale_writes="skip"')],
)
def test_an_event_that_carries_state_keeps_its_windows_in_order(
    event: Event, instance: dg.DagsterInstance, settings: Settings, declared: dict[str, object], told: str
) -> None:
    instance.event_log_storage.set_concurrency_slots(POOL, 2)
    stateful = replace(event, **declared)  # type: ignore[arg-type]
    with pytest.raises(SluiceError, match="carries state") as refused:
        parts_of(stateful, instance, settings)
    assert told in refused.value.problem and refused.value.next_step == "leave --processes out"
    one = event.windows.parse("2013-01-01")
    assert len(divided(stateful, one, 2, config={}, settings=settings, instance=instance)) == 1


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_a_compacted_topic_keeps_its_windows_in_order(event: Event, policy: str) -> None:
    with pytest.raises(SluiceError, match=rf"is compacted \(cleanup.policy={policy}\)"):
        require_uncompacted(event, policy, 2)
    require_uncompacted(event, "delete", 2)
    require_uncompacted(event, None, 2)


def test_limits_are_shared_so_that_all_runs_together_keep_to_them(
    event: Event, instance: dg.DagsterInstance, settings: Settings
) -> None:
    instance.event_log_storage.set_concurrency_slots(POOL, 4)
    limited = replace(event, limits=Limits(1_000, None, {"billing": LagLimit(50_000, 10_000)}))
    (config,) = {str(part.config) for part in parts_of(limited, instance, settings, processes=4)}
    assert config == str({"max_rows_per_second": 250, "max_lag": {"billing": 12_500}})
    asked = {"max_rows_per_second": 40, "max_bytes_per_second": 9_000, "max_lag": {"billing": 0}}
    (own, _) = parts_of(limited, instance, settings, **asked)  # type: ignore[arg-type]
    assert own.config == {
        "max_rows_per_second": 20,
        "max_bytes_per_second": 4_500,
        "max_lag": {"billing": 0},
    }, "what the run sets is shared, what it lifts stays lifted"
    with pytest.raises(SluiceError, match=r"cannot be shared by 2 processes \(max_rows_per_second: 1\)"):
        parts_of(event, instance, settings, max_rows_per_second=1)


def test_every_window_that_failed_is_named_many_of_them_as_ranges(event: Event) -> None:
    windows = event.windows.parse("2013-01")

    def named(failed: range) -> str:
        told = tuple(
            WindowOutcome(event.full_name, window.key, "failed" if day in failed or day == 30 else "backfill")
            for day, window in enumerate(windows, start=1)
        )
        return _listed(RunOutcome(event, "run", 1.0, told, "why", False))  # type: ignore[arg-type]

    assert named(range(3, 5)) == "2013-01-03, 2013-01-04, 2013-01-30"
    assert named(range(3, 25)) == "2013-01-03..2013-01-24, 2013-01-30"
