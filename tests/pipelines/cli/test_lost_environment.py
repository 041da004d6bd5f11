"""A worker without its environment, in a tree in which somebody has started the embedded servers before."""

import json
import subprocess
from pathlib import Path

from tests.fixtures_servers import KafkaServer, RegistryServer
from tests.pipelines.cli.conftest import command, ends


def worker(tree: Path, environ: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*arguments), cwd=tree, env=environ, capture_output=True, text=True, timeout=240, check=False
    )


def test_it_publishes_nothing(
    tree: Path,
    servers: dict[str, str],
    embedded_broker: KafkaServer,
    embedded_registry: RegistryServer,
    tmp_path: Path,
) -> None:
    own = tree / ".sluice"
    own.mkdir()
    state = {
        "version": 1,
        "bootstrap_servers": embedded_broker.bootstrap,
        "registry_url": embedded_registry.url,
    }
    (own / "servers.json").write_text(json.dumps({**state, "servers": {}}))
    (own / "sample.duckdb").symlink_to(servers["SLUICE_WAREHOUSE_DEFAULT"].removeprefix("duckdb://"))
    before = ends(embedded_broker)  # other tests publish there too
    whole = {**servers, "DAGSTER_HOME": str(tmp_path), "PYTHONPATH": str(tree)}
    first = worker(tree, whole, "publish", "flight_cancelled", "2013-01-01")
    assert first.returncode == 0, first.stderr

    lost = {name: value for name, value in whole.items() if not name.startswith("SLUICE_")}
    refused = worker(tree, lost, "publish", "flight_cancelled", "2013-01-02")
    assert refused.returncode == 1 and "no Kafka is set" in refused.stderr, refused.stderr
    assert "Traceback" not in refused.stderr
    assert ends(embedded_broker) == before

    # A part of the environment is lost: another ledger would say that nothing was ever published.
    partly = {**whole, "SLUICE_LEDGER_TOPIC": "sluice.ledger2"}
    refused = worker(tree, partly, "publish", "flight_cancelled", "2013-01-01")
    assert refused.returncode == 1 and "ledger topic sluice.ledger2" in refused.stderr, refused.stderr
    (own / "servers.json").unlink()
    assert worker(tree, whole, "publish", "flight_cancelled", "2013-01-02").returncode == 0
