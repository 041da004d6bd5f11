"""Decodes encoded records in another way, and compares them with the rows from which they were made."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, cast

import fastavro
import pyarrow as pa

from pipelines.encoding.encoder import EncodedBatch, RecordEncoder
from pipelines.encoding.frame import HEADER_BYTES, frame_header
from pipelines.encoding.nodes import field_nodes, plain_schema
from pipelines.independent_judge.choice import Choice
from pipelines.independent_judge.contract_form import of_avro, of_rows
from pipelines.independent_judge.errors import Misjudged, first_difference, shown_time
from pipelines.independent_judge.values import PlainValue, reader_of, same

if TYPE_CHECKING:
    from fastavro.types import Schema

# Of the encoder's own arrays of bytes, which have no nulls.
_ReadBytes = Callable[[int], bytes]


class RecordJudge:
    """Judges the records of `encoder`, batch by batch of one window.

    `where` names the event and window; `outcome` says what happened to the records. `extremes` also chooses
    the rows with the extremes of each column; use it if nobody has judged their records before. fastavro
    decodes, without logical types; the rows are read from their buffers. Neither shares code with the
    encoders for whole columns. The field of the event id is not judged, because no row contains it.
    """

    def __init__(
        self,
        encoder: RecordEncoder,
        *,
        event_time: str,
        where: str,
        outcome: str = "nothing was published",
        extremes: bool = True,
    ) -> None:
        self._key, self._event_time, self._where, self._outcome = encoder.key, event_time, where, outcome
        self._header = frame_header(encoder.schema_id)
        self._schema = _parsed(json.dumps(plain_schema(field_nodes(encoder.contract.type))))
        self._fields = [
            (field.name, of_rows(field.type), of_avro(field.type))
            for field in encoder.contract.fields
            if field.name != encoder.event_id
        ]
        self._choice, self._extremes = Choice(where), extremes
        self.judged = 0

    def judge_some(self, batch: pa.RecordBatch, encoded: EncodedBatch, *, first_row: int = 0) -> None:
        """Judge chosen rows of the next batch of the window. Raises Misjudged."""
        columns = zip(batch.schema.names, batch.columns, strict=True) if self._extremes else ()
        self.judge(batch, self._choice.rows(columns, batch.num_rows), encoded, first_row=first_row)

    def judge(
        self,
        batch: pa.RecordBatch,
        rows: Sequence[int],
        encoded: EncodedBatch,
        *,
        first_row: int = 0,
        numbers: Sequence[int] | None = None,
    ) -> None:
        """Compare `rows` of `batch` with their records.

        For the error, `numbers` are the numbers of all rows of the batch in the window, or `first_row` is
        that of its first row. Raises Misjudged.
        """
        if not len(rows):
            return
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        readers = [(name, plain, avro, reader_of(columns[name])) for name, plain, avro in self._fields]
        values, keys = cast(_ReadBytes, reader_of(encoded.values)), cast(_ReadBytes, reader_of(encoded.keys))
        key = reader_of(columns[self._key])
        for row in rows:
            number = first_row + row if numbers is None else numbers[row]
            decoded = self._decoded(values(row))
            if decoded is None:
                # Only the length: the bytes contain every field, also personal ones.
                told = f"{len(values(row)):,} bytes that do not decode"
                raise self._wrong(columns, row, number, "", told, "a record of the row's fields")
            if keys(row) != _key_bytes(key(row)):
                raise self._wrong(columns, row, number, self._key, keys(row), _key_bytes(key(row)))
            for name, plain, avro, read in readers:
                in_row, in_record = plain(read(row)), avro(decoded[name])
                if not same(in_row, in_record):
                    path, found, wanted = first_difference(in_record, in_row, name)
                    raise self._wrong(columns, row, number, path, found, wanted)
        self.judged += len(rows)

    def _decoded(self, value: bytes | None) -> Mapping[str, PlainValue] | None:
        if value is None or value[:HEADER_BYTES] != self._header:
            return None
        stream = BytesIO(value[HEADER_BYTES:])
        try:
            record = fastavro.schemaless_reader(stream, self._schema, None)
        except (EOFError, ValueError, IndexError, LookupError, OverflowError):
            return None
        return (
            cast("Mapping[str, PlainValue]", record) if stream.tell() == len(value) - HEADER_BYTES else None
        )

    def _wrong(
        self,
        columns: Mapping[str, pa.Array],
        row: int,
        number: int,
        path: str,
        found: object,
        wanted: object,
    ) -> Misjudged:
        times = columns.get(self._event_time)
        return Misjudged(
            self._where,
            row=number,
            key=reader_of(columns[self._key])(row),
            time="not known" if times is None else shown_time(reader_of(times)(row), times.type),
            column=path,
            found=found,
            plain=wanted,
            found_is="the encoded record holds",
            plain_is="the transformed snapshot",
            outcome=self._outcome,
        )


def _key_bytes(value: PlainValue) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@lru_cache(maxsize=64)
def _parsed(schema: str) -> "Schema":
    return fastavro.parse_schema(json.loads(schema))
