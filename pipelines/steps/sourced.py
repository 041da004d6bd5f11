"""Step 1: the query's rows for one window become an immutable, totally ordered snapshot."""

from collections.abc import Mapping
from datetime import UTC, datetime

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from resources.errors import SluiceError
from resources.platform import Platform
from resources.snapshots import Snapshot
from resources.warehouse import Warehouse, WarehouseError


def source_window(event: Event, window: Window, platform: Platform, *, run_id: str) -> Snapshot:
    """Stream the window's rows into a `sourced` snapshot, ordered by event time, key, then every other column.

    The order makes the snapshot's hash depend on the rows alone. Memory does not grow with the window.
    Raises SluiceError for a query the warehouse refuses, at once or in the middle of its rows, and PassingFault
    for a lost connection.
    """
    warehouse = platform.warehouse(event.warehouse)
    sql = event.source.bound(warehouse.parameter_style).sql
    parameters = {"window_start": window.start, "window_end": window.end}
    try:
        return _stream(event, window, platform, warehouse, sql, parameters, run_id=run_id)
    except WarehouseError as error:
        if error.next_step:  # not the query's fault, and the error says what to do
            raise
        raise SluiceError(
            f"{event.full_name} {window.key}",
            error.problem,
            next_step=f"mend `source` in {event.module_path.name}; `sluice check {event.name}` tries it",
        ) from None


def _stream(
    event: Event,
    window: Window,
    platform: Platform,
    warehouse: Warehouse,
    sql: str,
    parameters: Mapping[str, datetime],
    *,
    run_id: str,
) -> Snapshot:
    schema = warehouse.describe(sql, parameters)
    order_by = [name for name in (event.event_time, event.key) if name in schema.names]
    with (
        warehouse.stream(
            sql, parameters, order_by=order_by, batch_rows=platform.settings.batch_rows
        ) as batches,
        platform.snapshots.writer(event.full_name, window.key, "sourced", schema) as out,
    ):
        for batch in batches:
            out.write(batch)
        return out.finish(
            {
                "code_version": event.code_version,
                "tables": list(event.source.tables),
                "run_id": run_id,
                "written_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            }
        )
