"""Everything that Sluice uses of Dagster's private interfaces: why, the public way, and when it may end.

Private is what Dagster's documentation does not promise: modules and attributes with an underscore, the
packages `dagster_shared`, `dagster_webserver` and `dagster_graphql`, methods without Dagster's own mark
`@public`, and names of tags and variables that no page documents. No other module imports them or replaces a
part of them: ruff refuses the imports (`TID251` in pyproject.toml), and
tests/pipelines/test_dagster_private.py refuses what an import does not show. `make newest-dagster` runs the
tests on the newest Dagster that the version range allows.

Imported or called:

| what | what for | the public way | may go |
|---|---|---|---|
| DagsterExecutionInterruptedError | a run that ends itself is *canceled*, and no failure | none: `dg.Failure` fails it | when an op can end its run as canceled |
| DagsterUserCodeProcessError | a launch that a schema refuses is shown as one sentence | none | when the UI shows a schema's error as text |
| PostProcessingError, Shape.post_process (`refuse_at_launch`) | a run configuration whose values contradict each other is refused at launch | checks of single values | when `Field` takes a check of the whole |
| SerializableErrorInfo.from_traceback (`store_errors_as`) | no secret of an exception is stored | none; an op's own errors could be wrapped, a sensor's could not | when Dagster takes a filter for stored errors |
| PoolGranularity | whether pools count runs or ops | reading `dagster.yaml` oneself | when it is exported |
| DefaultRunLauncher, ResumeRunContext, RunLauncher, CheckRunHealthResult, WorkerStatus | a launcher that knows heartbeats; whether Dagster's own is in use | none; a launcher is configured by name in `dagster.yaml` | when they are exported |
| RunLauncher._instance (`instance_of`) | the launcher reads the heartbeats in its instance | none | with them |
| ConfigurableClass, ConfigurableClassData | the launcher's configuration | none | with them |
| DagsterGrpcClient, GetCurrentRunsResult, CanCancelExecutionRequest, CanCancelExecutionResult, GRPC_INFO_TAG, DagsterUserCodeUnreachableError, deserialize_value | which runs a code server still has | none | when a launcher answers that for runs of the UI |
| load_yaml_from_path | the workspace file that `dagster dev` gives its daemon | a YAML library of one's own | when `dagster dev` restarts a code server that died |
| InstigatorType, InstigatorStatus | whether somebody has turned off the sensor `lost_runs` | none | when an instance gives the state of a sensor in public types |
| AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG | whether the daemon has decided about a retry of a lost run | none: no page documents the names | when they are exported |
| REPOSITORY_LABEL_TAG, CODE_LOCATION_TAG | the UI shows a run of a terminal with its code location | none | when a run made in process can name its code location |
| ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG | one run for many windows | a run for each window | when `execute_in_process` takes a range |
| DATA_VERSION_TAG, DATA_VERSION_IS_USER_PROVIDED_TAG, CODE_VERSION_TAG, INPUT_DATA_VERSION_TAG_PREFIX, INPUT_EVENT_POINTER_TAG_PREFIX | a materialization of each stage of a window with its versions | `dg.MaterializeResult(data_version=…)`, one for each asset of a step and not for each window | when a step may give one for each window |
| _create_cursor_key, DAGSTER_EVENT_TYPES (`daemon_log_keys`) | the first start of `sluice ui` warns of nothing | none | when the daemon begins at the end of a log without a warning |
| AssetEventSummaryRecord | what a page shows of a window before a run fails | `instance.get_event_records`, several requests | when the summary is exported |
| SqliteEventLogStorage, ConsolidatedSqliteEventLogStorage | whether Dagster's storage is a file of one machine | the class name in `dagster.yaml` | when storages say whether they are shared |
| EventLogEntry, SqlEventLogStorageTable, SQLITE_BUSY_TIMEOUT_SECONDS | the event log of small windows (`event_log`) | without it: each event is stored by itself | when Dagster stores a step's events together |
| dagster._cli.dev (`run_dagster_dev`), dagster._daemon (`DAEMON`), dagster_webserver (`WEBSERVER`) | `sluice ui` runs the guarded web server and watches the code servers | `sluice webserver` and `dagster-daemon run`, each started by hand | when `dagster dev` takes the server's command |
| dagster_webserver.cli (`webserver_command`) | the guarded server takes every option of `dagster-webserver` | none: the command makes its app and serves it in one function | when the command takes middleware |

Methods of the instance and of its storages without the mark `@public` (`UNMARKED`): nearly all that a program
outside a step may ask of an instance lacks the mark. Their use may end one by one, when they get the mark.

Variables of the environment that no page documents (`VARIABLES`):

| what | what for | the public way | may go |
|---|---|---|---|
| DAGSTER_EVENT_BATCH_SIZE | a ranged run plans all its windows in few transactions | none | when Dagster batches by itself |
| DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR | a backfill waits for a code server that is started anew | none | when that is the default |
| DAGSTER_WEBSERVER_READ_ONLY | `sluice ui --read-only` | `dagster-webserver --read-only`, which `dagster dev` does not pass on | when `dagster dev` has the option |
"""

