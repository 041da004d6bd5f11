"""The sensor that records when a declared consumer has first read an event."""

from collections.abc import Sequence

import dagster as dg

from pipelines.authoring.event import Event
from resources.errors import SluiceError

SENSOR = "first_consumption"


def build_consumption_sensors(events: Sequence[Event]) -> list[dg.SensorDefinition]:
    """The sensor; none if no event declares a consumer."""
    declaring = [event for event in events if event.consumers]
    if not declaring:
        return []

    @dg.sensor(
        name=SENSOR,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Records in the journal when a declared consumer has first committed an offset behind an event's first "
        "record (docs/journal.md#first-consumption). It launches nothing.",
    )
    def first_consumption(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        # Imported here: this imports the Kafka clients, and the code server loads without them.
        from pipelines.journal.consumption_watch import ConsumptionWatch, Memory, declared_consumers
        from resources.platform import Platform

        try:
            with Platform() as platform:
                memory = Memory.from_json(context.cursor)
                consumers = declared_consumers(declaring, platform.settings)
                looked = ConsumptionWatch(platform, consumers, memory, by=f"sensor {SENSOR}").look()
        except SluiceError as error:
            # Brokers may be down for a while. The ticks of that time do not count as failures.
            return dg.SkipReason(f"not looked: {error}")
        if (known := memory.to_json()) != (context.cursor or ""):
            context.update_cursor(known)
        return dg.SkipReason(str(looked))

    return [first_consumption]
