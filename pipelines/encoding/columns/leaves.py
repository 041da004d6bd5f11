"""Arrow arrays next to the schema's tree: slices are applied, values under a null
are removed, nulls are checked.

Both ways of encoding begin here. So both refuse the same inputs, and both see the same values.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.encoding.errors import EncodingError
from pipelines.encoding.nodes import Node

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Column:
    """The values of one node, in `length` places.

    `present` is true where the parent record exists, so where something is written. `valid` is true where a
    value (not null) is written. None means everywhere. For an array or map, `counts` is the number of its
    items in each place (0 where not valid), and its child columns contain exactly those items, in order. For
    a map, the keys are `children[0]` and the values `children[1]`. `values` is the Arrow array of a leaf.
    """

    node: Node
    length: int
    present: Mask | None
    valid: Mask | None
    values: pa.Array | None = None
    counts: npt.NDArray[np.int64] | None = None
    children: tuple["Column", ...] = field(default=())

    @property
    def leaf(self) -> pa.Array:
        """The values of a column that has no children."""
        assert self.values is not None
        return self.values


def columns_of(nodes: Iterable[Node], arrays: Iterable[pa.Array]) -> list[Column]:
    """One column for each field; raises `EncodingError` for a null if the contract requires a value."""
    return [_column(node, array, None) for node, array in zip(nodes, arrays, strict=True)]


def _column(node: Node, array: pa.Array, present: Mask | None) -> Column:
    valid = _valid(node, array, present)
    length = len(array)
    if node.kind == "record":
        parts = [array.field(place) for place in range(array.type.num_fields)]
        pairs = zip(node.children, parts, strict=True)
        children = tuple(_column(child, part, valid) for child, part in pairs)
        return Column(node, length, present, valid, children=children)
    if node.kind in ("array", "map"):
        counts, item_arrays = _items(array, valid)
        if node.kind == "map":
            item_arrays = _in_key_order(counts, *item_arrays)
        pairs = zip(node.children, item_arrays, strict=True)
        children = tuple(_column(child, items, None) for child, items in pairs)
        return Column(node, length, present, valid, counts=counts, children=children)
    return Column(node, length, present, valid, values=array)


def _valid(node: Node, array: pa.Array, present: Mask | None) -> Mask | None:
    if array.null_count == 0:
        return present
    own: Mask = array.is_valid().to_numpy(zero_copy_only=False)
    if node.avro.nullable:
        return own if present is None else own & present
    missing = ~own if present is None else present & ~own
    if missing.any():
        raise EncodingError(
            node.path,
            f"null in {int(missing.sum())} places, first at {int(missing.argmax())}",
            allowed="a value: the contract does not say null",
            next_step="conform the rows before they are encoded",
        )
    return present


def _items(array: pa.Array, valid: Mask | None) -> tuple[npt.NDArray[np.int64], tuple[pa.Array, ...]]:
    """The number of items in each place, and the items of all places, without items
    that are hidden under a null."""
    offsets = array.offsets.to_numpy().astype(np.int64)
    starts, counts = offsets[:-1], np.diff(offsets)
    children = (array.keys, array.items) if pa.types.is_map(array.type) else (array.values,)
    if valid is not None and counts[~valid].any():
        counts = np.where(valid, counts, 0)
        places = pa.array(_ranges(starts, counts))
        return counts, tuple(child.take(places) for child in children)
    first, last = int(offsets[0]), int(offsets[-1])
    return counts, tuple(child.slice(first, last - first) for child in children)


def _ranges(starts: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """`starts[0], starts[0]+1, ...` for counts[0] steps, then the same for the next."""
    ends = np.cumsum(counts)
    return np.repeat(starts - (ends - counts), counts) + np.arange(ends[-1] if len(ends) else 0)


def _in_key_order(
    counts: npt.NDArray[np.int64], keys: pa.Array, items: pa.Array
) -> tuple[pa.Array, pa.Array]:
    """The entries of each map, in the byte order of their keys.

    A map has no order, but its bytes have one: equal maps must give equal bytes, otherwise one event would
    get two ids.
    """
    if len(keys) < 2:
        return keys, items
    parents = np.repeat(np.arange(len(counts)), counts)
    descending = pc.less(keys.slice(1), keys.slice(0, len(keys) - 1)).to_numpy(zero_copy_only=False)
    if not (descending & (parents[1:] == parents[:-1])).any():
        return keys, items
    order = pc.sort_indices(
        pa.table({"parent": parents, "key": keys}), sort_keys=[("parent", "ascending"), ("key", "ascending")]
    )
    return keys.take(order), items.take(order)
