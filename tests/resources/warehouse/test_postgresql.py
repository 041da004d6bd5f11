"""Only PostgreSQL: one order with every collation and time zone,
one snapshot, faults of the server and of the network."""

import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from resources.errors import SluiceError, TransientError
from resources.security.masking import secrets_of
from resources.security.secrets import learn
from resources.warehouse import TookTooLong, Warehouse, WarehouseError
from resources.warehouse.postgresql import session
from resources.warehouse.postgresql.errors import Explainer
from tests.fixtures_postgres import PostgresServer, execute, query
from tests.resources.warehouse.conftest import opened, taken
from tests.resources.warehouse.cutting import cutting

LONG = "SELECT i, repeat('x', 100) AS s FROM generate_series(1, 3000000) AS g(i)"


@pytest.fixture
def url(postgresql_url: str) -> str:
    return postgresql_url


@pytest.fixture
def erp(url: str) -> Iterator[Warehouse]:
    with closing(opened(url)) as made:
        yield made


# Pairs that may compare equal but are not the same: only a total order keeps their order fixed.
_TRAPS = {
    "n numeric": ("1.0", "1.00", "-3", "10"),
    "f float8": ("0.0", "'-0.0'", "'NaN'", "1e9"),
    "r float4": ("0.0", "'-0.0'", "1"),
    "c char(3)": ("'a'", "'B'", "'ä'"),
    "b bpchar": ("'a'", "'a '", "'A'"),
    "t text": ("'a'", "'B'", "'ä'", "'Z'", "'a b'", "'ab'"),
    "j json": ("""'{"a":1}'""", """'{"a": 1}'"""),
    "k jsonb": ("""'{"a":1.0}'""", """'{"a":1.00}'"""),
    "x xml": ("'<a/>'", "'<a></a>'"),
    "ta text[]": ("'{a,B}'", "'{B,a}'", "'{}'"),
    "fa float8[]": (
        "'{0}'",
        "'{-0}'",
        "'{NULL}'",
        "'{0.1}'",
        "'{0.10000000000000002}'",
        "'{0.10000000000000003}'",
    ),
    "m mood": ("'sad'", "'happy'"),
    "at timestamptz": ("'2013-01-01 00:00+00'", "'2013-06-01 00:00+00'"),
}


def _rows() -> list[str]:
    rows = []
    for place, options in enumerate(_TRAPS.values()):
        for option in ("NULL", *options):
            cells = [next(iter(own)) for own in _TRAPS.values()]
            cells[place] = option
            rows.append(f"({', '.join(cells)})")
    return rows


def test_the_order_is_the_same_under_every_collation_zone_and_history(postgres: PostgresServer) -> None:
    found = []
    shuffled = random.Random(7)
    for options, setting in (
        ("LOCALE 'C.UTF-8' TEMPLATE template0", "TimeZone = 'America/New_York'"),
        (
            "LOCALE_PROVIDER icu ICU_LOCALE 'sv-SE' LOCALE 'C.UTF-8' TEMPLATE template0",
            "DateStyle = 'German'",
        ),
        (
            "LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8' TEMPLATE template0",
            "extra_float_digits = -5",
        ),
    ):
        url = postgres.new_database(options)
        rows = _rows()
        shuffled.shuffle(rows)
        execute(
            url,
            f"ALTER DATABASE {url.rpartition('/')[2]} SET {setting};"
            "CREATE TYPE mood AS ENUM ('happy', 'sad');"
            f"CREATE TABLE traps ({', '.join(_TRAPS)}); INSERT INTO traps VALUES {', '.join(rows)}",
        )
        with closing(opened(url)) as warehouse:
            # Compared by the text of every row, because in Python -0.0 == 0.0.
            found.append(
                [str(row) for row in taken(warehouse, "SELECT * FROM traps", order_by=("at",)).to_pylist()]
            )
    assert found[0] == found[1] == found[2]
    assert (
        len(set(found[0])) == len(_rows()) - len(_TRAPS) + 1
    )  # each column adds the row of first options once


