"""What `check` examines for one event, from its module to the topic. Nothing is created or registered."""

from collections.abc import Iterator, Sequence

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.cli.output.findings import tried
from pipelines.cli.output.paths import shown_path
from pipelines.event_check.empty_frame import require_columns
from pipelines.event_check.findings import check_rows
from pipelines.event_check.windows import complete_windows
from pipelines.preflight.finding import Finding
from pipelines.preflight.rules.contract import todo_findings
from pipelines.stages.sql_place import in_module
from pipelines.stages.unwindowed_rows import Unwindowed, count_unwindowed
from resources.errors import SluiceError
from resources.platform import Platform
from resources.warehouse import WarehouseError
from resources.wording import counted

NO_WINDOW = "rows in no window"


def check_event(
    event: Event, platform: Platform, windows: Sequence[Window] | None = None, *, offline: bool = False
) -> Iterator[Finding]:
    """The event's findings in order, for publishing `windows` (None: all that are complete now). `offline`
    leaves out the checks that need Kafka and the registry."""
    # An event exists only if its declaration and contract fit together:
    # these findings report what the catalogue checked.
    yield Finding(
        "declaration", "ok", f"{shown_path(event.module_path)}:{event.function_line}, {event.windows}"
    )
    if event.promise:
        yield Finding("promise", "ok", f"{event.promise}; declared, and not measured here")
    if event.consumers:
        yield Finding("consumers", "ok", ", ".join(event.consumers))
    fields = len(event.contract.fields)
    told = f"{event.contract.path.name}, {counted(fields, 'field')}, key {event.key}, time {event.event_time}"
    yield Finding("contract", "ok", told)
    chosen = complete_windows(event) if windows is None else windows
    query = list(tried("query", lambda: _query(event, platform)))
    yield from query
    largest = None
    if all(finding.ok for finding in query):
        largest = yield from check_rows(event, platform, chosen)
        yield rows_in_no_window(count_unwindowed(event, platform.warehouse(event.warehouse)))
    if offline:
        yield from todo_findings(event, platform.settings, publishing=False)
    else:
        # Imported here, because the module imports the clients of Kafka and of the registry.
        from pipelines.preflight.fitness import preflight

        yield from preflight(event, platform, chosen, largest=largest)


def rows_in_no_window(found: Unwindowed) -> Finding:
    """The finding about the number of rows that belong to no window."""
    if found.unknown is not None:
        return Finding(NO_WINDOW, "unknown", str(found))
    if not found.suspicious:
        return Finding(NO_WINDOW, "ok", str(found))
    return Finding(
        NO_WINDOW,
        "warning",
        str(found),
        "give these rows their time in the query; or say in the query that they are meant to be left out, "
        "as by `AND t IS NOT NULL`",
    )


def _query(event: Event, platform: Platform) -> str:
    warehouse = platform.warehouse(event.warehouse)
    window = event.windows.containing(event.windows.start)
    parameters = {"window_start": window.start, "window_end": window.end}
    try:
        schema = warehouse.describe(event.source.bound(warehouse.parameter_style).sql, parameters)
    except WarehouseError as error:
        if error.next_step:  # the query is not the cause, and the error says what to do
            raise
        raise SluiceError(
            shown_path(event.module_path),
            in_module(event, error.problem),
            allowed=error.allowed,
            next_step="mend its `source`",
        ) from None
    told = f"{counted(len(schema), 'column')} from {', '.join(event.source.tables) or 'no table'}"
    if event.transform is not None:
        return told
    require_columns(event, schema, shown_path(event.module_path))
    return f"{told}, as the contract wants them"
