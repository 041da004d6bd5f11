"""Memory that allocators keep is given back behind many rows, and behind few nobody waits for it."""

import re
from pathlib import Path

import pyarrow as pa
import pytest

from resources import memory


def resident() -> int:
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says what a process holds")
def test_what_arrow_keeps_is_given_back() -> None:
    arrays = [pa.array(range(n, n + 20_000), pa.int64()) for n in range(400)]
    held = resident()
    del arrays
    memory.give_back(memory.MANY_ROWS)
    assert resident() < held - 30_000_000


def test_behind_few_rows_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pa, "default_memory_pool", lambda: pytest.fail("asked"))
    memory.give_back(memory.MANY_ROWS - 1)
