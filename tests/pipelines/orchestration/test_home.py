"""The dagster.yaml that Sluice writes: created, updated if nobody changed it, and otherwise never touched."""

import re
from hashlib import sha256
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher import DefaultRunLauncher

from pipelines.orchestration import home
from pipelines.orchestration.home import prepare_home
from pipelines.orchestration.liveness.launcher import knows_heartbeats
from pipelines.orchestration.liveness.run_monitoring import monitoring_advice, monitoring_problem, wrapped
from resources.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DAGSTER_HOME", "")
    return load_settings({"SLUICE_HOME": str(tmp_path)})


def test_what_is_written_finds_lost_runs_and_leaves_the_others_alone(settings: Settings) -> None:
    with dg.DagsterInstance.from_config(str(prepare_home(settings))) as instance:
        assert isinstance(instance.run_launcher, DefaultRunLauncher)
        assert knows_heartbeats(type(instance.run_launcher))
        assert instance.run_monitoring_poll_interval_seconds <= 30
        assert monitoring_problem(instance) is None
        assert monitoring_advice(instance) is None


def test_the_name_of_the_launcher_in_a_dagster_yaml_of_an_operator_stays(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(
        "run_launcher:\n  module: pipelines.orchestration.launcher\n  class: SluiceRunLauncher\n"
    )
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert knows_heartbeats(type(instance.run_launcher))
    assert "  module: pipelines.orchestration.launcher\n" in home._DAGSTER_YAML
    assert "  module: pipelines.orchestration.launcher\n" in wrapped(None)


def test_what_a_version_before_wrote_is_replaced(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    before = re.sub(
        r"(?m)^(# Dagster's own|run_launcher|  module|  class|  poll_interval).*\n", "", home._DAGSTER_YAML
    )
    assert sha256(before.encode()).hexdigest() in home._WRITTEN_BEFORE
    written = prepare_home(settings) / "dagster.yaml"
    written.write_text(before)
    monkeypatch.setenv("DAGSTER_HOME", "")
    prepare_home(settings)
    assert written.read_text() == home._DAGSTER_YAML


def test_what_an_operator_changed_stays_and_the_advice_says_what_to_add(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = prepare_home(settings) / "dagster.yaml"
    written.write_text("telemetry:\n  enabled: false\n")
    monkeypatch.setenv("DAGSTER_HOME", "")
    folder = prepare_home(settings)
    assert written.read_text() == "telemetry:\n  enabled: false\n"
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        advice = monitoring_advice(instance)
    assert advice is not None
    written.write_text(written.read_text() + advice.partition(":\n\n")[2] + "\n")
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        assert monitoring_advice(instance) is None


def test_a_home_that_is_given_is_the_operators(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "own"))
    assert not (prepare_home(settings) / "dagster.yaml").exists()
