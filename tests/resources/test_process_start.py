"""How a process of Sluice begins and ends."""

import subprocess
import sys

_KEEPS_A_CONNECTION = """
import atexit, ctypes, sys
{begin}
import duckdb
connection = duckdb.connect()
ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))  # is never freed
atexit.register(print, "at exit", file=sys.stderr)
raise RuntimeError("the end")
"""


def _printed(begin: str) -> str:
    code = _KEEPS_A_CONNECTION.format(begin=begin)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120).stderr


def test_nothing_is_printed_about_objects_of_duckdb_at_the_end() -> None:
    """An error of the process itself, and what an exit handler prints, is still shown."""
    printed = _printed("from resources.process.start import begin_process; begin_process()")
    assert "RuntimeError: the end" in printed and "at exit" in printed
    assert "nanobind" not in printed


def test_without_it_duckdb_prints_about_them() -> None:
    assert "nanobind: leaked" in _printed("")
