"""From conformed rows to keys and framed Avro values."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa

from pipelines.contract import Contract
from pipelines.encoding.columns.assembly import binary_from, binary_of, byte_view, join
from pipelines.encoding.columns.compiled_writer import CompiledWriter, usable
from pipelines.encoding.columns.leaves import Column, columns_of
from pipelines.encoding.errors import EncodingError
from pipelines.encoding.event_id import event_ids, id_text
from pipelines.encoding.frame import frame_header
from pipelines.encoding.keys import check_key, key_bytes
from pipelines.encoding.nodes import Node, field_nodes
from pipelines.encoding.rowwise import RowwiseWriter

Strategy = Literal["auto", "compiled", "fastavro"]

# Encoding needs some hundred bytes of memory per row, and larger pieces are no faster.
_SLICE_ROWS = 32_768


@dataclass(frozen=True)
class EncodedBatch:
    """The keys and values of one batch, in the order of its rows; `event_ids` (text) if ids were computed."""

    keys: pa.BinaryArray
    values: pa.LargeBinaryArray
    event_ids: pa.StringArray | None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def total_bytes(self) -> int:
        """Bytes of all keys and values, before compression and Kafka's own framing."""
        return sum(int(offsets[-1] - offsets[0]) for offsets, _ in map(byte_view, (self.keys, self.values)))


class _Writer(Protocol):
    @property
    def strategy(self) -> str: ...

    def bodies(self, columns: list[Column], length: int, prefix: bytes = b"") -> pa.LargeBinaryArray: ...


class RecordEncoder:
    """Encodes batches of one event for one registered schema.

    `key` is the contract's field whose value is the message key. `event_id` is the contract's field (string
    or uuid) that the encoder itself fills with the deterministic id; the rows do not contain it. `strategy`
    "auto" is the compiled library if it is loaded, else fastavro; the property `strategy` says which. Raises
    `EncodingError` for a contract, key or id field that cannot be encoded.
    """

    def __init__(
        self,
        contract: Contract,
        *,
        schema_id: int,
        topic: str,
        key: str,
        event_id: str | None = None,
        strategy: Strategy = "auto",
    ) -> None:
        self.topic = topic
        self.contract, self.schema_id, self.key, self.event_id = contract, schema_id, key, event_id
        self._header = frame_header(schema_id)
        nodes = field_nodes(contract.type)
        rows = contract if event_id is None else contract.without(event_id)
        self._arrow_schema: pa.Schema = rows.arrow_schema
        names = [node.name for node in nodes]
        self._id_node = None if event_id is None else nodes[names.index(event_id)]
        split = len(nodes) if event_id is None else names.index(event_id)
        self._before, self._after = nodes[:split], nodes[split + 1 :]
        if key not in self._arrow_schema.names:
            raise EncodingError(topic, f"key {key!r} is not a field of the rows", allowed=", ".join(names))
        self._key = self._arrow_schema.get_field_index(key)
        check_key(nodes[names.index(key)], self._arrow_schema.field(self._key).type, topic)
        if self._id_node is not None:
            _check_id(self._id_node, topic)
        self._write_before, self._write_after = (
            _writer(group, strategy) for group in (self._before, self._after)
        )

    @property
    def strategy(self) -> str:
        """The way that is used: "compiled" or "fastavro"."""
        return self._write_before.strategy

    def encode(self, batch: pa.RecordBatch, *, with_ids: bool = False) -> EncodedBatch:
        """Encode conformed rows (`contract.without(event_id).arrow_schema`, sliced or not), in their order.

        `with_ids` also computes event ids if no field of the contract contains them. Nothing is rounded or
        shifted. Raises `EncodingError` for rows with another schema, and for a null if a value is required.
        """
        if batch.schema.names != self._arrow_schema.names or batch.schema.types != self._arrow_schema.types:
            raise EncodingError(
                self.topic,
                f"rows of schema ({_named_types(batch.schema)})",
                allowed=f"the contract's ({_named_types(self._arrow_schema)})",
                next_step="conform the rows before they are encoded",
            )
        slices = [batch.slice(row, _SLICE_ROWS) for row in range(0, max(1, batch.num_rows), _SLICE_ROWS)]
        done = [self._encode(part, with_ids or self._id_node is not None) for part in slices]
        if len(done) == 1:
            return done[0]
        return EncodedBatch(
            pa.concat_arrays([part.keys for part in done]),
            pa.concat_arrays([part.values for part in done]),
            None if done[0].event_ids is None else pa.concat_arrays([part.event_ids for part in done]),
        )

    def _encode(self, batch: pa.RecordBatch, with_ids: bool) -> EncodedBatch:
        length, split = batch.num_rows, len(self._before)
        columns = columns_of((*self._before, *self._after), batch.columns)
        keys = key_bytes(batch.column(self._key))
        if not with_ids:
            return EncodedBatch(keys, self._write_before.bodies(columns, length, self._header), None)
        front = self._write_before.bodies(columns[:split], length)
        if self._id_node is None:
            text = id_text(event_ids(self.topic, keys, front, _empty(length)))
            return EncodedBatch(keys, join([self._header, front]), text)
        back = self._write_after.bodies(columns[split:], length)
        ids = event_ids(self.topic, keys, front, back)
        text = id_text(ids)
        id_field = binary_from(ids) if self._id_node.kind == "fixed" else text.cast(pa.binary())
        # 0x48: the zig-zag varint of 36, the length of a UUID's text.
        id_head = self._id_node.branch + (b"" if self._id_node.kind == "fixed" else b"\x48")
        return EncodedBatch(keys, join([self._header, front, id_head, id_field, back]), text)


def _empty(length: int) -> pa.LargeBinaryArray:
    return binary_of(np.zeros(length + 1, np.int64), np.empty(0, np.uint8))


def _writer(nodes: tuple[Node, ...], strategy: Strategy) -> _Writer:
    return (
        CompiledWriter()
        if strategy == "compiled" or (strategy == "auto" and usable())
        else RowwiseWriter(nodes)
    )


def _check_id(node: Node, topic: str) -> None:
    if not (node.kind == "string" or (node.kind == "fixed" and node.avro.logical == "uuid")):
        raise EncodingError(
            topic,
            f"event id field {node.name!r} is {node.avro.logical or node.kind}",
            allowed="string or uuid",
        )


def _named_types(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)
