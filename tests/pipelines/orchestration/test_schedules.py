"""Schedules tick when windows become complete, and request the newest complete one of each event."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from pipelines import Windows, load_catalogue
from pipelines.orchestration.definitions.build import build_definitions
from pipelines.orchestration.definitions.schedules import build_schedules, cron_of


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
        # Not every month has a 31st.
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


@pytest.mark.parametrize(
    ("days_after_the_end", "requested"), [(0, ["2013-12-31"]), (1, []), (2, []), (5_000, [])]
)
def test_an_event_whose_windows_ended_is_not_asked_for_again(
    days_after_the_end: int, requested: list[str]
) -> None:
    event = load_catalogue().find("flights/flight_departed")
    end = datetime(2014, 1, 1, tzinfo=UTC)
    delay = timedelta(hours=3)
    ended = replace(event, windows=Windows("daily", event.windows.start, end, delay))
    (schedule,) = build_schedules([ended])
    repository = build_definitions(load_catalogue()).get_repository_def()
    now = end + delay + timedelta(days=days_after_the_end)
    context = dg.build_schedule_context(scheduled_execution_time=now, repository_def=repository)
    tick = schedule.evaluate_tick(context)
    assert [request.partition_key for request in tick.run_requests or []] == requested
    assert requested or "a backfill publishes them" in (tick.skip_message or "")


def test_an_end_in_the_last_year_that_dates_have_is_ahead() -> None:
    event = load_catalogue().find("flights/flight_departed")
    far = replace(event, windows=Windows("daily", event.windows.start, datetime(9999, 12, 31, tzinfo=UTC)))
    (schedule,) = build_schedules([far])
    repository = build_definitions(load_catalogue()).get_repository_def()
    now = datetime(2013, 3, 4, tzinfo=UTC)
    context = dg.build_schedule_context(scheduled_execution_time=now, repository_def=repository)
    (request,) = schedule.evaluate_tick(context).run_requests or []
    assert request.partition_key == "2013-03-03"


def test_an_event_whose_window_cannot_be_told_does_not_stop_the_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = load_catalogue()
    events = [catalogue.find(name) for name in ("flights/flight_departed", "flights/flight_cancelled")]
    real = Windows.last_complete

    def last_complete(self: Windows, now: datetime) -> object:
        if self.delay == timedelta(minutes=1):
            raise OverflowError("date value out of range")
        return real(self, now)

    monkeypatch.setattr(Windows, "last_complete", last_complete)
    broken = replace(events[0], windows=replace(events[0].windows, delay=timedelta(minutes=1)))
    repository = build_definitions(catalogue).get_repository_def()
    now = datetime(2013, 3, 4, 6, tzinfo=UTC)
    for group, requested in (
        ([broken, replace(events[1], windows=broken.windows)], []),
        ([broken, events[1]], ["2013-03-03"]),
    ):
        found = []
        for schedule in build_schedules(group):
            context = dg.build_schedule_context(scheduled_execution_time=now, repository_def=repository)
            tick = schedule.evaluate_tick(context)
            found += [request.partition_key for request in tick.run_requests or []]
            if not tick.run_requests:
                assert "not requested: flights/flight_departed: OverflowError" in (tick.skip_message or "")
        assert found == requested
