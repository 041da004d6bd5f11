"""Jobs and schedules over selections: which events, which windows, and the message of a wrong one."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import dagster as dg
import pytest

from pipelines import Catalogue, load_catalogue
from pipelines.orchestration.control import events_of
from pipelines.orchestration.definitions import jobs as jobs_module
from pipelines.orchestration.definitions.build import build_location
from pipelines.orchestration.definitions.jobs import build_jobs
from pipelines.orchestration.keys import STAGES, asset_key
from pipelines.selection.parser import parse
from resources.security.secrets import hide_all
from resources.settings.jobs import JobSetting
from tests.documents import ROOT, blocks

DAILY = "flights/flight_* or flights/carrier_day_closed"


@cache
def _catalogue() -> Catalogue:
    return load_catalogue()


@cache
def _repository(*jobs: JobSetting) -> dg.RepositoryDefinition:
    return build_location(_catalogue(), {}, jobs).get_repository_def()


def _jobs(repository: dg.RepositoryDefinition) -> dict[str, dg.JobDefinition]:
    return {job.name: job for job in repository.get_all_jobs() if not job.name.startswith("__")}


def _requested(job: JobSetting, now: datetime) -> list[tuple[str, str]]:
    (schedule,) = build_jobs(_catalogue(), [job]).schedules
    context = dg.build_schedule_context(scheduled_execution_time=now, repository_def=_repository(job))
    requests = schedule.evaluate_tick(context).run_requests or []
    return [((request.run_key or "").split("|")[0], request.partition_key or "") for request in requests]


def test_a_job_has_every_stage_of_the_selected_events_and_their_windows() -> None:
    repository = _repository(JobSetting("nightly", f"({DAILY}) and not flight_cancelled"))
    job = _jobs(repository)["nightly"]
    catalogue = _catalogue()
    names = ("flight_arrived", "flight_departed", "carrier_day_closed")
    assert job.asset_layer.executable_asset_keys & job.asset_layer.selected_asset_keys == {
        asset_key(catalogue.find(name), stage) for name in names for stage in STAGES
    }
    assert job.partitions_def is not None and job.partitions_def.get_first_partition_key() == "2013-01-01"
    assert [schedule.name for schedule in repository.schedule_defs if "nightly" in schedule.name] == []


def test_a_run_of_the_job_is_known_by_its_events() -> None:
    job = _jobs(_repository(JobSetting("nightly", DAILY)))["nightly"]
    run = dg.DagsterRun(job_name="nightly", run_id="r", tags=dict(job.run_tags))
    assert "flights/flight_departed" in events_of(run) and len(events_of(run)) == 4


def test_events_of_several_windows_are_a_job_each() -> None:
    jobs = _jobs(_repository(JobSetting("all", "*")))
    assert len(jobs) == len({(e.windows.cadence, e.windows.start, e.windows.end) for e in _catalogue()})
    assert all(name.startswith("all_") for name in jobs) and "all_hourly" in jobs


def test_a_tick_requests_the_windows_that_became_complete_since_the_one_before() -> None:
    nightly = JobSetting("nightly", "weather_observed or flight_departed", "0 6 * * *")
    hours = [("weather/weather_observed", f"2013-03-0{day}-{hour:02}:00") for day, hour in
             [(3, hour) for hour in range(6, 24)] + [(4, hour) for hour in range(6)]]  # fmt: skip
    found = _requested(nightly, datetime(2013, 3, 4, 6, tzinfo=UTC))
    assert found == [("flights/flight_departed", "2013-03-03"), *hours]
    often = JobSetting("often", "flight_departed", "*/15 * * * *")
    assert _requested(often, datetime(2013, 3, 4, 0, 0, tzinfo=UTC)) == [
        ("flights/flight_departed", "2013-03-03")
    ]
    assert _requested(often, datetime(2013, 3, 4, 0, 15, tzinfo=UTC)) == []
    assert _requested(often, datetime(2020, 3, 4, 0, 0, tzinfo=UTC)) == []


def test_no_window_is_left_out_or_requested_twice_over_many_ticks() -> None:
    found: list[tuple[str, str]] = []
    for day in range(1, 11):
        job = JobSetting("nightly", "weather_observed", "30 5 * * *")
        found += _requested(job, datetime(2013, 1, day, 5, 30, tzinfo=UTC))
    expected = _catalogue().find("weather_observed").windows.between("2013-01-01-00:00", "2013-01-10-04:00")
    keys = [key for _, key in found]
    assert keys == [window.key for window in expected if window.key in keys]
    assert {window.key for window in expected} == set(keys)


@pytest.mark.parametrize(
    ("job", "told"),
    [
        (JobSetting("late", "state:late"), "uses state:"),
        (JobSetting("typo", "fligts/*"), "did you mean flights/*?"),
        (JobSetting("typo", "flights/* an x"), "did you mean 'and'?"),
        (JobSetting("typo", "flight_departd"), "did you mean 'flight_departed'?"),
        (JobSetting("ticks", "flights/*", "at six"), "is not a cron line"),
        (JobSetting("import", "flight_departed"), "'import' cannot be the name of a job"),
        (JobSetting("config", "flight_departed", "0 6 * * *"), "Dagster reserves it"),
    ],
)
def test_a_wrong_job_is_an_asset_in_error_and_the_others_load(job: JobSetting, told: str) -> None:
    definitions = build_location(_catalogue(), {}, [job, JobSetting("good", "flights/*", "0 6 * * *")])
    repository = definitions.get_repository_def()
    assert any(name.startswith("good") for name in _jobs(repository))
    assert "good_schedule" in {schedule.name for schedule in repository.schedule_defs}
    specs = [spec for spec in definitions.resolve_all_asset_specs() if "error" in spec.kinds]
    (spec,) = specs
    assert told in (spec.description or "") and f"jobs_{job.name}" in spec.key.to_user_string()
    assert {schedule.name for schedule in repository.schedule_defs} >= {"daily", "hourly"}


def test_a_job_that_only_dagster_refuses_is_an_asset_in_error_and_the_others_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs_module, "_check_name", lambda _one, _name: None)
    bad = [JobSetting("None", "flight_departed"), JobSetting("type", "flight_arrived", "0 6 * * *")]
    good = [JobSetting("first", "flight_departed"), JobSetting("last", "flight_departed", "0 6 * * *")]
    definitions = build_location(_catalogue(), {}, [good[0], *bad, good[1]])
    repository = definitions.get_repository_def()
    assert {"first", "last"} <= set(_jobs(repository)) and not {"None", "type"} & set(_jobs(repository))
    schedules = {schedule.name for schedule in repository.schedule_defs}
    assert "last_schedule" in schedules and "type_schedule" not in schedules
    specs = [spec for spec in definitions.resolve_all_asset_specs() if "error" in spec.kinds]
    assert len(specs) == 2 and all("Dagster refuses the job" in (spec.description or "") for spec in specs)


def test_a_reserved_name_is_allowed_where_the_jobs_names_are_longer() -> None:
    found = build_jobs(_catalogue(), [JobSetting("import", "flight_departed or weather_observed")])
    assert {job.name for job in found.jobs} == {"import_daily", "import_hourly"} and not found.broken


def test_two_jobs_of_one_name_are_one_in_error() -> None:
    found = build_jobs(
        _catalogue(),
        [JobSetting("a_daily", "flight_departed"), JobSetting("a", "flight_departed or weather_observed")],
    )
    assert [job.name for job in found.jobs] == ["a_daily"]
    assert "makes the job a_daily" in found.broken["sluice.toml [jobs.a]"]


def test_the_settings_file_declares_jobs(tmp_path: Path) -> None:
    from resources.settings import SettingsError, load_settings

    file = tmp_path / "sluice.toml"
    environ = {"SLUICE_TOML": str(file), "SLUICE_HOME": str(tmp_path)}

    def jobs(text: str) -> tuple[JobSetting, ...]:
        file.write_text(text)
        return load_settings(environ).jobs

    assert jobs('[jobs.nightly]\nselect = "tag:nightly"\ncron = "0 6 * * *"\n[jobs.all]\nselect = "*"\n') == (
        JobSetting("nightly", "tag:nightly", "0 6 * * *"),
        JobSetting("all", "*"),
    )
    assert jobs("") == ()
    (example,) = blocks(ROOT / "docs/selections.md", "toml")
    (declared,) = jobs(example.text)
    assert declared.cron == "0 6 * * *" and str(parse(declared.select)) == declared.select
    # The selection of a job is not a secret: an error shows it.
    assert hide_all("tag:nightly 0 6 * * *") == "tag:nightly 0 6 * * *"
    for text, told in (
        ("jobs = 3", "jobs is not a table"),
        ("[jobs]\nnightly = 3", "is not a table"),
        ("[jobs.nightly]", "has no select"),
        ('[jobs.nightly]\nselekt = "a"', "Did you mean"),
        ("[jobs.nightly]\nselect = 3", "is not text"),
        ('[jobs.nightly]\nselect = " "', "is not text"),
        ('[jobs.nightly]\nselect = "a"\ncron = 5', "cron=5 is not text"),
        ('[jobs.a__b]\nselect = "a"', "cannot be the name of a job"),
        ('[jobs."a b"]\nselect = "a"', "cannot be the name of a job"),
    ):
        with pytest.raises(SettingsError, match=told):
            jobs(text)
