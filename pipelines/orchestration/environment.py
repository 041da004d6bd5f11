"""A run reports where it publishes to: in its log, and in a tag that Dagster's UI can filter by."""

import dagster as dg

from resources.settings import Settings

TAG = "sluice/environment"


def mark_environment(context: dg.AssetExecutionContext, settings: Settings) -> None:
    """Log the destination, and tag the run with its environment if one is chosen."""
    context.log.info(settings.destination())
    if settings.environment is not None and context.run.tags.get(TAG) != settings.environment.name:
        context.instance.add_run_tags(context.run.run_id, {TAG: settings.environment.name})
