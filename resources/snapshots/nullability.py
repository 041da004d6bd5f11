"""Schemas as Parquet stores them.

Arrow lets a null struct have null children even where a child is declared never null, and such are an
optional nested record's rows. Parquet's writer refuses them. So files are stored with every field nullable,
and the declared schema travels in the file's metadata and is put back on reading. Nothing is copied.
"""

import base64

import pyarrow as pa

_KEY = b"sluice.schema"


def stored_schema(declared: pa.Schema) -> pa.Schema:
    """`declared` with every field nullable at every depth, carrying `declared` in its metadata."""
    relaxed = pa.schema([_relaxed(field) for field in declared])
    if relaxed.equals(declared):
        return declared
    return relaxed.with_metadata({_KEY: base64.b64encode(declared.serialize().to_pybytes())})


def declared_schema(stored: pa.Schema) -> pa.Schema:
    """The schema that `stored` was made from."""
    found = (stored.metadata or {}).get(_KEY)
    return stored if found is None else pa.ipc.read_schema(pa.py_buffer(base64.b64decode(found)))


def alike(one: pa.Schema, other: pa.Schema) -> bool:
    """Whether two schemas differ in nullability and metadata only. Nested fields are taken for different ones."""
    if any(pa.types.is_nested(field.type) for field in one):
        return False
    return [(field.name, field.type) for field in one] == [(field.name, field.type) for field in other]


def as_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The same buffers under a schema that differs in nullability and metadata only."""
    if batch.schema.equals(schema, check_metadata=True):
        return batch
    # Through the C data interface: a cast would look at every value to forbid what the parent's null allows.
    _, array = batch.__arrow_c_array__()
    return pa.RecordBatch._import_from_c_capsule(schema.__arrow_c_schema__(), array)


def _relaxed(field: pa.Field) -> pa.Field:
    return pa.field(field.name, _relaxed_type(field.type), nullable=True)


def _relaxed_type(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(type_):
        return pa.struct([_relaxed(type_.field(i)) for i in range(type_.num_fields)])
    if pa.types.is_map(type_):
        # A map's key is never null in Arrow itself.
        return pa.map_(
            pa.field("key", _relaxed_type(type_.key_type), nullable=False), _relaxed(type_.item_field)
        )
    if pa.types.is_large_list(type_):
        return pa.large_list(_relaxed(type_.value_field))
    if pa.types.is_fixed_size_list(type_):
        return pa.list_(_relaxed(type_.value_field), type_.list_size)
    if pa.types.is_list(type_):
        return pa.list_(_relaxed(type_.value_field))
    return type_
