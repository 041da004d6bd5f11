"""Records in columns: what a slice contains, and what is refused."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from resources.kafka.batches.rows import Rows


def rows(keys: list[bytes], values: list[bytes | None], **more: Any) -> Rows:
    return Rows(pa.array(keys, pa.binary()), pa.array(values, pa.large_binary()), **more)


def test_a_slice_holds_its_rows_and_their_bytes() -> None:
    whole = rows(
        [b"a", b"bb", b"", b"dddd"],
        [b"1", None, b"", b"4444"],
        headers=[[("h", b"%d" % n)] for n in range(4)],
        timestamps_ms=np.arange(4, dtype=np.int64),
    )
    assert (len(whole), whole.total_bytes, whole.tombstones) == (4, 7 + 5, 1)
    part = whole.slice(1, 9)
    assert (len(part), part.total_bytes, part.tombstones) == (3, 6 + 4, 1)
    assert part.keys.to_pylist() == [b"bb", b"", b"dddd"]
    assert part.values.to_pylist() == [None, b"", b"4444"]
    assert part.headers is not None and part.headers[0] == [("h", b"1")]
    assert part.timestamps_ms is not None and part.timestamps_ms.tolist() == [1, 2, 3]
    assert (len(whole.slice(4, 1)), whole.slice(4, 1).total_bytes) == (0, 0)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ((pa.array([b"k"], pa.large_binary()), pa.array([b"v"], pa.large_binary())), "not binary and"),
        ((pa.array([b"k"], pa.binary()), pa.array([b"v"], pa.binary())), "not binary and large_binary"),
        ((pa.array([b"k"], pa.binary()), pa.array([], pa.large_binary())), r"lengths: \[1, 0\]"),
        ((pa.array([b"k"], pa.binary()), pa.array([b"v"], pa.large_binary()), []), r"lengths: \[1, 1, 0\]"),
        ((pa.array([b"k"], pa.binary()), pa.array([b"v"], pa.large_binary()), None, np.ones(1)), "int64"),
    ],
)
def test_columns_that_do_not_fit_each_other_are_refused(columns: tuple[Any, ...], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Rows(*columns)
