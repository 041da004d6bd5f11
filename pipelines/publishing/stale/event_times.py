"""The event time of a value on a topic, whoever wrote it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pipelines.contract.temporal import WideTimestamp, count_of
from pipelines.encoding import FrameError, decode_record
from pipelines.run_events import Said, Tell
from resources.errors import SluiceError
from resources.registry import Registry
from resources.registry.errors import NotAvro, SchemaUnknown


class Instants:
    """Returns when an event happened, in microseconds since 1970, by the field `event_time` of the value.

    An instant outside the 64-bit range of microseconds becomes the first or the last instant of the range.
    For a tombstone the record timestamp counts. It also counts for somebody else's value that cannot be
    decoded or has no such field; that the topic holds such values is said once.
    """

    def __init__(self, registry: Registry, event_time: str, *, tell: Tell = lambda _: None) -> None:
        self._registry, self._event_time, self._tell = registry, event_time, tell
        self._schemas: dict[int, str] = {}
        self._said = False

    def of(self, value: bytes | None, record_timestamp_ms: int) -> int:
        """The instant of one record."""
        if value is None:
            return _within_64_bits(record_timestamp_ms * 1000)
        try:
            decoded: Mapping[str, Any] = decode_record(value, self._schema)
            at = decoded[self._event_time]
            if isinstance(at, datetime | WideTimestamp):
                return _within_64_bits(count_of(at, 1_000_000))
            problem = f"whose {self._event_time} is no timestamp"
        except (FrameError, SchemaUnknown):
            problem = "that are not in the registry's wire format"
        except NotAvro:
            problem = "whose schema is not Avro"
        except SluiceError:
            raise
        except (KeyError, TypeError):
            problem = f"without {self._event_time}"
        except Exception as error:  # somebody else's bytes may raise any error in a decoder
            problem = f"that cannot be decoded ({type(error).__name__})"
        if not self._said:
            self._said = True
            told = (
                f"the topic holds values of another producer {problem}; they count by their record timestamp"
            )
            self._tell(Said(text=told))
        return _within_64_bits(record_timestamp_ms * 1000)

    def _schema(self, schema_id: int) -> str:
        if schema_id not in self._schemas:
            self._schemas[schema_id] = self._registry.by_id(schema_id)
        return self._schemas[schema_id]


def _within_64_bits(count: int) -> int:
    return max(-(2**63), min(count, 2**63 - 1))
