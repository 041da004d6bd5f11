"""A real PostgreSQL that ends the session at a random instant while it sends the rows."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resources.dev.servers.errors import ServerUnavailable
from tests.chaos import stages
from tests.chaos.arena import Arena, close, relaunched, settle
from tests.chaos.ground import Size
from tests.chaos.launch import PASSING
from tests.chaos.outcome import Outcome
from tests.chaos.witness import Asked
from tests.fixtures_postgres import PostgresServer, query, start_postgres, stop_postgres

NAME = "lost-connections"
PROMISE = (
    "a warehouse that ends the session in the middle of the rows: nothing is published of them, and all later"
)

_END = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = 'sluice' AND backend_type = 'client backend'"
)


def run(arena: Arena) -> Outcome:
    """One window for each point, of 30 MB:
    more than the network and the driver buffer between the server and the first batch."""
    outcome = Outcome(NAME, PROMISE)
    try:
        with _postgres() as server:
            _lose(arena, outcome, server)
    except ServerUnavailable as missing:
        outcome.left_out = str(missing)
    return outcome


def _lose(arena: Arena, outcome: Outcome, server: PostgresServer) -> None:
    import adbc_driver_postgresql.dbapi as driver

    count = arena.dose.lost_connections
    size = Size(windows=max(count, (arena.only or 0) + 1) + 1, rows=20_000, padding=1500)
    environ = {"SLUICE_BATCH_ROWS": "500", "SLUICE_TRANSACTION_ROWS": "5000"}
    ground = arena.ground(NAME, size, environ=environ)
    url = server.new_database()
    with driver.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("happenings", ground.table())
    warehouse = {"SLUICE_WAREHOUSE_DEFAULT": url}
    calm = size.windows - 1
    undisturbed = ground.launch(calm, more=warehouse)
    if undisturbed.wait() != 0:
        outcome.failures.append(f"an undisturbed launch ended with {undisturbed.code}: {undisturbed.said}")
    (usual,) = undisturbed.durations()[stages.SOURCING]
    stories, lost = {calm: [Asked(ground.rows(calm))]}, 0
    for point in arena.points(count):
        chance, replay = arena.chance(NAME, point), arena.replay(NAME, point)
        before = ground.witness.written()
        launched = ground.launch(point, more=warehouse)
        launched.reach(stages.SOURCING)
        time.sleep(chance.uniform(0, usual * 0.7))
        query(url, _END)
        if launched.wait() == PASSING:
            lost += 1
            if "connection" not in launched.said:
                outcome.failures.append(f"a lost connection is not called one: {launched.said} [{replay}]")
            if ground.witness.written() != before:
                outcome.failures.append(f"something was published of a part of the rows [{replay}]")
        relaunched(outcome, launched, lambda n=point: ground.launch(n, more=warehouse), replay)  # type: ignore[misc]
        stories[point] = [Asked(ground.rows(point))]
    settle(outcome, ground, stories, lambda n: arena.replay(NAME, n))
    if arena.only is None and not lost:
        outcome.failures.append("no session was ended in the middle of its rows, so nothing was shown")
    outcome.facts = {"sessions ended in the middle of the rows": f"{lost} of {count}"}
    close(outcome, ground)


@contextmanager
def _postgres() -> Iterator[PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="sluice-chaos-postgresql-"))
    try:
        server = start_postgres(folder)
        try:
            yield server
        finally:
            stop_postgres(server.process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
