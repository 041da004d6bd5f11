"""Which rows of two snapshots are the same event, even if they were made under two contracts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from pipelines.encoding import RecordEncoder
from pipelines.encoding.keys import key_bytes
from pipelines.publishing.next_generation.difference import Encoded

Encode = Callable[[pa.RecordBatch], Encoded]


def encodings(
    base: pa.Schema, base_key: str, target: pa.Schema, encoder: RecordEncoder, *, same_contract: bool
) -> tuple[Encode, Encode]:
    """How to encode rows of schema `base` and of schema `target`, so that two rows have the same id if they
    are one event.

    `encoder` makes the records of `target`. If the columns and the key field are the same, rows with equal
    values are one event. If they differ, no two rows are one event; a new event replaces a published event
    with the same key bytes.
    """
    # The metadata names the key field.
    if not base.equals(target, check_metadata=True):
        return partial(_keys_only, base_key, "published"), partial(_keys_only, encoder.key, "new")
    if not same_contract:
        # An enum of the new contract may lack a symbol of the published rows,
        # and its symbols may have other positions.
        encoder = RecordEncoder(
            encoder.contract.spelt_out(),
            schema_id=encoder.schema_id,
            topic=encoder.topic,
            key=encoder.key,
            event_id=encoder.event_id,
        )
    encode = partial(encoder.encode, with_ids=True)
    return encode, encode


@dataclass(frozen=True)
class _Keys:
    """Keys with ids that no event has."""

    keys: pa.BinaryArray
    event_ids: pa.StringArray

    def __len__(self) -> int:
        return len(self.keys)


def _keys_only(key: str, told: str, batch: pa.RecordBatch) -> Encoded:
    keys = key_bytes(batch.column(batch.schema.get_field_index(key)))
    return _Keys(keys, pa.array([told] * len(keys), pa.string()))