import traceback
from collections.abc import Callable, Mapping, Sequence
from subprocess import Popen
from typing import Any

import dagster as dg
from dagster._config import PostProcessingError
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    INPUT_DATA_VERSION_TAG_PREFIX,
    INPUT_EVENT_POINTER_TAG_PREFIX,
)
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.errors import (
    DagsterExecutionInterruptedError,
    DagsterUserCodeProcessError,
    DagsterUserCodeUnreachableError,
)
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.config import PoolGranularity
from dagster._core.launcher import (
    CheckRunHealthResult,
    DefaultRunLauncher,
    ResumeRunContext,
    RunLauncher,
    WorkerStatus,
)
from dagster._core.scheduler.instigation import InstigatorStatus
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.base import AssetEventSummaryRecord
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.consolidated_sqlite_event_log import (
    ConsolidatedSqliteEventLogStorage,
)
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    AUTO_RETRY_RUN_ID_TAG,
    CODE_LOCATION_TAG,
    GRPC_INFO_TAG,
    REPOSITORY_LABEL_TAG,
    WILL_RETRY_TAG,
)
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult, GetCurrentRunsResult
from dagster._serdes import ConfigurableClass, ConfigurableClassData, deserialize_value
from dagster_shared.error import SerializableErrorInfo
from dagster_shared.yaml_utils import load_yaml_from_path

DAEMON = "dagster._daemon"
"""The module that `dagster dev` runs as Dagster's daemon."""
WEBSERVER = "dagster_webserver"
"""The module that `dagster dev` runs as its web server."""
UNMARKED: Mapping[str, Sequence[str]] = {
    "dagster:DagsterInstance": (
        "add_run_tags",
        "all_instigator_state",
        "all_logs",
        "daemon_cursor_storage",
        "event_log_storage",
        "get_asset_event_summary_records",
        "get_concurrency_config",
        "get_job_snapshot",
        "get_latest_asset_check_evaluation_record",
        "get_latest_storage_id_by_partition",
        "get_materialized_partitions",
        "get_ref",
        "get_runs",
        "global_op_concurrency_default_limit",
        "is_ephemeral",
        "is_persistent",
        "report_run_canceled",
        "report_run_canceling",
        "report_run_failed",
        "root_directory",
        "run_launcher",
        "run_monitoring_enabled",
        "run_monitoring_max_resume_run_attempts",
        "run_monitoring_poll_interval_seconds",
    ),
    "dagster._core.storage.event_log.base:EventLogStorage": (
        "claim_concurrency_slot",
        "free_concurrency_slot_for_step",
        "free_concurrency_slots_for_run",
        "get_concurrency_info",
        "get_concurrency_run_ids",
        "get_maximum_record_id",
        "get_pool_limits",
        "initialize_concurrency_limit_to_default",
        "set_concurrency_slots",
        "supports_global_concurrency_limits",
    ),
    "dagster._core.storage.daemon_cursor:DaemonCursorStorage": ("get_cursor_values", "set_cursor_values"),
}
"""What is called without an import, by where it is defined.
`python -m tests.dagster_interfaces` looks for each."""
REPLACED: Mapping[str, Sequence[str]] = {
    "dagster:Shape": ("post_process",),
    "dagster._cli.dev": ("dev_command", "open_ipc_subprocess"),
    "dagster._core.launcher:RunLauncher": ("_instance",),
    "dagster._daemon": (),
    "dagster._daemon.auto_run_reexecution.event_log_consumer": ("DAGSTER_EVENT_TYPES", "_create_cursor_key"),
    "dagster_shared.error:SerializableErrorInfo": ("from_traceback",),
    "dagster_webserver.cli": ("dagster_webserver",),
}
"""What the functions below use or replace, by where it is defined."""
VARIABLES = (
    "DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR",
    "DAGSTER_EVENT_BATCH_SIZE",
    "DAGSTER_WEBSERVER_READ_ONLY",
)

