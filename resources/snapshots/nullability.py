"""Schemas as Parquet stores them.

In Arrow, a null struct may have null children even if a child is declared not null; the rows of an optional
nested record are such structs. Parquet's writer refuses them. So files are stored with every field nullable.
The declared schema is stored in the file's metadata, and reading puts it back. No data is copied.
"""

import base64

import pyarrow as pa

_KEY = b"sluice.schema"


def stored_schema(declared: pa.Schema) -> pa.Schema:
    """`declared` with every field nullable at every depth; its metadata contains `declared`."""
    relaxed = pa.schema([_relaxed(field) for field in declared])
    if relaxed.equals(declared):
        return declared
    return relaxed.with_metadata({_KEY: base64.b64encode(declared.serialize().to_pybytes())})


def declared_schema(stored: pa.Schema) -> pa.Schema:
    """The schema from which `stored` was made."""
    found = (stored.metadata or {}).get(_KEY)
    return stored if found is None else pa.ipc.read_schema(pa.py_buffer(base64.b64decode(found)))


def alike(one: pa.Schema, other: pa.Schema) -> bool:
    """Whether two schemas differ only in nullability and metadata. Schemas with nested
    fields always count as different."""
    if any(pa.types.is_nested(field.type) for field in one):
        return False
    return [(field.name, field.type) for field in one] == [(field.name, field.type) for field in other]


def as_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The same buffers with another schema, which differs only in nullability and metadata."""
    if batch.schema.equals(schema, check_metadata=True):
        return batch
    # Through the C data interface: a cast would check every value, and would forbid the
    # nulls that a null parent allows.
    _, array = batch.__arrow_c_array__()
    return pa.RecordBatch._import_from_c_capsule(schema.__arrow_c_schema__(), array)


def _relaxed(field: pa.Field) -> pa.Field:
    return pa.field(field.name, _relaxed_type(field.type), nullable=True)


def _relaxed_type(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(type_):
        return pa.struct([_relaxed(type_.field(i)) for i in range(type_.num_fields)])
    if pa.types.is_map(type_):
        # In Arrow itself, the key of a map is never null.
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
