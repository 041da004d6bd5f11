"""The files of a snapshot while they are written: without their final name, and
hashed as they are written."""

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
# No window takes so long to be written, not even from the slowest warehouse.
_LEFT_SECONDS = 2 * 86_400.0
# Takes the next bytes, as the `update` of a hash does.
Update = Callable[[memoryview], None]


class HashingFile:
    """A binary sink that hashes the bytes that pass through it."""

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
    """A Parquet file in a staging folder, while it is written. Raises OSError if the
    disk accepts no more bytes."""

    def __init__(self, folder: str | None, update: Update) -> None:
        self.path, raw = new_file(folder, ".parquet")
        self.groups = 0
        self._sink = HashingFile(raw, update)
        self._parquet: pq.ParquetWriter | None = None

    @property
    def size(self) -> int:
        """The number of bytes so far."""
        return self._sink.bytes

    def add(self, group: pa.Table, schema: pa.Schema, options: dict[str, Any]) -> None:
        """Write `group` as one row group. `options` are those of the ParquetWriter;
        only the first call uses them."""
        if self._parquet is None:
            self._parquet = pq.ParquetWriter(pa.PythonFile(self._sink, mode="w"), schema, **options)
        self._parquet.write_table(group, row_group_size=max(1, group.num_rows))
        self.groups += 1

    def finish(self, no_rows: bytes = b"") -> None:
        """Write the end of the Parquet file, or `no_rows` if it has no row group, and close the file."""
        parquet, self._parquet = self._parquet, None  # free the writer: it holds data about each row group
        if parquet is None:
            self._sink.write(memoryview(no_rows))
        else:
            parquet.close()
        self._sink.close()

    def discard(self) -> None:
        """Delete the file. Does nothing if it has been moved to its place."""
        if self._parquet is not None:
            with suppress(Exception):
                self._parquet.close()
        # On a full disk, close also fails because of buffered bytes; the file is deleted anyway.
        with suppress(OSError):
            self._sink.close()
        self.path.unlink(missing_ok=True)


def new_file(folder: str | None, suffix: str) -> tuple[Path, IO[bytes]]:
    """A new file with the rights that any new file of this user has; a file of tempfile is
    readable only by this user."""
    path = new_name(folder, suffix)
    return path, path.open("xb")


def new_name(folder: str | None, suffix: str) -> Path:
    """A name for an unfinished file that no other file has."""
    return Path(folder or tempfile.gettempdir()) / f"{_PREFIX}{uuid4().hex}{suffix}"


def remove_left(folder: Path) -> None:
    """Remove the unfinished files that killed runs have left in `folder`, once it is
    certain that nobody writes them."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # another process may remove it at the same time
                # If an old file has got a second name, ctime is the time when it got that name.
                idle = time.time() - entry.stat().st_ctime
                if entry.name.startswith(_PREFIX) and idle > _LEFT_SECONDS:
                    Path(entry.path).unlink()
