"""A team's project, as the team has it: the wheel in an environment of its own, `sluice init` in an empty folder, an event
of its own over a file of its own, real servers."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import duckdb
import pytest

from tests.fixtures_servers import KafkaServer, RegistryServer

pytestmark = pytest.mark.slow

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(installed: Path, kafka: KafkaServer, apicurio: RegistryServer) -> Run:
    """Runs a program of that environment, with a Kafka and a registry in it and nobody's settings."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SLUICE_", "DAGSTER_", "PYTHON"))
    }
    environ = clean | {
        "PATH": f"{installed}{os.pathsep}{clean['PATH']}",
        "NO_COLOR": "1",
        "SLUICE_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "SLUICE_REGISTRY_URL": apicurio.url,
        "SLUICE_CREATE_TOPICS": "true",
        "SLUICE_REGISTER_CONTRACTS": "true",
        # The servers are shared with other tests.
        "SLUICE_LEDGER_TOPIC": f"sluice.ledger.{uuid4().hex[:8]}",
    }

    def run(folder: Path, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(installed / program), *arguments]
        told = subprocess.run(
            command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=300
        )
        assert "Traceback" not in told.stderr, told.stderr
        return told

    return run


def test_a_new_project_publishes_an_event_of_its_own(run: Run, tmp_path: Path) -> None:
    project, elsewhere = tmp_path / "shop-events", tmp_path / "elsewhere"
    elsewhere.mkdir()
    # Neither a package of this name in the working directory nor another project there is taken for the project.
    (elsewhere / "assets").mkdir()
    assert run(tmp_path, "sluice", "init", project.name).returncode == 0
    with duckdb.connect(str(project / "shop.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE orders AS SELECT 'o' || i AS order_id, i * 1.5::DECIMAL(9, 2) AS amount, "
            "TIMESTAMPTZ '2024-01-01 00:00+00' + INTERVAL (i * 13) MINUTE AS placed_at FROM range(300) t(i)"
        )
    with (project / "sluice.toml").open("a") as settings:
        settings.write('\n[warehouse]\ndefault = "duckdb://shop.duckdb"\n')

    topic = f"shop.order-placed-{uuid4().hex[:8]}.v1"
    drafted = run(
        project / "tests",
        "sluice",
        "new",
        "order_placed",
        "--domain",
        "shop",
        "--table",
        "orders",
        "--key",
        "order_id",
    )
    assert "Wrote assets/shop/order_placed.py and assets/shop/order_placed.avsc" in drafted.stdout, (
        drafted.stderr
    )
    for path in (project / "assets" / "shop").glob("order_placed.*"):
        path.write_text(path.read_text().replace("TODO", "Said").replace("shop.order-placed.v1", topic))

    # From a subfolder, and from anywhere.
    published = run(
        project / "assets" / "shop", "sluice", "publish", "order_placed", "2024-01-01..2024-01-02"
    )
    assert "222 events published" in published.stdout, published.stdout + published.stderr
    again = run(project, "sluice", "publish", "order_placed", "2024-01-01..2024-01-02")
    assert "Nothing was published" in again.stdout, again.stdout + again.stderr
    assert (project / ".sluice" / "snapshots").is_dir() and not (
        project / "assets" / "shop" / ".sluice"
    ).exists()

    tested = run(project, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert tested.returncode == 0 and "3 passed" in tested.stdout, tested.stdout

    # What Dagster loads knows its project by its own place.
    keys = run(
        elsewhere,
        "python",
        "-W",
        "ignore",
        "-c",
        "import json, runpy, sys; defs = runpy.run_path(sys.argv[1])['defs']; "
        "print(json.dumps([key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()]))",
        str(project / "definitions.py"),
    )
    found = json.loads(keys.stdout.splitlines()[-1])
    assert "shop/order_placed/order_placed_published" in found and not [
        key for key in found if "flight" in key
    ]
