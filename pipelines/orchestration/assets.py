"""One event becomes one op that materializes three assets, window by window.

One op, not three: in a ranged run Dagster skips a whole step when the step before it lacks an output, so with
three ops one bad window would hold back every good one. Here each window is sourced, transformed, checked and
published by itself, and recorded as it happens (docs/decisions/0001-one-op-per-event.md).
"""

import dagster as dg

from pipelines.authoring.event import Event
from pipelines.orchestration.config import CONFIG, RunConfig
from pipelines.orchestration.described import code_references, contract_columns
from pipelines.orchestration.keys import (
    FITS_CONTRACT,
    IN_A_WINDOW,
    RECONCILED,
    asset_key,
    legal_tag,
    op_name,
    table_key,
    topic_pool,
)
from pipelines.orchestration.partitions import partitions_of
from resources.errors import SluiceError


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
        config_schema=CONFIG,
        required_resource_keys={"platform"},
    )
    def materialize(context):  # type: ignore[no-untyped-def]
        # The clients of the outside world are loaded where a run needs them, not by the server that lists assets.
        from pipelines.orchestration.run import WindowRun

        try:
            config = RunConfig(**context.op_execution_context.op_config)
            with context.resources.platform.open(context.log.info) as platform:
                yield from WindowRun(event, context, config, platform).windows()
        except SluiceError as error:
            raise dg.Failure(str(error), allow_retries=False) from None

    return materialize


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
                tags={"sluice/stage": stage, "sluice/event": legal_tag(event.name)},
                metadata=metadata,
            )
        )
        upstream = [key]
    return specs
