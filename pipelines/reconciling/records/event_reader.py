"""Reads events as any consumer does: read_committed, decoded by the schema that each record names."""

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import cast

from pipelines.encoding import FrameError, decode_record, split_frame
from pipelines.encoding.decode import DecodedValue
from pipelines.encoding.plain_json import plain
from resources.errors import SluiceError
from resources.json_value import Json
from resources.kafka.errors import explain
from resources.kafka.factory import Reader, Record
from resources.platform import Platform
from resources.process.waiting import waiting_for
from resources.registry.errors import NotAvro, SchemaUnknown

_THROTTLED_SECONDS = 120.0


@dataclass(frozen=True)
class ReadBack:
    """One committed record. For a tombstone `value` and `schema_id` are None. `problem`: why the value cannot
    be decoded; `value` and `schema_id` are None then, too."""

    kafka_partition: int
    offset: int
    timestamp_ms: int
    key: str
    value: Mapping[str, DecodedValue] | None
    headers: Mapping[str, str]
    schema_id: int | None
    problem: str | None = None


class EventReader:
    """Decodes records of any topic by the registry's schemas. Each schema is fetched once.

    It has its own loop and does not use `resources.kafka.reading.range_reader.read_until`, which reads to
    known offsets and must reach them. This class reads to the end of each partition, wherever that is,
    continues after it (`follow`), and stops if nothing comes for a while.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._schemas: dict[int, str] = {}

    def _schema(self, schema_id: int) -> str:
        if schema_id not in self._schemas:
            self._schemas[schema_id] = self._platform.registry.by_id(schema_id)
        return self._schemas[schema_id]

    def decode(self, message: Record) -> ReadBack:
        """The record of a Kafka message. Raises FrameError for a value that is not in the wire format."""
        value = message.value()
        decoded = None if value is None else decode_record(value, self._schema)
        return self._read_back(message, decoded, None if value is None else split_frame(value)[0])

    def decode_or_say(self, message: Record) -> ReadBack:
        """Like `decode`, for a topic that others write too:
        a value that cannot be decoded is returned with its `problem`."""
        try:
            return self.decode(message)
        except (FrameError, SchemaUnknown, NotAvro) as error:
            problem = error.problem
        except SluiceError:  # the registry is at fault, not the record
            raise
        except Exception as error:  # somebody else's bytes may raise any error in a decoder
            problem = f"its bytes are not such a record ({type(error).__name__})"
        return replace(self._read_back(message, None, None), problem=problem)

    def _read_back(
        self, message: Record, value: Mapping[str, DecodedValue] | None, schema_id: int | None
    ) -> ReadBack:
        # As pairs: a consumer returns them so, although its type allows other forms.
        pairs = cast("list[tuple[str, bytes | None]]", message.headers() or [])
        headers = {name: (data or b"").decode("utf-8", "replace") for name, data in pairs}
        return ReadBack(
            kafka_partition=message.partition() or 0,
            offset=message.offset() or 0,
            timestamp_ms=message.timestamp()[1],
            key=(message.key() or b"").decode("utf-8", "backslashreplace"),
            value=value,
            headers=headers,
            schema_id=schema_id,
        )

    def read(
        self,
        topic: str,
        offsets: Mapping[int, int],
        *,
        quiet_seconds: float = 5.0,
        follow: bool = False,
        of_others: bool = False,
    ) -> Generator[ReadBack, None, None]:
        """Committed records from `offsets` (kafka_partition -> offset) to the end of every partition, or
        without end if `follow`. Stops if all partitions stay quiet for `quiet_seconds` because of an open
        transaction, or for two minutes while a client quota throttles the reader. With `of_others`, values
        that cannot be decoded are returned with their `problem`; otherwise they raise as in `decode`."""
        with self.fetching(topic, offsets) as reader:
            yield from self.fetched(
                reader, topic, offsets, quiet_seconds=quiet_seconds, follow=follow, of_others=of_others
            )

    @contextmanager
    def fetching(self, topic: str, offsets: Mapping[int, int]) -> Iterator[Reader]:
        """A consumer that fetches from `offsets` on, in the background, for `fetched`."""
        with self._platform.reader.lent(topic) as reader:
            reader.begin(topic, offsets)
            yield reader

    def fetched(
        self,
        reader: Reader,
        topic: str,
        offsets: Mapping[int, int],
        *,
        quiet_seconds: float = 5.0,
        follow: bool = False,
        of_others: bool = False,
    ) -> Generator[ReadBack, None, None]:
        """The records that `read` returns, from a consumer that already fetches them."""
        open_partitions = set(offsets)
        quiet, since = 0.0, time.monotonic()
        while open_partitions and (follow or quiet < quiet_seconds):
            if follow:  # waits for records that are not published yet
                message = reader.poll(0.5)
            else:
                with waiting_for(f"records of topic {topic}", since=since):
                    message = reader.poll(0.5)
            if message is None:
                throttled = reader.throttle.seconds_left > 0
                quiet += 0.5 * (quiet_seconds / _THROTTLED_SECONDS if throttled else 1)
                continue
            quiet, since = 0.0, time.monotonic()
            error = message.error()
            if error is None:
                yield self.decode_or_say(message) if of_others else self.decode(message)
            elif error.code() == error._PARTITION_EOF:
                if not follow:
                    open_partitions.discard(message.partition())
            else:
                raise explain(f"topic {topic}", error)


def printable(record: ReadBack) -> dict[str, Json]:
    """A record for people, ready for JSON; see `pipelines.encoding.plain_json`."""
    if record.value is None:
        return {"key": record.key, "tombstone": True}
    return cast("dict[str, Json]", plain(record.value))  # of a mapping


__all__ = ["EventReader", "FrameError", "ReadBack", "printable"]
