"""Converts columns of any depth to the contract's Arrow type: nested values
through their flattened children."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.authoring.loading.column_difference import difference
from pipelines.authoring.problems import listing
from pipelines.contract import AvroType
from pipelines.contract.arrow_mapping import arrow_field, arrow_type
from pipelines.transform.conforming.cells import read_cells
from pipelines.transform.conforming.leaves import ColumnMismatchError, conform_leaf, require_none
from pipelines.transform.dead_letters import Misfit, Reason

SourceColumn: TypeAlias = "pa.Array | list[object]"
"""A column before it is conformed: an Arrow array, or a list of Python objects of any kind."""
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# A column of Python objects counts as having a wrong type only if it has at least so many values, all of a
# wrong type. Fewer values may be single bad rows at the end of a window.
WHOLE_COLUMN = 10
_TYPE_REASONS = {Reason.WRONG_TYPE, Reason.NAIVE_TIMESTAMP, Reason.ZONED_TIMESTAMP}


def conform_column(source: SourceColumn, avro: AvroType) -> tuple[pa.Array, list[Misfit]]:
    """`source`, an Arrow array or a list of Python objects, as an array of `arrow_type(avro)`.

    A row with a misfit becomes null. Raises ColumnMismatchError if no row can fit.
    """
    if isinstance(source, list):
        return _conform_objects(source, avro)
    return _conform_array(source, avro)


def _conform_objects(values: Sequence[object], avro: AvroType) -> tuple[pa.Array, list[Misfit]]:
    exact, misfits = read_cells(values, avro)
    wrong = [m for m in misfits if m.reason in _TYPE_REASONS]
    missing = sum(m.reason is Reason.NULL and not m.path for m in misfits)
    if len(wrong) >= WHOLE_COLUMN and len(wrong) + missing == len(values):
        if avro.kind == "record" and all(isinstance(value, Mapping) for value in values if value is not None):
            _require_fields([value for value in values if isinstance(value, Mapping)], avro)
        mismatch = ColumnMismatchError(f"an object column with {wrong[0].value!r}", wrong[0].detail)
        raise (mismatch if wrong[0].path else mismatch.of(avro)).under(wrong[0].path)
    return pa.array(exact, arrow_type(avro)), misfits


def _require_fields(records: Sequence[Mapping[str, object]], avro: AvroType) -> None:
    """Raise ColumnMismatchError with every field of these records whose values have a wrong type. This is
    needed because reading a record stops at its first misfit."""
    found = []
    for child in avro.fields:
        try:
            _conform_objects([record[child.name] for record in records if child.name in record], child.type)
        except ColumnMismatchError as mismatch:
            found.append(mismatch.under(f".{child.name}"))
    require_none(found)


def plain(array: pa.Array) -> pa.Array:
    """`array` with the same values, but without dictionary, run-end, view or extension type."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        # Only known extension types: the storage of an unknown one does not say what its values mean.
        if kind.extension_name == "arrow.bool8":
            return pc.not_equal(array.storage, 0)
        if kind.extension_name in ("arrow.uuid", "arrow.json"):
            return plain(array.storage)
        return array
    if pa.types.is_dictionary(kind):
        return plain(array.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return plain(pc.run_end_decode(array))
    if pa.types.is_string_view(kind):
        return array.cast(pa.large_string())
    if pa.types.is_binary_view(kind):
        return array.cast(pa.large_binary())
    return array


def _conform_array(
    array: pa.Array, avro: AvroType, present: Mask | None = None
) -> tuple[pa.Array, list[Misfit]]:
    """`present`: true where the parent record exists; None: everywhere."""
    array = plain(array)
    misfits: list[Misfit] = []
    if array.null_count and not avro.nullable:
        missing = array.is_null().to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(missing if present is None else missing & present).tolist()
        misfits += [Misfit(row, "", Reason.NULL, None, f"{avro}, not null") for row in rows]
    if array.null_count == len(array):
        # Only nulls, or nothing: there is no value that a change of type could alter.
        return pa.nulls(len(array), arrow_type(avro)), misfits
    try:
        match avro.kind:
            case "array":
                converted, found = _conform_list(array, avro)
            case "map":
                converted, found = _conform_map(array, avro)
            case "record":
                converted, found = _conform_struct(array, avro, present)
            case _:
                converted, found = conform_leaf(array, avro)
    except ColumnMismatchError as mismatch:
        raise mismatch.of(avro) from None
    return converted, misfits + found


def _is_any_list(kind: pa.DataType) -> bool:
    checks = ("is_list", "is_large_list", "is_fixed_size_list", "is_list_view", "is_large_list_view")
    return any(getattr(pa.types, check)(kind) for check in checks)


def _is_fixed_size(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind))


def _parents(lists: pa.Array) -> tuple[Integers, Integers, Integers]:
    """For a list array: offsets from 0, and for each child its parent row and its position in that row."""
    lengths = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    parents = np.repeat(np.arange(len(lists)), lengths)
    return offsets, parents, np.arange(len(parents)) - offsets[parents]


