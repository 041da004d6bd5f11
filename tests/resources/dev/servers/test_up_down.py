"""`up`, `down` and `status` on one home, as people use them during a day."""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from resources.dev.servers import OtherKindRunning, ServerFailed, Servers, down, status, up
from resources.dev.servers.process import spawn
from resources.dev.servers.server import recorded_process
from resources.registry import ConfluentRegistry

SCHEMA = '{"type":"record","name":"R","fields":[]}'


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    # With a space in it, as many a home has.
    folder = tmp_path / "my home"
    yield folder
    down(folder)


def states(home: Path) -> dict[str, str]:
    return {server.role: server.state for server in status(home)}


def pids(servers: Servers) -> tuple[int | None, int | None]:
    return servers.kafka.pid, servers.registry.pid


def topics(servers: Servers) -> set[str]:
    admin = AdminClient({"bootstrap.servers": servers.bootstrap})
    return set(admin.list_topics(timeout=60).topics)


def test_a_home_where_nothing_was_started(home: Path) -> None:
    assert status(home) == []
    assert down(home) == []
    assert not home.exists(), "looking must leave no traces"


def test_what_was_written_is_there_after_down_and_up_at_the_same_addresses(home: Path) -> None:
    first = up(home)
    assert states(home) == {"kafka": "running", "registry": "running"}
    admin = AdminClient({"bootstrap.servers": first.bootstrap})
    admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(60)
    registry = ConfluentRegistry({"url": first.registry_url})
    schema_id = registry.register("kept-value", SCHEMA)
    registry.close()

    assert {server.role for server in down(home)} == {"kafka", "registry"}
    assert states(home) == {"kafka": "stopped", "registry": "stopped"}

    again = up(home)
    assert (again.bootstrap, again.registry_url) == (first.bootstrap, first.registry_url)
    assert "kept" in topics(again)
    registry = ConfluentRegistry({"url": again.registry_url})
    assert registry.lookup("kept-value", SCHEMA) == schema_id
    registry.close()


def test_up_twice_keeps_the_running_servers(home: Path) -> None:
    assert pids(up(home)) == pids(up(home))


def test_two_ups_at_once_start_one_pair(home: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(up, [home, home])
    assert pids(first) == pids(second)


def test_the_settings_find_the_addresses_while_the_servers_run(home: Path) -> None:
    servers = up(home)
    state = json.loads((home / "servers.json").read_text())
    assert (state["bootstrap_servers"], state["registry_url"]) == (servers.bootstrap, servers.registry_url)
    down(home)
    assert "bootstrap_servers" not in json.loads((home / "servers.json").read_text())


def test_a_server_that_died_is_told_and_started_again(home: Path) -> None:
    first = up(home)
    assert first.registry.pid is not None
    os.kill(first.registry.pid, signal.SIGKILL)
    wait_until(lambda: states(home)["registry"] == "dead")
    said: list[str] = []
    second = up(home, progress=said.append)
    assert any("registry had ended by itself" in line for line in said)
    assert second.kafka.pid == first.kafka.pid
    assert second.registry.pid != first.registry.pid
    assert second.registry_url == first.registry_url


def test_a_port_that_a_stranger_took_meanwhile_is_left_to_it(home: Path) -> None:
    first = up(home)
    down(home)
    port = int(first.bootstrap.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        said: list[str] = []
        second = up(home, progress=said.append)
        assert second.bootstrap != first.bootstrap
        assert any(f"port {port} is taken" in line for line in said)
        assert "kept" not in topics(second)


def test_two_homes_do_not_meet(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    first = up(home)
    try:
        second = up(other)
        assert {first.bootstrap, first.registry_url}.isdisjoint({second.bootstrap, second.registry_url})
        down(home)
        assert states(other) == {"kafka": "running", "registry": "running"}
    finally:
        down(other)


def test_down_leaves_a_recycled_pid_alone(home: Path, tmp_path: Path) -> None:
    up(home)
    down(home)
    stranger = spawn(
        [sys.executable, "-c", "import time; time.sleep(60)"], folder=tmp_path, log=tmp_path / "log", env={}
    )
    try:
        state_file = home / "servers.json"
        state = json.loads(state_file.read_text())
        # As if our broker had ended and the system had given its number to another program.
        state["servers"]["kafka"] |= {"pid": stranger.pid, "start_mark": "another boot/1"}
        state_file.write_text(json.dumps(state))
        assert states(home)["kafka"] == "dead"
        assert down(home) == []
        assert stranger.is_alive()
    finally:
        stranger.kill()


def test_another_kind_is_not_started_beside_the_running_one(home: Path) -> None:
    servers = up(home)
    with pytest.raises(OtherKindRunning, match="sluice down"):
        up(home, "apache")
    assert pids(up(home)) == pids(servers)


def test_a_damaged_state_file_does_not_stand_in_the_way(home: Path) -> None:
    first = up(home)
    (home / "servers.json").write_text('{"version": 1, "serv')
    # The folders name the processes, so the running servers are replaced, not started twice.
    second = up(home)
    assert first.kafka.pid is not None
    kafka = recorded_process(second.kafka.folder)
    assert kafka is not None and kafka.pid == second.kafka.pid
    assert first.kafka.pid != second.kafka.pid
    assert not Path(f"/proc/{first.kafka.pid}").exists()


def test_a_server_that_cannot_start_shows_the_end_of_its_log(home: Path) -> None:
    registry = home / "servers" / "registry-embedded" / "registry.sqlite"
    registry.parent.mkdir(parents=True)
    registry.write_text("this is not a database, and long enough to be sure of it" * 20)
    with pytest.raises(ServerFailed, match="file is not a database") as failure:
        up(home)
    assert failure.value.log.exists()
    assert states(home) == {"kafka": "running"}


@pytest.mark.kafka
@pytest.mark.usefixtures("real_kafka")
def test_the_real_kafka_keeps_its_data_too_even_on_other_ports(home: Path) -> None:
    first = up(home, "apache")
    admin = AdminClient({"bootstrap.servers": first.bootstrap})
    admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(60)
    down(home)
    # Other ports this time, also the controller's: the data must not depend on them.
    with socket.create_server(("127.0.0.1", int(first.bootstrap.rpartition(":")[2]))):
        again = up(home, "apache")
    assert again.bootstrap != first.bootstrap
    assert "kept" in topics(again)


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.05)
