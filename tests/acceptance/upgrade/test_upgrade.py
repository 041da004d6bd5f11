"""An installation is upgraded and rolled back: nothing is published again, nothing is lost, and no build
damages what another build has written.

The earlier build publishes, corrects, replays, leaves windows blocked, and is killed in the middle of a
publication and of a correction. This build continues with the same topics, ledger, snapshots and Dagster
storage. Then the earlier build runs again. After each step a plain consumer counts every record on the
topics.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import duckdb
import pytest

from tests.acceptance.outsiders import Outsider
from tests.acceptance.upgrade.builds import Build, build, clean, earlier_tree, this_tree
from tests.acceptance.upgrade.counting import Count
from tests.acceptance.upgrade.shop import (
    ORDER_PAID,
    ORDER_PLACED,
    ORDER_REFUNDED,
    REPAIRED,
    STOCK_COUNTED,
    Kind,
    Row,
    Shop,
    window,
)
from tests.fixtures_postgres import execute
from tests.fixtures_servers import KafkaServer, RegistryServer
from tests.matrix import one_of

# So slow that a run that was seen at work is still at work.
_SLOWLY = {"SLUICE_TRANSACTION_ROWS": "5", "SLUICE_MAX_ROWS_PER_SECOND": "10"}
_MANY = 400
_LATER_VERSION = "written by a later version"


@dataclass
class Installation:
    """What both builds share, and what an outsider sees of it."""

    earlier: Build
    current: Build
    shop: Shop
    count: Count
    ledger_topic: str

    def entry(self, kind: Kind, day: int) -> dict[str, object]:
        """The newest committed ledger entry of a window,
        as a plain consumer reads it; empty if there is none."""
        entries = self.count.outsider.newest(self.ledger_topic)
        return entries.get(f"{self.shop.topic(kind)}|{window(day)}", {})

    def interrupted(self, kind: Kind, day: int, generation: int) -> bool:
        """Whether some records of a generation are committed, and others are not."""
        entry = self.entry(kind, day)
        done = entry.get("rows_done")
        return (entry.get("status"), entry.get("generation")) == ("publishing", generation) and bool(done)


@pytest.fixture(params=one_of("duckdb", "postgresql"))
def installation(
    request: pytest.FixtureRequest,
    kafka: KafkaServer,
    apicurio: RegistryServer,
    tmp_path: Path,
) -> Iterator[Installation]:
    ours = f"shop-{uuid4().hex[:8]}"
    url, shop = _warehouse(request, ours, tmp_path)
    environ = clean(
        {
            "SLUICE_HOME": str(tmp_path / "home"),
            "SLUICE_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
            "SLUICE_REGISTRY_URL": apicurio.url,
            "SLUICE_WAREHOUSE_DEFAULT": url,
            "SLUICE_CREATE_TOPICS": "true",
            "SLUICE_REGISTER_CONTRACTS": "true",
            "SLUICE_LEDGER_TOPIC": f"{ours}.ledger",
            "SLUICE_LEDGER_PARTITIONS": "2",
            "SLUICE_CODE_LOCATION": ours,
        }
    )
    trees = earlier_tree(tmp_path / "earlier"), this_tree(tmp_path / "current")
    for tree in trees:
        shop.define(tree)
    shop.create()
    # The earlier build's library is not built; the build does the same without it.
    without = {**environ, "SLUICE_COMPILED": "off"}
    with (
        build("the earlier build", trees[0], without, tmp_path / "earlier-said") as earlier,
        build("this build", trees[1], environ, tmp_path / "current-said") as current,
    ):
        count = Count(shop, Outsider(kafka.bootstrap, apicurio.url))
        yield Installation(earlier, current, shop, count, f"{ours}.ledger")


def _warehouse(request: pytest.FixtureRequest, name: str, folder: Path) -> tuple[str, Shop]:
    if request.param == "postgresql":
        address = request.getfixturevalue("postgres").new_database()
        return address, Shop(name, lambda script: execute(address, script))
    file = folder / "shop.duckdb"

    def execute_in_file(script: str) -> None:
        with duckdb.connect(str(file)) as connection:
            connection.execute(script)

    return f"duckdb://{file}", Shop(name, execute_in_file)


def test_upgrade_and_rollback(installation: Installation) -> None:
    _publish_with_the_earlier_build(installation)
    _go_on_with_this_build(installation)
    _roll_back(installation)
    _upgrade_again(installation)


def _publish_with_the_earlier_build(on: Installation) -> None:
    shop, count, sluice = on.shop, on.count, on.earlier
    for day, rows in ((1, 12), (2, 12), (3, 12), (4, _MANY)):
        count.expect(ORDER_PLACED, *shop.put(ORDER_PLACED, day, _orders(day, rows)))
    count.expect(ORDER_PAID, *shop.put(ORDER_PAID, 1, _payments(1)))
    shop.put(ORDER_PAID, 2, [*_payments(2), ("2-lost", 900, None)])
    count.expect(ORDER_REFUNDED, *shop.put(ORDER_REFUNDED, 1, _payments(1)))
    count.expect(ORDER_REFUNDED, *shop.put(ORDER_REFUNDED, 2, _payments(2)))
    shop.put(ORDER_REFUNDED, 2, [*_payments(2), ("2-lost", 900, None)])

    # Day 3 first: in the days before it,
    # the values of articles that day 3 has are stale, and only the others are published.
    count.expect(STOCK_COUNTED, *shop.put(STOCK_COUNTED, 3, [("a", 10, 3), ("b", 20, 3)]))
    sluice.run("publish", "stock_counted", window(3))
    _, new = shop.put(STOCK_COUNTED, 1, [("a", 10, 1), ("d", 20, 1)])
    _, newer = shop.put(STOCK_COUNTED, 2, [("b", 10, 2), ("d", 20, 2)])
    count.expect(STOCK_COUNTED, new, newer)

    said = sluice.run("publish", "--all", f"{window(1)}..{window(4)}", fails=True)
    assert "order_paid" in said, said
    count.check("the earlier build has published")

    sluice.run("replay", "order_placed", window(2), "--reason", "billing lost its state")
    count.expect(ORDER_PLACED, *shop.of_window(ORDER_PLACED, 2))
    count.expect(ORDER_PLACED, *_change(shop, 3))
    sluice.run("publish", "order_placed", window(3))
    count.check("the earlier build has replayed and corrected")

    # One window is left in the middle of a correction, another one in the middle of its first publication.
    count.expect(ORDER_PLACED, *shop.put(ORDER_PLACED, 4, _orders(4, _MANY, amount=1_000_000)))
    count.expect(ORDER_PLACED, *shop.put(ORDER_PLACED, 5, _orders(5, _MANY)))
    for day, generation in ((4, 2), (5, 1)):
        sluice.kill(
            "publish", "order_placed", window(day),
            when=lambda day=day, generation=generation: on.interrupted(ORDER_PLACED, day, generation),  # type: ignore[misc]
            **_SLOWLY,
        )  # fmt: skip
        assert on.interrupted(ORDER_PLACED, day, generation), "killed too late to show anything"


def _go_on_with_this_build(on: Installation) -> None:
    shop, count, sluice = on.shop, on.count, on.current
    sluice.run("ledger", "report")
    # What was published stays as it is, what was interrupted is finished, what was blocked is blocked.
    said = sluice.run("publish", "--all", f"{window(1)}..{window(5)}", fails=True)
    assert "order_paid" in said, said
    count.check("this build has gone on")

    count.expect(ORDER_PLACED, *_change(shop, 1))
    sluice.run("publish", "order_placed", window(1))
    count.check("this build has corrected")
    sluice.run(
        "replay", "order_placed", f"{window(2)}..{window(3)}", "--reason", "billing lost its state again"
    )
    for day in (2, 3):
        count.expect(ORDER_PLACED, *shop.of_window(ORDER_PLACED, day))
    count.check("this build has replayed what the earlier one had stored")

    repaired = {"order_paid": REPAIRED, "order_refunded": REPAIRED}
    for tree in (on.earlier.tree, on.current.tree):
        shop.define(tree, **repaired)
    lost = Row("2-lost", shop.of_window(ORDER_PAID, 2)[-1].at, "UNKNOWN")
    count.expect(ORDER_PAID, *shop.of_window(ORDER_PAID, 2)[:-1], lost)
    count.expect(ORDER_REFUNDED, lost)
    for event in ("order_paid", "order_refunded"):
        sluice.run("redrive", event, "--reason", "some payments have no method")
    count.check("this build has redriven the earlier one's dead letters")

    count.expect(STOCK_COUNTED, *shop.put(STOCK_COUNTED, 5, [("a", 10, 5), ("d", 20, 5)]))
    sluice.run("publish", "stock_counted", window(5))
    *_, new = shop.put(STOCK_COUNTED, 2, [("b", 10, 2), ("d", 20, 222), ("f", 30, 2)])
    count.expect(STOCK_COUNTED, new)
    sluice.run("publish", "stock_counted", window(2))
    count.check("this build has left stale values out")

    count.expect(ORDER_PLACED, *shop.put(ORDER_PLACED, 6, _orders(6, _MANY)))
    sluice.kill(
        "publish", "order_placed", window(6), when=lambda: on.interrupted(ORDER_PLACED, 6, 1), **_SLOWLY
    )
    assert on.interrupted(ORDER_PLACED, 6, 1), "killed too late to show anything"


def _roll_back(on: Installation) -> None:
    """The earlier build refuses each window that this build has written,
    and continues with every other one."""
    shop, count, sluice = on.shop, on.count, on.earlier
    before = on.count.outsider.ends(shop.topic(ORDER_PLACED))
    said = sluice.run("publish", "order_placed", f"{window(1)}..{window(6)}", fails=True)
    assert said.count(_LATER_VERSION) >= 6, said
    assert on.count.outsider.ends(shop.topic(ORDER_PLACED)) == before, said
    assert _LATER_VERSION in sluice.run("replay", "order_placed", "--reason", "a try", fails=True)

    count.expect(ORDER_PLACED, *shop.put(ORDER_PLACED, 7, _orders(7, 12)))
    sluice.run("publish", "order_placed", window(7))
    # A correction of an entry that only the earlier build has written.
    (late,) = shop.put(ORDER_REFUNDED, 1, [*_payments(1), ("1-late", 5000, "CARD")])[-1:]
    count.expect(ORDER_REFUNDED, late)
    sluice.run("publish", "order_refunded", window(1), "--correct")


def _upgrade_again(on: Installation) -> None:
    sluice = on.current
    sluice.run("publish", "--all", f"{window(1)}..{window(7)}")
    on.count.check("this build has gone on behind the rollback")
    for event in ("order_placed", "order_refunded", "stock_counted"):
        sluice.run("verify", event)
    on.count.check("this build has verified")


def _orders(day: int, count: int, amount: int = 0) -> list[tuple[str, int, int]]:
    return [(f"{day}-{n}", n * 60, amount + n) for n in range(count)]


def _payments(day: int) -> list[tuple[str, int, str]]:
    return [(f"{day}-{n}", n * 60, "CARD") for n in range(3)]


def _change(shop: Shop, day: int) -> list[Row | str]:
    """A changed row, a late row and a vanished row, and what the topic gets for them."""
    first, gone, *rest = _orders(day, 12)
    changed, late = (first[0], first[1], 7_000), (f"{day}-late", 30_000, 1)
    made = shop.put(ORDER_PLACED, day, [changed, *rest, late])
    return [*(row for row in made if row.key in (changed[0], late[0])), gone[0]]