def _conform_list(array: pa.Array, avro: AvroType) -> tuple[pa.Array, list[Misfit]]:
    if not _is_any_list(array.type):
        raise ColumnMismatchError(array.type, f"lists of {avro.element}", "a list per row makes one")
    # Only fixed-size lists are cast: Arrow 26 casts views that are sliced or out of order to wrong lists.
    lists = array.cast(pa.large_list(array.type.value_field)) if _is_fixed_size(array.type) else array
    offsets, parents, positions = _parents(lists)
    try:
        children, found = _conform_array(lists.flatten(), avro.element)
    except ColumnMismatchError as mismatch:
        raise mismatch.under("[]") from None
    misfits = [
        Misfit(int(parents[m.row]), f"[{positions[m.row]}]{m.path}", m.reason, m.value, m.detail)
        for m in found
    ]
    target = arrow_type(avro)
    built = pa.ListArray.from_arrays(_int32(offsets), children, type=target, mask=lists.is_null())
    return built, misfits


def _int32(offsets: Integers) -> pa.Int32Array:
    if offsets[-1] > 2**31 - 1:
        raise pa.ArrowCapacityError("more than 2^31 nested values in one batch; use smaller batches")
    return pa.array(offsets.astype(np.int32))


def _conform_map(array: pa.Array, avro: AvroType) -> tuple[pa.Array, list[Misfit]]:
    if not pa.types.is_map(array.type):
        raise ColumnMismatchError(array.type, f"maps of text to {avro.element}", "a dict per row makes one")
    kind = array.type
    entry = pa.struct([pa.field("key", kind.key_type, False), pa.field("value", kind.item_type)])
    lists = array.cast(pa.list_(pa.field("entries", entry, False)))
    offsets, parents, _ = _parents(lists)
    entries = lists.flatten()
    wrong, both = [], []
    for part, kind in (("key", AvroType("string")), ("value", avro.element)):
        try:
            both.append(_conform_array(entries.field(part), kind))
        except ColumnMismatchError as mismatch:
            wrong.append(mismatch.under("[]"))
    require_none(wrong)
    (keys, bad_keys), (values, bad_values) = both
    names = keys.to_pylist() if bad_values or bad_keys else []
    misfits = [Misfit(int(parents[m.row]), "", m.reason, m.value, f"map keys: {m.detail}") for m in bad_keys]
    misfits += _duplicate_keys(keys, parents)
    misfits += [
        Misfit(int(parents[m.row]), f"[{names[m.row]!r}]{m.path}", m.reason, m.value, m.detail)
        for m in bad_values
    ]
    if bad_keys:  # their rows become dead letters, but a map array cannot be built with a null key
        keys = keys.fill_null("")
    built = pa.MapArray.from_arrays(
        _int32(offsets), keys, values, type=arrow_type(avro), mask=lists.is_null()
    )
    return built, misfits


def _duplicate_keys(keys: pa.StringArray, parents: Integers) -> list[Misfit]:
    codes = keys.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    order = np.lexsort((codes, parents))
    same = (np.diff(codes[order]) == 0) & (np.diff(parents[order]) == 0)
    misfits = []
    for child in order[1:][same].tolist():
        key = keys[child].as_py()
        if key is not None:
            misfits.append(
                Misfit(int(parents[child]), f"[{key!r}]", Reason.DUPLICATE_KEY, key, "each key once")
            )
    return misfits


def _conform_struct(array: pa.Array, avro: AvroType, present: Mask | None) -> tuple[pa.Array, list[Misfit]]:
    expected = [child.name for child in avro.fields]
    if not pa.types.is_struct(array.type):
        raise ColumnMismatchError(
            array.type, f"structs with the fields {listing(expected)}", "a dict per row makes one"
        )
    given = [child.name for child in array.type]
    wrong = []
    if sorted(given) != sorted(expected):
        missing = [name for name in expected if name not in given]
        extra = [name for name in dict.fromkeys(given) if name not in expected or given.count(name) > 1]
        told, step = difference(missing, extra, of=len(expected))
        allowed = f"a struct with the fields {listing(expected)}"
        wrong.append(ColumnMismatchError(f"a struct of other fields ({told})", allowed, step))
    # Where there is no struct, what a child contains is neither missing nor wrong.
    absent = array.is_null() if array.null_count else None
    if absent is not None:
        own = array.is_valid().to_numpy(zero_copy_only=False)
        present = own if present is None else own & present
    children, misfits = [], []
    for child in avro.fields:
        if given.count(child.name) != 1:
            continue
        try:
            values, bad = _conform_array(array.field(child.name), child.type, present)
        except ColumnMismatchError as mismatch:
            wrong.append(mismatch.under(f".{child.name}"))
            continue
        children.append(values)
        misfits += [
            Misfit(m.row, f".{child.name}{m.path}", m.reason, m.value, m.detail)
            for m in bad
            if present is None or present[m.row]
        ]
    require_none(wrong)
    fields = [arrow_field(child) for child in avro.fields]
    built = pa.StructArray.from_arrays(children, fields=fields, mask=absent)
    return built, misfits
