"""How long a code location of many events takes to load, beside bare Dagster with as many assets.

    python benchmarks/code_location.py [--events 500] [--runs 5]

Each load is a fresh process that builds the definitions and the repository snapshot that Dagster's server
requests. They run in turn, so that a machine that becomes slower affects all of them; the medians and their
ratios are printed, for elapsed time and for processor time. An event has two checks: bare Dagster is measured
with half as many, and also with as many.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_MODULE = '''"""Something happened, number {number}."""

import pandas as pd

from pipelines import daily, event


@event(
    topic="domain{domain}.event-{number}.v1",
    key="thing_id",
    event_time="happened_at",
    windows=daily("2013-01-01"),
    owner="team:domain-{domain}",
    source="""
        SELECT things.thing_id, things.happened_at, amount, kinds.name AS kind, note
        FROM things_{number} AS things LEFT JOIN kinds USING (kind_id)
        WHERE things.happened_at >= :window_start AND things.happened_at < :window_end
    """,
)
def event_{number}(rows: pd.DataFrame) -> pd.DataFrame:
    """Amounts in cents."""
    return rows.assign(amount=rows["amount"] * 100)
'''

_FIELDS = [
    {"name": "thing_id", "type": "string", "doc": "Which thing."},
    {
        "name": "happened_at",
        "type": {"type": "long", "logicalType": "timestamp-micros"},
        "doc": "When it happened, UTC.",
    },
    {"name": "amount", "type": ["null", "long"], "doc": "Amount, in cents."},
    {"name": "kind", "type": ["null", "string"], "doc": "Kind of thing."},
    {"name": "note", "type": ["null", "string"], "doc": "Remark."},
]

_SLUICE = """
import sys, time
started, used = time.perf_counter(), time.process_time()
sys.path.insert(0, {root!r})
import warnings
warnings.simplefilter("ignore")
from pathlib import Path
from pipelines import load_catalogue
catalogue = load_catalogue(Path({assets!r}))
loaded = time.perf_counter()
from pipelines.orchestration.definitions.build import build_definitions
definitions = build_definitions(catalogue)
"""

_BARE = """
import time
started = loaded = time.perf_counter()
used = time.process_time()
import warnings
warnings.simplefilter("ignore")
import dagster as dg
days, single = dg.DailyPartitionsDefinition("2013-01-01"), dg.BackfillPolicy.single_run()
assets, checks = [], []
for number in range({events}):
    upstream = dg.AssetKey(["warehouse", f"things_{{number}}"])
    for stage in ("sourced", "transformed", "published"):
        key = dg.AssetKey([f"domain{{number % 10}}", f"event_{{number}}", stage])
        @dg.asset(key=key, deps=[upstream], partitions_def=days, backfill_policy=single,
                  group_name=f"domain{{number % 10}}", code_version="1", owners=["team:x"], kinds={{"kafka"}},
                  tags={{"stage": stage}}, description="Something happened.")
        def asset(context): ...
        assets.append(asset)
        upstream = key
    for asset, name in list(zip(assets[-2:], ("fits_contract", "reconciled")))[:{checks}]:
        @dg.asset_check(asset=asset, blocking=name == "fits_contract", name=name)
        def check(context): ...
        checks.append(check)
definitions = dg.Definitions(assets=assets, asset_checks=checks, executor=dg.in_process_executor)
"""

_SNAPSHOT = """
from dagster._core.remote_representation.external_data import RepositorySnap
repository = definitions.get_repository_def()
snapshot = RepositorySnap.from_def(repository)
import json
print(json.dumps({
    "seconds": time.perf_counter() - started,
    "processor": time.process_time() - used,
    "catalogue": loaded - started,
    "assets": sum(1 for node in snapshot.asset_nodes if node.is_materializable),
    "checks": len(snapshot.asset_check_nodes or []),
}))
"""


def write_events(assets: Path, events: int) -> None:
    """`events` modules and contracts in ten domains."""
    for number in range(events):
        folder = assets / f"domain{number % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        text = _MODULE.format(number=number, domain=number % 10)
        (folder / f"event_{number}.py").write_text(text)
        contract = {"type": "record", "name": f"Event{number}", "namespace": f"domain{number % 10}"}
        contract |= {"doc": "Something happened.", "fields": _FIELDS}  # type: ignore[dict-item]
        (folder / f"event_{number}.avsc").write_text(json.dumps(contract, indent=2))


def load(script: str) -> dict[str, float]:
    """One load in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", script + _SNAPSHOT], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--events", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        assets = Path(folder) / "assets"
        write_events(assets, asked.events)
        scripts = {
            "sluice": _SLUICE.format(root=str(ROOT), assets=str(assets)),
            "bare dagster": _BARE.format(events=asked.events, checks=1),
            "bare, all checks": _BARE.format(events=asked.events, checks=2),
        }
        loads: dict[str, list[dict[str, float]]] = {name: [] for name in scripts}
        for _ in range(asked.runs):
            for name, script in scripts.items():
                loads[name].append(load(script))
    print(f"{asked.events} events, median of {asked.runs} interleaved loads in fresh processes")
    print(f"{'':18}{'seconds':>9}{'cpu s':>9}{'assets':>9}{'checks':>9}{'sluice is':>12}{'in cpu':>9}")
    for name, found in loads.items():
        seconds, processor = (
            statistics.median(one[measure] for one in found) for measure in ("seconds", "processor")
        )
        print(
            f"{name:18}{seconds:>9.2f}{processor:>9.2f}{found[0]['assets']:>9}{found[0]['checks']:>9}"
            f"{_ratio(loads['sluice'], found, 'seconds'):>12.2f}{_ratio(loads['sluice'], found, 'processor'):>9.2f}"
        )
    catalogue = statistics.median(one["catalogue"] for one in loads["sluice"])
    print(f"of Sluice's time, {catalogue:.2f} s read and check the modules")


def _ratio(mine: list[dict[str, float]], theirs: list[dict[str, float]], measure: str) -> float:
    """The median over the rounds; within a round, both ran on the machine in the same state."""
    return statistics.median(one[measure] / other[measure] for one, other in zip(mine, theirs, strict=True))


if __name__ == "__main__":
    main()
