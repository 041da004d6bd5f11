"""The files of a snapshot while they grow: named by nobody, hashed as they are written."""

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

_PREFIX = ".sluice-"
# No window takes so long to be written, not on the slowest warehouse.
_LEFT_SECONDS = 2 * 86_400.0
# Takes the bytes behind those before, as the `update` of a hash does.
Update = Callable[[memoryview], None]


class HashingFile:
    """A binary sink that hashes what passes through it."""

    def __init__(self, raw: IO[bytes], update: Update) -> None:
        self._raw, self._update = raw, update
        self.bytes = 0
        self.closed = False

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data)
        self._update(view)
        self.bytes += view.nbytes
        return self._raw.write(view)

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        self._raw.flush()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._raw.close()


class GrowingFile:
    """A Parquet file under way, in a staging folder. Raises OSError where the place takes no more."""

    def __init__(self, folder: str | None, update: Update) -> None:
        self.path, raw = new_file(folder, ".parquet")
        self.groups = 0
        self._sink = HashingFile(raw, update)
        self._parquet: pq.ParquetWriter | None = None

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._sink.bytes

    def add(self, group: pa.Table, schema: pa.Schema, options: dict[str, Any]) -> None:
        """Write `group` as one row group; `options` are the ParquetWriter's, of the first one."""
        if self._parquet is None:
            self._parquet = pq.ParquetWriter(pa.PythonFile(self._sink, mode="w"), schema, **options)
        self._parquet.write_table(group, row_group_size=max(1, group.num_rows))
        self.groups += 1

    def finish(self, no_rows: bytes = b"") -> None:
        """Write what stands at the end of the file, or `no_rows` where it has no row group."""
        parquet, self._parquet = self._parquet, None  # which holds what it knows of each row group
        if parquet is None:
            self._sink.write(memoryview(no_rows))
        else:
            parquet.close()
        self._sink.close()

    def discard(self) -> None:
        """Give the file up; nothing, where it has been moved to its place."""
        if self._parquet is not None:
            with suppress(Exception):
                self._parquet.close()
        # On a full disk closing fails too, for what is still to be written; the file goes anyway.
        with suppress(OSError):
            self._sink.close()
        self.path.unlink(missing_ok=True)


def new_file(folder: str | None, suffix: str) -> tuple[Path, IO[bytes]]:
    """A new file with the rights any new file of this user has; tempfile's would be readable by nobody else."""
    path = new_name(folder, suffix)
    return path, path.open("xb")


def new_name(folder: str | None, suffix: str) -> Path:
    """A name for an unfinished file, which nothing else has."""
    return Path(folder or tempfile.gettempdir()) / f"{_PREFIX}{uuid4().hex}{suffix}"


def remove_left(folder: Path) -> None:
    """Remove the unfinished files that killed runs have left in `folder`, once it is certain that nobody writes them."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # somebody else may be removing it
                # Of a second name of an old file this is when it got it.
                idle = time.time() - entry.stat().st_ctime
                if entry.name.startswith(_PREFIX) and idle > _LEFT_SECONDS:
                    Path(entry.path).unlink()
