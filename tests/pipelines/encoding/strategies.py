"""The ways of encoding, for tests that require the same bytes from all of them."""

from typing import get_args

import pytest

from pipelines.encoding.columns.compiled_writer import usable
from pipelines.encoding.encoder import Strategy

NOT_BUILT = pytest.mark.skipif(
    not usable(), reason="needs the compiled library: a C compiler at installation"
)
STRATEGIES = [
    pytest.param(way, marks=NOT_BUILT) if way == "compiled" else way
    for way in get_args(Strategy)
    if way != "auto"
]
