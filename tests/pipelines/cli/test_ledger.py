"""`sluice ledger`: entries that name another store are refused,
listed, and rewritten if a person accepts that."""

import json
from pathlib import Path

from tests.pipelines.cli.conftest import Sluice

WEEK = "2013-01-01..2013-01-03"


def _stores(sluice: Sluice) -> set[str]:
    """The stores of the windows in the ledger; windows that only failed name no store."""
    told = json.loads(sluice("status", "flight_cancelled", "--json").stdout)
    return {one["store_id"] for one in told if "store_id" in one}


def test_another_store_is_accepted_window_by_window(
    sluice: Sluice, servers: dict[str, str], tmp_path: Path
) -> None:
    assert sluice("publish", "flight_cancelled", WEEK).returncode == 0
    status = sluice("status", "flight_cancelled")
    assert "code location: sluice" in status.stdout and "Kafka cluster: " in status.stdout
    assert "Kafka cluster" in sluice("doctor").stdout
    (first,) = _stores(sluice)

    # The same snapshots without the store's id: they were restored without it.
    moved = tmp_path / "snapshots"
    here = Path(servers["SLUICE_HOME"]) / "snapshots"
    moved.symlink_to(here)
    (here / ".store.json").rename(tmp_path / "old.json")
    refused = sluice("publish", "flight_cancelled", WEEK)
    assert refused.returncode == 1 and first in refused.stderr and "accept-store" in refused.stderr
    verified = sluice("verify", "flight_cancelled")
    assert verified.returncode == 1 and verified.stdout.count("  not known ") == 3, verified.stdout

    assert "say why" in sluice("ledger", "accept-store", "flight_cancelled").stderr
    assert sluice("ledger", "accept-store", "--reason", "why").returncode == 2
    listed = sluice("ledger", "accept-store", "flight_cancelled", "--reason", "restored")
    assert listed.returncode == 1 and "Add --yes" in listed.stderr
    assert listed.stdout.count(first) == 3
    assert _stores(sluice) == {first}

    one = sluice("ledger", "accept-store", "flight_cancelled", "2013-01-02", "--reason", "restored", "--yes")
    assert one.returncode == 0 and "1 of 1 entries rewritten" in one.stdout, one.stderr
    # Acceptance for one window does not accept the place for all runs, and a list accepts nothing.
    assert sluice("ledger", "accept-store", "--all", "--reason", "restored").returncode == 1
    still = sluice("publish", "flight_cancelled", "2013-01-02")
    assert still.returncode == 1 and "runs of this Dagster publish with snapshot store" in still.stderr
    rest = sluice("ledger", "accept-store", "--all", "--reason", "restored", "--by", "me", "--yes", "--json")
    assert rest.returncode == 0 and [told["was"] for told in json.loads(rest.stdout)] == [first] * 2
    again = sluice("ledger", "accept-store", "--all", "--reason", "restored", "--yes")
    assert again.returncode == 0 and "Nothing to change" in again.stdout
    told = json.loads(sluice("status", "flight_cancelled", "--json").stdout)
    entries = [one for one in told if "store_id" in one]
    assert len(entries) >= 3
    assert first not in {entry["store_id"] for entry in entries}
    noted = {entry["window"]: entry["accepted"][0] for entry in entries}
    assert noted["2013-01-01"]["by"] == "me" and noted["2013-01-02"]["reason"] == "restored"
    assert "3 windows with something accepted" in sluice("status", "flight_cancelled").stdout

    published = sluice("publish", "flight_cancelled", WEEK)
    assert published.returncode == 0 and "Nothing was published" in published.stdout, published.stderr
    assert "agrees" in sluice("verify", "flight_cancelled").stdout
    adopted = sluice("ledger", "adopt", "--all", "--yes")
    assert adopted.returncode == 0 and "Nothing to change" in adopted.stdout
    unknown = sluice("ledger", "accept-store", "no_such_event", "--reason", "why", "--yes")
    assert unknown.returncode == 1 and "the ledger has no entry of it" in unknown.stderr
