"""A full temporary folder is reported as such, wherever it is noticed; other errors keep their own words."""

import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from pipelines.publishing.next_generation import difference
from resources.process.scratch import ScratchFull, scratch_folder, scratch_room


def test_a_sort_that_finds_no_room_to_spill_is_told_where_and_what_to_do() -> None:
    with (
        pytest.raises(ScratchFull, match="no room for what does not fit into memory") as told,
        scratch_folder("sluice-test-") as folder,
        duckdb.connect(config={"memory_limit": "30MB", "temp_directory": str(folder)}) as connection,
    ):
        connection.execute("SET max_temp_directory_size = '1MB'")
        connection.execute("CREATE TABLE t AS SELECT md5(i::VARCHAR) AS a FROM range(2000000) t(i)")
    assert tempfile.gettempdir() in told.value.where
    assert "TMPDIR" in str(told.value.next_step)
    assert "\n" not in str(told.value), "one line"
    assert not folder.exists()


def test_the_difference_of_two_snapshots_says_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "Error writing bytes to file. Detail: [errno 28] No space left on device")

    class Rows:
        keys, event_ids = pa.array([b"k"], pa.binary()), pa.array(["id"], pa.string())

        def __len__(self) -> int:
            return 1

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_batch", full)
    with pytest.raises(ScratchFull, match="No space left on device"):
        difference.difference([Rows()], [Rows()], base_rows=1, memory_limit="64MB", with_keys=False)


def test_another_fault_keeps_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), scratch_folder("sluice-test-"):
        (tmp_path / "missing").read_text()
    with pytest.raises(duckdb.ParserException), scratch_folder("sluice-test-"):
        duckdb.sql("SELEC 1")


def test_work_with_folders_of_its_own_says_it_too() -> None:
    with pytest.raises(ScratchFull, match="quota"), scratch_room():
        raise OSError(122, "Disk quota exceeded")
