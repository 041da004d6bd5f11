"""The windows of a run, and the stages that it makes of them: the selected ones,
or what a replay or a redrive needs."""

from datetime import UTC, datetime

import dagster as dg

from pipelines.authoring.event import Event
from pipelines.orchestration.keys import STAGES, asset_key
from pipelines.publishing.request import PublishRequest
from resources.errors import SluiceError


def stages_of(event: Event, request: PublishRequest, selected: set[str]) -> set[str]:
    """The stages of a run with the `selected` assets.

    A replay from stored snapshots and a redrive read no warehouse, whatever else is selected beside
    `published`. A fresh replay makes all stages. Raises SluiceError if one of these is requested and
    `published` is not selected.
    """
    if request.replay is None and request.redrive is None:
        return selected
    if "published" not in selected:
        told = f"replay: {request.replay.source}" if request.replay else "redrive: true"
        have = ", ".join(stage for stage in STAGES if stage in selected) or "no asset"
        raise SluiceError(
            f"{event.full_name}, {told}",
            f"publishes, and the run has {have} selected",
            allowed="published; what else is selected makes no difference",
            next_step="launch it again with the published asset of the event selected; nothing was published",
        )
    return set(STAGES) if request.replay and request.replay.source == "fresh" else {"published"}


def windows_of(event: Event, context: dg.AssetExecutionContext) -> list[str]:
    """The keys of the windows of a run. A run that only evaluates checks may name none: Dagster's *Execute
    all* on the checks of an asset requests no window. Then it is the window that was published last,
    otherwise the newest complete one.

    Raises SluiceError if assets are selected and no window is.
    """
    if context.has_partition_key or context.has_partition_key_range:
        return list(context.partition_keys)
    if context.selected_asset_keys:
        raise SluiceError(
            event.full_name,
            "the run names no window",
            allowed="a window or a range of windows",
            next_step="launch it with a partition",
        )
    wanted = dg.AssetRecordsFilter(asset_key=asset_key(event, "published"))
    found = context.instance.fetch_materializations(wanted, limit=1).records
    if found and found[0].partition_key:
        return [found[0].partition_key]
    newest = event.windows.last_complete(datetime.now(UTC))
    return [newest.key] if newest else []
