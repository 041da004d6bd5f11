"""Avro to Arrow: each supported Avro type has exactly one Arrow type."""

import pyarrow as pa

from pipelines.contract.avro_type import AvroField, AvroType

_BY_LOGICAL: dict[str, pa.DataType] = {
    "date": pa.date32(),
    "time-millis": pa.time32("ms"),
    "time-micros": pa.time64("us"),
    "timestamp-millis": pa.timestamp("ms", "UTC"),
    "timestamp-micros": pa.timestamp("us", "UTC"),
    "timestamp-nanos": pa.timestamp("ns", "UTC"),
    "local-timestamp-millis": pa.timestamp("ms"),
    "local-timestamp-micros": pa.timestamp("us"),
    "local-timestamp-nanos": pa.timestamp("ns"),
    # Canonical lower-case text for a uuid on string and for one on fixed(16): one form in every snapshot.
    "uuid": pa.string(),
}
_BY_KIND: dict[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
    # Plain strings, not dictionary<>: plain strings stay unchanged in Parquet and in pandas.
    "enum": pa.string(),
}
LARGEST_DECIMAL_PRECISION = 76


def arrow_type(avro: AvroType) -> pa.DataType:
    """The Arrow type of `avro`. The Arrow fields of its children say whether these are nullable."""
    if avro.logical == "decimal":
        return (pa.decimal128 if avro.precision <= 38 else pa.decimal256)(avro.precision, avro.scale)
    if avro.logical is not None:
        return _BY_LOGICAL[avro.logical]
    match avro.kind:
        case "fixed":
            return pa.binary(avro.size)
        case "array":
            # "element" is Parquet's own name, so that a schema that is read back from a snapshot is equal.
            return pa.list_(pa.field("element", arrow_type(avro.element), avro.element.nullable))
        case "map":
            return pa.map_(pa.string(), pa.field("value", arrow_type(avro.element), avro.element.nullable))
        case "record":
            return pa.struct([arrow_field(child) for child in avro.fields])
    return _BY_KIND[avro.kind]


def arrow_field(field: AvroField) -> pa.Field:
    return pa.field(field.name, arrow_type(field.type), field.type.nullable)
