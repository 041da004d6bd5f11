"""Schedules tick when windows become complete, and ask for the newest complete one of each event."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from pipelines import load_catalogue
from pipelines.orchestration.build import build_definitions
from pipelines.orchestration.schedules import build_schedules, cron_of


@pytest.mark.parametrize(
    ("cadence", "delay", "cron"),
    [
        ("hourly", timedelta(), "0 * * * *"),
        ("hourly", timedelta(minutes=75), "15 * * * *"),
        ("daily", timedelta(), "0 0 * * *"),
        ("daily", timedelta(hours=30), "0 6 * * *"),
        ("weekly", timedelta(), "0 0 * * 1"),
        ("weekly", timedelta(days=6), "0 0 * * 0"),
        ("monthly", timedelta(days=2, hours=3), "0 3 3 * *"),
        # The 31st does not come every month.
        ("monthly", timedelta(days=30), "0 0 * * *"),
    ],
)
def test_cron_follows_the_delay(cadence: str, delay: timedelta, cron: str) -> None:
    assert cron_of(cadence, delay) == cron


def test_a_tick_requests_the_newest_complete_window_of_every_event_of_its_group() -> None:
    catalogue = load_catalogue()
    repository = build_definitions(catalogue).get_repository_def()
    now = datetime(2013, 3, 4, 6, tzinfo=UTC)
    requested: dict[str, str] = {}
    for schedule in build_schedules(catalogue.events.values()):
        context = dg.build_schedule_context(scheduled_execution_time=now, repository_def=repository)
        for request in schedule.evaluate_tick(context).run_requests or []:
            assert request.partition_key is not None
            assert request.run_key is not None
            requested[request.run_key.split("|")[0]] = request.partition_key
    assert requested == {
        event.full_name: window.key
        for event in catalogue.events.values()
        if (window := event.windows.last_complete(now)) is not None
    }
    assert requested["flights/flight_departed"] == "2013-03-03"
    assert requested["weather/weather_observed"] == "2013-03-04-05:00"


def test_one_schedule_per_cadence_and_delay_not_per_event() -> None:
    events = list(load_catalogue().events.values())
    schedules = build_schedules(events)
    assert len(schedules) == len({(event.windows.cadence, event.windows.delay) for event in events})
    assert len({schedule.name for schedule in schedules}) == len(schedules)
