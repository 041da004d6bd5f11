"""A separate project for each test:
real Apache Kafka, real Apicurio, the sample warehouse, a fresh Dagster home."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest

from pipelines import Catalogue, load_catalogue
from pipelines.orchestration.launch import Launched, dagster_instance, launch, limit_warehouses
from resources.dev.sample import build_sample_warehouse
from resources.settings import Settings, load_settings
from tests.acceptance.outsiders import Outsider
from tests.fixtures_servers import KafkaServer, RegistryServer


@dataclass
class Project:
    """An installation: its settings are in `environ`, as an operator would set them."""

    home: Path
    environ: dict[str, str]
    settings: Settings
    catalogue: Catalogue
    instance: dg.DagsterInstance
    outsider: Outsider

    def backfill(self, event: str, windows: str, **more: object) -> Launched:
        """One run over a range of an event's windows, in this process."""
        found = self.catalogue.find(event)
        asked = found.windows.parse(windows)
        done = launch(found, asked, self.instance, catalogue=self.catalogue, **more)  # type: ignore[arg-type]
        if done.failures:
            print(self.failures(done.run_id))
        return done

    def failures(self, run_id: str) -> str:
        """Errors of a run with their causes, for the reader of a failed test."""
        records = self.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        errors = [r.dagster_event.step_failure_data.error for r in records if r.dagster_event]
        return "\n".join(error.to_string() for error in errors if error)


@pytest.fixture(scope="session")
def sample_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_sample_warehouse(tmp_path_factory.mktemp("warehouse") / "sample.duckdb")


@pytest.fixture
def project(
    kafka: KafkaServer, apicurio: RegistryServer, sample_warehouse: Path, tmp_path: Path
) -> Iterator[Project]:
    with installed(kafka, apicurio, sample_warehouse, tmp_path) as found:
        yield found


@contextmanager
def installed(
    kafka: KafkaServer, apicurio: RegistryServer, warehouse: Path, folder: Path
) -> Iterator[Project]:
    """A project in `folder`; in the block, the process has its operator's environment."""
    ours = uuid4().hex[:8]
    environ = {
        "SLUICE_HOME": str(folder / "home"),
        "SLUICE_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "SLUICE_REGISTRY_URL": apicurio.url,
        "SLUICE_WAREHOUSE_DEFAULT": f"duckdb://{warehouse}",
        "SLUICE_SAMPLES": "true",
        "SLUICE_CREATE_TOPICS": "true",
        "SLUICE_REGISTER_CONTRACTS": "true",
        # Tests share the broker: with its own ledger, a test knows nothing of what other tests published.
        "SLUICE_LEDGER_TOPIC": f"sluice.ledger.{ours}",
        "SLUICE_LEDGER_PARTITIONS": "4",
        "SLUICE_CODE_LOCATION": f"acceptance-{ours}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("SLUICE_", "DAGSTER_"))]:
            if name != "SLUICE_REQUIRE_SERVERS":
                patch.delenv(name)
        for name, value in environ.items():
            patch.setenv(name, value)
        # The platform sets it for its child processes; it is removed after the test.
        patch.setenv("DAGSTER_HOME", "")
        settings, catalogue = load_settings(), load_catalogue()
        with dagster_instance(settings) as instance:
            limit_warehouses(instance, catalogue)
            environ["DAGSTER_HOME"] = os.environ["DAGSTER_HOME"]
            outsider = Outsider(kafka.bootstrap, apicurio.url)
            yield Project(folder / "home", environ, settings, catalogue, instance, outsider)