def test_every_row_is_of_one_read_only_snapshot_under_our_name(erp: Warehouse) -> None:
    told = taken(
        erp,
        "SELECT current_setting('transaction_isolation') AS isolation, current_setting('transaction_read_only') AS ro,"
        " current_setting('application_name') AS app, current_setting('TimeZone') AS zone",
    ).to_pylist()
    assert told == [{"isolation": "repeatable read", "ro": "on", "app": "sluice", "zone": "UTC"}]
    with pytest.raises(WarehouseError, match="read-only"):
        taken(erp, "SELECT i FROM t FOR UPDATE")


def test_a_name_in_the_url_is_kept(url: str) -> None:
    with closing(opened(f"{url}?application_name=nightly")) as warehouse:
        assert taken(warehouse, "SELECT current_setting('application_name') AS a").to_pylist() == [
            {"a": "nightly"}
        ]


def test_no_timeout_of_the_server_cuts_a_long_stream(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    execute(url, f"ALTER DATABASE {url.rpartition('/')[2]} SET statement_timeout = '200ms'")
    with closing(opened(url)) as warehouse:
        slow = "SELECT i, pg_sleep(0.005)::text AS s FROM generate_series(1, 100) AS g(i)"
        assert taken(warehouse, slow).num_rows == 100


def test_waiting_for_a_lock_ends_as_a_fault_that_may_pass(
    url: str, erp: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_BEGIN", session._BEGIN.replace("'30s'", "'200ms'"))
    import adbc_driver_postgresql.dbapi as driver

    with driver.connect(url, autocommit=True) as altering, altering.cursor() as cursor:
        cursor.executescript("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(TransientError, match="lock"):
            taken(erp, "SELECT i FROM t")
        cursor.executescript("ROLLBACK")
    assert taken(erp, "SELECT i FROM t").num_rows == 24


def _end(url: str, function: str) -> None:
    """Let the server end (or cancel) what Sluice runs."""
    ended = query(
        url,
        f"SELECT {function}(pid) AS done FROM pg_stat_activity"
        " WHERE application_name = 'sluice' AND datname = current_database() AND backend_type = 'client backend'",
    )
    assert ended, "nothing of Sluice's runs there"


@pytest.mark.parametrize(
    ("function", "kind", "told"),
    [
        ("pg_terminate_backend", TransientError, "the connection was lost"),
        ("pg_cancel_backend", WarehouseError, "cancelled at the server"),
    ],
)
def test_a_session_ended_in_the_middle_of_the_rows(
    url: str, erp: Warehouse, function: str, kind: type[SluiceError], told: str
) -> None:
    rows = 0
    with (
        pytest.raises(kind, match=told) as caught,
        erp.stream(LONG, {}, order_by=["i"], batch_rows=1000) as batches,
    ):
        for batch in batches:
            if not rows:
                _end(url, function)
            rows += batch.num_rows
    assert 0 < rows < 3_000_000
    assert caught.value.__suppress_context__
    assert caught.value.next_step
    assert taken(erp, "SELECT 1 AS one").num_rows == 1


def test_a_query_that_somebody_else_cancels_did_not_take_too_long(erp: Warehouse) -> None:
    with erp.within(60), pytest.raises(WarehouseError, match="cancelled at the server") as caught:
        taken(erp, "SELECT pg_cancel_backend(pg_backend_pid()) AS done, pg_sleep(60)::text AS x")
    assert not isinstance(caught.value, TookTooLong)


def test_an_idle_session_that_the_server_ended_is_replaced(url: str, erp: Warehouse) -> None:
    assert taken(erp, "SELECT 1 AS one").num_rows == 1
    _end(url, "pg_terminate_backend")
    assert taken(erp, "SELECT 1 AS one").num_rows == 1


def test_a_line_cut_at_any_byte_never_passes_for_the_end(postgres: PostgresServer) -> None:
    sql = "SELECT i, repeat('y', 50) AS s FROM generate_series(1, 3000) AS g(i)"
    with cutting(postgres.port) as line:
        url = postgres.url().replace(f":{postgres.port}/", f":{line.port}/") + "?sslmode=disable"
        with closing(opened(url)) as warehouse:
            with warehouse.stream(sql, {}, order_by=["i"], batch_rows=100) as batches:
                assert sum(batch.num_rows for batch in batches) == 3000
            whole = line.seen
        places = [*range(0, whole, whole // 25), *range(whole - 60, whole - 20, 3)]
        for place in places:
            line.seen, line.limit = 0, place
            with closing(opened(url)) as warehouse:
                rows = 0
                with (
                    pytest.raises(TransientError),
                    warehouse.stream(sql, {}, order_by=["i"], batch_rows=100) as batches,
                ):
                    for batch in batches:
                        rows += batch.num_rows
                assert rows <= 3000


def test_leaving_early_ends_the_query_at_the_server(url: str, erp: Warehouse) -> None:
    with erp.stream(LONG, {}, order_by=["i"], batch_rows=1000) as batches:
        next(batches)
    deadline = time.monotonic() + 60
    running = "SELECT pid FROM pg_stat_activity WHERE application_name = 'sluice' AND state = 'active'"
    while query(url, running):
        assert time.monotonic() < deadline, "still at it"
        time.sleep(0.05)


def test_a_request_to_stop_is_heard_while_the_server_sorts(erp: Warehouse) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    begun = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(KeyboardInterrupt):
            taken(erp, "SELECT pg_sleep(30)::text AS s")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - begun < 25


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (
            "SELECT i,\n  naivee\nFROM t",
            r"column \"naivee\" does not exist; at 'naivee' in line 2, 'naivee'; Perhaps",
        ),
        ("SELECT i FROM tt", r"relation \"tt\" does not exist; at 'tt' in line 1"),
        ("SELEC i", r"syntax error at or near \"SELEC\"; at 'SELEC' in line 1"),
        ("SELECT i FROM t WHERE", "syntax error at end of input; at the end of line 1"),
    ],
)
def test_the_server_s_own_words_come_with_their_place(erp: Warehouse, sql: str, told: str) -> None:
    with pytest.raises(WarehouseError, match=told) as caught:
        erp.describe(sql, {})
    assert "\n" not in str(caught.value)
    assert "SQLSTATE" not in str(caught.value)


def test_a_table_without_the_right_to_read_it_says_which_right(postgres: PostgresServer, url: str) -> None:
    execute(postgres.url(), "DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN")
    with closing(opened(url.replace("//sluice@", "//guest@"))) as warehouse:
        for asked in (
            lambda: taken(warehouse, "SELECT i FROM t"),
            lambda: warehouse.describe("SELECT i FROM t", {}),
            lambda: warehouse.columns("t"),
        ):
            with pytest.raises(WarehouseError, match=r"permission denied for table t.*SELECT on it"):
                asked()
        assert warehouse.tables() == []


SECRET = "hun%74er2-s3cr3t"


@pytest.mark.parametrize(
    ("change", "kind", "told"),
    [
        (("//sluice@", f"//locked:{SECRET}@"), WarehouseError, "authentication failed.*mend user or password"),
        (("//sluice@", "//locked@"), WarehouseError, "no password supplied.*PGPASSWORD"),
        (("//sluice@", f"//nobody:{SECRET}@"), WarehouseError, 'role "nobody" does not exist'),
        (("/{database}", "/nowhere"), WarehouseError, 'database "nowhere" does not exist'),
        (("127.0.0.1:{port}", "127.0.0.1:1"), TransientError, "Connection refused.*is the server up"),
        (("127.0.0.1:{port}", "no-such-host.invalid"), WarehouseError, "translate host name.*mend the host"),
        (("/{database}", "/{database}?sslmode=require"), WarehouseError, "does not support SSL.*sslmode"),
        (("/{database}", "/{database}?sslmod=require"), WarehouseError, "cannot read the URL: it knows no parameter 'sslmod'"),
        (("//sluice@", f"//sluice:{SECRET}/2@"), WarehouseError, "cannot read the URL.*percent-encode"),
        (("//sluice@", "//sluice:hunter%zz@"), WarehouseError, "cannot read the URL.*percent-encode"),
        (("/{database}", f"/{{database}}?password={SECRET}&x=y"), WarehouseError, "cannot read the URL"),
    ],
)  # fmt: skip
def test_a_login_that_fails_says_why_and_tells_no_secret(
    postgres: PostgresServer, change: tuple[str, str], kind: type[SluiceError], told: str
) -> None:
    execute(postgres.url(), "DROP ROLE IF EXISTS locked; CREATE ROLE locked LOGIN PASSWORD 'something else'")
    names = {"port": postgres.port, "database": "postgres"}
    wrong, right = (part.format(**names) for part in change)
    url = postgres.url().replace(wrong, right)
    with pytest.raises(kind, match=re.compile(told, re.DOTALL)) as caught:
        opened(url).tables()
    assert type(caught.value) is kind
    for part in ("hun%74er2", "hunter", "s3cr3t"):
        assert part not in str(caught.value)


def test_whatever_a_server_says_the_password_is_not_told_on() -> None:
    learn(secrets_of("warehouse.erp", f"postgresql://me:{SECRET}@db/erp?sslpassword=k3y5"))
    explain = Explainer("warehouse erp")
    for said in (SECRET, "hunter2-s3cr3t", "k3y5"):
        told = [explain.refused_login(Exception(f"connection to server failed: {said}!"))]
        told.append(explain.refused(Exception(f"ERROR:  {said}!"), f"SELECT '{said}'"))
        assert all(said not in str(error) and "********!" in str(error) for error in told)


def test_a_right_password_is_taken_with_its_special_characters(postgres: PostgresServer) -> None:
    execute(postgres.url(), "DROP ROLE IF EXISTS locked; CREATE ROLE locked LOGIN PASSWORD 'p@ss/w%rd?'")
    with closing(opened(postgres.url(user="locked:p%40ss%2Fw%25rd%3F"))) as warehouse:
        assert taken(warehouse, "SELECT 1 AS one").num_rows == 1


def test_a_missing_driver_says_how_to_get_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql.dbapi", None)
    with pytest.raises(WarehouseError, match=re.escape("pip install 'sluice[postgresql]'")):
        opened(url).tables()


_MEASURED = """
import pathlib, sys
from tests.resources.warehouse.conftest import opened
warehouse = opened(sys.argv[1])
sql = f"SELECT i, (i / 100.0)::numeric(12, 2) AS n, repeat('x', 80) AS s FROM generate_series(1, {sys.argv[2]}) AS g(i)"
with warehouse.stream(sql, {}, order_by=["i"], batch_rows=32768) as batches:
    assert sum(batch.num_rows for batch in batches) == int(sys.argv[2])
# Not ru_maxrss: a process inherits that from the one that started it.
print(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


def test_memory_does_not_grow_with_the_rows(url: str) -> None:
    def peak(rows: int) -> int:
        root = Path(__file__).resolve().parents[3]
        told = subprocess.run(
            [sys.executable, "-c", _MEASURED, url, str(rows)],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        return int(told.stdout)

    # With four times the rows, the data is 180 MB larger.
    assert peak(2_400_000) < 1.2 * peak(600_000)


def test_what_a_url_may_be_is_shown_without_stars() -> None:
    refused = Explainer("warehouse default", malformed=True).refused_login(ValueError("no"))
    assert "postgresql://user@host:5432/database?sslmode=verify-full" in str(refused)
    assert "*" not in str(refused)
