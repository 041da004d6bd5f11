"""Memory that allocators keep is freed after many rows,
without a delay after a few rows; and they keep little."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from resources.process import memory

pytestmark = pytest.mark.slow


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


def test_a_long_step_gives_back_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(memory, "give_back", given.append)
    one = memory.GivingBack()
    for _ in range(250):
        one.passed(10_000)
    assert given == [1_000_000, 1_000_000]
    one.passed(3_000_000)
    assert given[2:] == [3_500_000]


# A separate process, because the choice applies to the whole process. It prints which pool pyarrow uses, how
# many arenas eight threads at once have made, and how many MiB remain of freed blocks of 8 MiB below one that
# is still in use.
_PROCESS = """
import ctypes, re, sys, tempfile, threading
from pathlib import Path
from resources.settings import load_settings
from resources.platform import Platform
import pyarrow as pa

def resident():
    return int(re.search(r"RssAnon:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

if sys.argv[1] == "with":
    Platform(load_settings())
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
together, lock = threading.Barrier(8), threading.Lock()

def one():
    together.wait()
    held = libc.malloc(100)
    together.wait()
    libc.free(held)

threads = [threading.Thread(target=one) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.fopen.restype, libc.malloc_info.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]
with tempfile.NamedTemporaryFile() as file:
    out = libc.fopen(file.name.encode(), b"w")
    libc.malloc_info(0, out)
    libc.fclose(out)
    arenas = Path(file.name).read_text().count("<heap nr=")
before = resident()
for _ in range(3):
    blocks = [libc.malloc(8 << 20) for _ in range(8)]
    above = libc.malloc(100 << 10)
    for block in blocks:
        ctypes.memset(block, 1, 8 << 20)
    for block in blocks:
        libc.free(block)
print(pa.default_memory_pool().backend_name, arenas, round(resident() - before))
"""
glibc = pytest.mark.skipif(not memory._is_glibc(), reason="the rules are glibc's")


def process(platform: str, **environment: str) -> tuple[str, int, int]:
    known = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "ARROW_"))}
    done = subprocess.run(
        [sys.executable, "-c", _PROCESS, platform],
        capture_output=True, text=True, check=True, env={**known, **environment},
    )  # fmt: skip
    pool, arenas, kept = done.stdout.split()
    return pool, int(arenas), int(kept)


@glibc
def test_a_process_that_opens_the_platform_keeps_little() -> None:
    pool, arenas, kept = process("with")
    assert (pool, arenas) == ("system", 2)
    assert kept < 8


@glibc
def test_it_would_keep_much() -> None:
    _, arenas, kept = process("without")
    assert arenas > 2
    assert kept > 30


@glibc
def test_what_the_environment_says_stands() -> None:
    kept_much = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "1073741824"}
    pool, arenas, kept = process(
        "with", ARROW_DEFAULT_MEMORY_POOL="jemalloc", MALLOC_ARENA_MAX="5", **kept_much
    )
    assert (pool, arenas) == ("jemalloc", 5)
    assert kept > 30
    assert process("with", GLIBC_TUNABLES="glibc.malloc.arena_max=4")[1] == 4