_from_traceback: Callable[[type, traceback.TracebackException], SerializableErrorInfo]
_from_traceback = SerializableErrorInfo.from_traceback.__func__  # type: ignore[attr-defined]


def store_errors_as(changed: Callable[[SerializableErrorInfo], SerializableErrorInfo]) -> None:
    """From now on Dagster stores of an exception what `changed` returns. The last call wins."""

    def from_traceback(
        cls: type[SerializableErrorInfo], tb: traceback.TracebackException
    ) -> SerializableErrorInfo:
        return changed(_from_traceback(cls, tb))

    SerializableErrorInfo.from_traceback = classmethod(from_traceback)  # type: ignore[method-assign,assignment]


def refuse_at_launch(
    fields: Mapping[str, Any], sound: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> None:
    """Dagster calls `sound` with the values of these fields when a run is launched; `sound` may raise."""
    # Assets take a plain mapping.
    # Dagster makes one shape for equal mappings and keeps it: this one, for every event.
    shape: Any = dg.Shape(fields)  # type: ignore[no-untyped-call]
    shape.post_process = sound


def instance_of(launcher: RunLauncher[Any]) -> dg.DagsterInstance:
    """The instance that created the launcher."""
    found: dg.DagsterInstance = launcher._instance
    return found


def daemon_log_keys() -> set[str]:
    """The keys under which Dagster's daemon stores how far it has read the event log."""
    from dagster._daemon.auto_run_reexecution.event_log_consumer import (
        DAGSTER_EVENT_TYPES,
        _create_cursor_key,
    )

    return {_create_cursor_key(one) for one in DAGSTER_EVENT_TYPES}


def webserver_command() -> Any:
    """The click command of `dagster-webserver`."""
    from dagster_webserver.cli import dagster_webserver

    return dagster_webserver


Start = Callable[..., "Popen[Any]"]


def run_dagster_dev(arguments: Sequence[str], instead: Callable[[Start], Start]) -> None:
    """Run `dagster dev` with these options. `instead` gets Dagster's function that starts a process, and
    returns the function to use in its place."""
    import dagster._cli.dev as module

    dev: Any = module
    # `dagster dev` starts exactly two processes through this name: its web server and its daemon.
    dev.open_ipc_subprocess = instead(dev.open_ipc_subprocess)
    dev.dev_command.main(list(arguments), prog_name="dagster dev")


__all__ = [
    "ASSET_PARTITION_RANGE_END_TAG",
    "ASSET_PARTITION_RANGE_START_TAG",
    "AUTO_RETRY_RUN_ID_TAG",
    "CODE_LOCATION_TAG",
    "CODE_VERSION_TAG",
    "DAEMON",
    "DATA_VERSION_IS_USER_PROVIDED_TAG",
    "DATA_VERSION_TAG",
    "GRPC_INFO_TAG",
    "INPUT_DATA_VERSION_TAG_PREFIX",
    "INPUT_EVENT_POINTER_TAG_PREFIX",
    "REPLACED",
    "REPOSITORY_LABEL_TAG",
    "SQLITE_BUSY_TIMEOUT_SECONDS",
    "UNMARKED",
    "VARIABLES",
    "WEBSERVER",
    "WILL_RETRY_TAG",
    "AssetEventSummaryRecord",
    "CanCancelExecutionRequest",
    "CanCancelExecutionResult",
    "CheckRunHealthResult",
    "ConfigurableClass",
    "ConfigurableClassData",
    "ConsolidatedSqliteEventLogStorage",
    "DagsterExecutionInterruptedError",
    "DagsterGrpcClient",
    "DagsterUserCodeProcessError",
    "DagsterUserCodeUnreachableError",
    "DefaultRunLauncher",
    "EventLogEntry",
    "GetCurrentRunsResult",
    "InstigatorStatus",
    "InstigatorType",
    "PoolGranularity",
    "PostProcessingError",
    "ResumeRunContext",
    "RunLauncher",
    "SerializableErrorInfo",
    "SqlEventLogStorageTable",
    "SqliteEventLogStorage",
    "WorkerStatus",
    "daemon_log_keys",
    "deserialize_value",
    "instance_of",
    "load_yaml_from_path",
    "refuse_at_launch",
    "run_dagster_dev",
    "store_errors_as",
    "webserver_command",
]
