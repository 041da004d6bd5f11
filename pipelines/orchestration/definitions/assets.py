"""One event becomes one op that materializes three assets, window by window.

It is one op, not three: in a ranged run Dagster skips a whole step if the step before it lacks an output, so
with three ops one bad window would stop every good one. In this op each window is sourced, transformed,
checked and published by itself, and recorded as it happens (docs/decisions/0001-one-op-per-event.md).
"""

import logging

import dagster as dg

from pipelines.authoring.event import Event
from pipelines.orchestration.config import RunConfig
from pipelines.orchestration.definitions.descriptions import agreements, code_references, contract_columns
from pipelines.orchestration.definitions.launch_check import SCHEMA
from pipelines.orchestration.definitions.partitions import partitions_of
from pipelines.orchestration.environment import mark_environment
from pipelines.orchestration.keys import (
    FITS_CONTRACT,
    HEARTBEAT,
    IN_A_WINDOW,
    RECONCILED,
    asset_key,
    legal_tag,
    op_name,
    table_key,
    topic_pool,
)
from resources.errors import SluiceError
from resources.process.waiting import telling

_CHECKS_AS_OUTPUTS = "did not yield or return expected outputs"


def build_assets(event: Event) -> dg.AssetsDefinition:
    """The event's sourced, transformed and published assets, and their checks."""
    specs = _specs(event)
    partitions = partitions_of(event.windows)

    @dg.multi_asset(
        name=op_name(event),
        specs=specs,
        check_specs=[
            dg.AssetCheckSpec(
                IN_A_WINDOW,
                asset=asset_key(event, "sourced"),
                description="Rows of the warehouse that belong to no window, and so become no event: without a time, or "
                "with one that cannot be right. Counted once a day at most; it holds nothing back.",
            ),
            dg.AssetCheckSpec(
                FITS_CONTRACT,
                asset=asset_key(event, "transformed"),
                blocking=True,
                partitions_def=partitions,
                description="Every row fits the contract, or no more rows than the event allows are dead letters.",
            ),
            dg.AssetCheckSpec(
                RECONCILED,
                asset=asset_key(event, "published"),
                partitions_def=partitions,
                description="What a run published, read back: every record there, once and unaltered. Failed too, with the "
                "reason, where the newest run of a window was blocked or failed before that.",
            ),
        ],
        can_subset=True,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=topic_pool(event),
        config_schema=SCHEMA,
        required_resource_keys={"platform", HEARTBEAT},
    )
    def materialize(context):  # type: ignore[no-untyped-def]
        context.log.addFilter(_no_false_alarm)
        # Imported here: only a run needs the clients of Kafka and the warehouse,
        # not the server that lists assets.
        from pipelines.orchestration.windows.failures import RunFailure, run_failure
        from pipelines.orchestration.windows.run import WindowRun
        from pipelines.orchestration.windows.stages import windows_of
        from pipelines.orchestration.windows.unchanged_windows import UnchangedWindows

        try:
            windows = windows_of(event, context)
            unchanged = UnchangedWindows(
                event,
                context.instance,
                context.run,
                context.selected_asset_keys,
                windows,
                warn=context.log.warning,
            )
            try:
                config = RunConfig(**context.op_execution_context.op_config)
                with telling(context.log.info), context.resources.platform.open(context.log.info) as platform:
                    mark_environment(context, platform.settings)
                    yield from WindowRun(event, context, config, platform, windows, unchanged).windows()
            except SluiceError as error:
                unchanged.keep(error)  # the run was refused before its first window
                raise
        except SluiceError as error:
            raise run_failure(str(error), [RunFailure((), error.parts)]) from None

    return materialize


def _no_false_alarm(record: logging.LogRecord) -> bool:
    # Checks are recorded for each window, as evaluations. Dagster also looks for one output of each check,
    # and reports at the end of every good run that it did not find it.
    return _CHECKS_AS_OUTPUTS not in str(record.msg)


def _specs(event: Event) -> list[dg.AssetSpec]:
    columns, references = contract_columns(event), code_references(event)
    upstream: list[dg.AssetKey] = [table_key(event.warehouse, table) for table in event.source.tables]
    told = {
        "sourced": f"The warehouse rows of a window, as an immutable snapshot.\n\n```sql\n{event.source.sql}\n```",
        "transformed": "The rows after the transform, fitted to the contract; misfits are dead letters.",
        "published": f"The events on `{event.topic}`, each exactly once.",
    }
    kinds = {
        "sourced": {"parquet"},
        "transformed": {"parquet"} if event.transform is None else {"pandas", "parquet"},
        "published": {"kafka", "avro"},
    }
    specs = []
    for stage, description in told.items():
        metadata: dict[str, object] = {"dagster/code_references": references}
        if stage != "sourced":
            metadata["dagster/column_schema"] = columns
        if stage == "published":
            metadata |= {"topic": event.topic, "key": event.key, "event_time": event.event_time}
            metadata |= agreements(event)
        key = asset_key(event, stage)
        specs.append(
            dg.AssetSpec(
                key,
                deps=upstream,
                # Not every window of a run yields every stage; what did not happen is not recorded.
                skippable=True,
                description=f"{event.description}\n\n{description}",
                group_name=event.domain,
                code_version=event.code_version,
                owners=[event.owner],
                kinds=kinds[stage],
                tags={**dict(event.tags), "sluice/stage": stage, "sluice/event": legal_tag(event.name)},
                metadata=metadata,
            )
        )
        upstream = [key]
    return specs
