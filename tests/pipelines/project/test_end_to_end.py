"""A team's project, as the team has it: the wheel in a separate environment, `sluice init` in an empty
folder, the team's own event over its own file, real servers."""

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
def run(installed: Path) -> Run:
    """Runs a program of that environment, without anybody's settings."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SLUICE_", "DAGSTER_", "PYTHON"))
    }
    environ = clean | {
        "PATH": f"{installed}{os.pathsep}{clean['PATH']}",
        "NO_COLOR": "1",
    }

    def run(folder: Path, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(installed / program), *arguments]
        told = subprocess.run(
            command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=300
        )
        assert "Traceback" not in told.stderr, told.stderr
        return told

    return run


def test_a_new_project_publishes_an_event_of_its_own_in_two_environments(
    run: Run, kafka: KafkaServer, apicurio: RegistryServer, tmp_path: Path
) -> None:
    project, elsewhere = tmp_path / "shop-events", tmp_path / "elsewhere"
    elsewhere.mkdir()
    # Neither a package of this name in the working directory
    # nor another project there is mistaken for the project.
    (elsewhere / "assets").mkdir()
    assert run(tmp_path, "sluice", "init", project.name).returncode == 0
    with duckdb.connect(str(project / "shop.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE orders AS SELECT 'o' || i AS order_id, i * 1.5::DECIMAL(9, 2) AS amount, "
            "TIMESTAMPTZ '2024-01-01 00:00+00' + INTERVAL (i * 13) MINUTE AS placed_at FROM range(300) t(i)"
        )
    with (project / "sluice.toml").open("a") as settings:
        settings.write('\n[warehouse]\ndefault = "duckdb://shop.duckdb"\n')
        for name in ("stage", "prod"):
            # The servers are shared, between the environments and with other tests.
            settings.write(
                f'\n[env.{name}]\ntopic_prefix = "{name}-{uuid4().hex[:8]}."\ncreate_topics = true\nregister_contracts = true\n'
                f'[env.{name}.kafka]\n"bootstrap.servers" = "{kafka.bootstrap}"\n'
                f'[env.{name}.registry]\nurl = "{apicurio.url}"\n'
            )

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
        path.write_text(path.read_text().replace("TODO", "Said"))

    wanted = ("publish", "order_placed", "2024-01-01..2024-01-02")
    for name, folder in (("stage", project / "assets" / "shop"), ("prod", project / "tests")):
        published = run(folder, "sluice", "--env", name, *wanted)
        assert "222 events published" in published.stdout, published.stdout + published.stderr
    again = run(project, "sluice", "--env", "stage", *wanted)
    assert "Nothing was published" in again.stdout, again.stdout + again.stderr
    assert sorted(path.name for path in (project / ".sluice" / "environments").iterdir()) == ["prod", "stage"]
    assert not (project / "assets" / "shop" / ".sluice").exists()

    tested = run(project, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert tested.returncode == 0 and "3 passed" in tested.stdout, tested.stdout

    # Dagster finds the project by the place of the file that it loads.
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
