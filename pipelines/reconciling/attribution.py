"""Decides whether an unexpected record belongs to a window:
it does if its event time is in the window, or cannot be read."""

from collections.abc import Iterable
from datetime import UTC, datetime

from pipelines.authoring.event import Event
from pipelines.encoding import FrameError, decode_record
from pipelines.ledger.entry import LedgerEntry
from pipelines.reconciling.comparison import LogRecord
from pipelines.reconciling.log import LogReader
from resources.errors import SluiceError, TransientError
from resources.platform import Platform


class Attribution:
    """Distinguishes a window's altered records from other records with the same keys."""

    def __init__(self, event: Event, platform: Platform, entry: LedgerEntry) -> None:
        self._event_time, self._platform, self._topic = event.event_time, platform, entry.topic
        self._window = event.windows.window(entry.window)
        self._schemas: dict[int, str] = {}

    def own(self, log: LogReader, standings: Iterable[LogRecord]) -> set[LogRecord]:
        """The records of `standings` that belong to the window. Their values are read again."""
        wanted = {(s.kafka_partition, s.offset): s for s in standings}
        ranges: dict[int, tuple[int, int]] = {}
        for p, offset in wanted:
            first, end = ranges.get(p, (offset, offset + 1))
            ranges[p] = (min(first, offset), max(end, offset + 1))
        found = set()
        for records in log.read(self._topic, ranges):
            places = zip(records.kafka_partitions.tolist(), records.offsets.tolist(), strict=True)
            for row, place in enumerate(places):
                if place in wanted and self._is_own(records.values[row].as_py()):
                    found.add(wanted[place])
        return found

    def _is_own(self, value: bytes | None) -> bool:
        if value is None:
            return False
        try:
            instant = decode_record(value, self._schema).get(self._event_time)
        except TransientError:
            raise
        except (FrameError, SluiceError):
            return True
        if not isinstance(instant, datetime):
            return True
        instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        return self._window.start <= instant < self._window.end

    def _schema(self, schema_id: int) -> str:
        if schema_id not in self._schemas:
            self._schemas[schema_id] = self._platform.registry.by_id(schema_id)
        return self._schemas[schema_id]
