"""Sluice as a user has it: an event module and its contract below an assets folder, settings, a home."""

import os
from pathlib import Path

from benchmarks.compare.job import DAY, EVENT_TIME, Job

_MODULE = '''"""A row of {dataset} was recorded."""

import pandas as pd

from pipelines import daily, event


@event(
    topic="{topic}",
    key="{key}",
    event_time="{event_time}",
    windows=daily("{day}"),
    owner="team:bench",
    source="""
        SELECT {columns}
        FROM {table} WHERE {event_time} >= :window_start AND {event_time} < :window_end
    """,
)
def {dataset}(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as the warehouse gives them."""
    return rows
'''


def enter(job: Job, home: Path, *, reconcile: bool = False) -> Path:
    """Write the event's module below `home` and set this process's settings; returns the assets folder."""
    assets = home / "assets"
    folder = assets / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    module = _MODULE.format(
        dataset=job.dataset,
        topic=job.topic,
        key=job.key,
        event_time=EVENT_TIME,
        day=DAY,
        columns=", ".join(job.columns),
        table=job.table,
    )
    (folder / f"{job.dataset}.py").write_text(module)
    (folder / f"{job.dataset}.avsc").write_text(job.schema_text)
    settings = home / "sluice.toml"
    settings.write_text("")
    for name in [name for name in os.environ if name.startswith(("SLUICE_", "DAGSTER_"))]:
        del os.environ[name]
    os.environ |= {
        "SLUICE_HOME": str(home),
        "SLUICE_TOML": str(settings),
        "SLUICE_KAFKA_BOOTSTRAP_SERVERS": job.bootstrap,
        "SLUICE_REGISTRY_URL": job.registry_url,
        "SLUICE_WAREHOUSE_DEFAULT": f"duckdb://{job.database}",
        "SLUICE_CREATE_TOPICS": "true",
        "SLUICE_TOPIC_PARTITIONS": str(job.kafka_partitions),
        "SLUICE_REGISTER_CONTRACTS": "true",
        "SLUICE_TRANSACTION_ROWS": str(job.transaction_rows),
        "SLUICE_RECONCILE": str(reconcile).lower(),
    }
    return assets
