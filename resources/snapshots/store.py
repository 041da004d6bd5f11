"""The snapshot store: a folder, or any place that fsspec can reach.

    <base>/.store.json                                   the store's id, which ledger entries name
    <base>/<event>/<window>/<stage>-<sha256>.parquet     the rows; never changed after they were written.
                                                         Many rows are in several files:
                                                         <stage>-<sha256>-0001-of-0017.parquet and so on
    <base>/<event>/<window>/<stage>.json                 which of them is current, and its facts
    <base>/<event>/<window>/validated-<sha256>.json      the proof that a snapshot may be published

The name of a rows file is the hash of its bytes. So two runs that find the same rows write the same file, and
nobody can publish other bytes than those that were validated. If two stages have the same bytes, they are two
names of one file, on a file system that can do that.

When `fsync_window` returns, a window's files and their names are on the disk itself: the ledger
survives a power cut, so the files that it names must survive it, too. Pointers and proofs are not
fsynced. If a power cut leaves one of them empty, it counts as absent: the window is then made again,
and nothing is published without its proof.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from resources.errors import SluiceError
from resources.process.waiting import waiting_for
from resources.snapshots.faults import parquet_of, store_call, unstored, unwritable
from resources.snapshots.fsync import Fsyncer
from resources.snapshots.nullability import as_schema, declared_schema
from resources.snapshots.place import StorePlace
from resources.snapshots.snapshot import Snapshot, SnapshotError, as_noted, path_of
from resources.snapshots.writer import SnapshotWriter

_UNFINISHED = ".unfinished"


class SnapshotStore(StorePlace):
    """The snapshots of a place: rows, which of them are current, and what was found about them."""

    def __init__(self, base: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(base, options)
        self._fsyncer = Fsyncer(Path(self._root)) if self._local else None

    def close(self) -> None:
        """End the background thread. The store can be used again after that."""
        if self._fsyncer is not None:
            self._fsyncer.close()

    def folder(self, event: str, window: str) -> str:
        """The relative folder of a window. A colon is legal in a window key but not in every
        file system, so it is left out."""
        return f"{event}/{window.replace(':', '')}"

    def writer(self, event: str, window: str, stage: str, schema: pa.Schema) -> SnapshotWriter:
        """A writer for one stage (`sourced`, `transformed`, `dead`, `correction`) of one window."""
        return SnapshotWriter(self, event, window, stage, schema)

    def url(self, snapshot: Snapshot) -> str:
        """The full address, for metadata and people, without a password of the store's URL."""
        return self.url_of(snapshot.path)

    def current(self, event: str, window: str, stage: str) -> Snapshot | None:
        """The newest snapshot of a stage, or None."""
        folder = self.folder(event, window)
        facts = self._read_json(f"{folder}/{stage}.json")
        return None if facts is None else as_noted(f"{self._shown}/{folder}/{stage}.json", facts, stage)

    def all_current(
        self, event: str, stage: str, *, unread: Callable[[SluiceError], None]
    ) -> Iterator[Snapshot]:
        """The newest snapshot of a stage for each window of an event that has one,
        in the order of their folders.

        If the pointer of a window cannot be read, the window is left out, and `unread` gets the error.
        """
        with store_call(f"{self._shown}/{event}", local=self._local):
            paths = sorted(map(str, self._fs.glob(self._at(f"{event}/*/{stage}.json"))))
        for path in paths:
            try:
                found = self.current(event, path.rsplit("/", 2)[1], stage)
            except SluiceError as error:
                unread(error)
                continue
            if found is not None:
                yield found

    def find(self, event: str, window: str, stage: str, sha256: str) -> Snapshot | None:
        """A snapshot by its hash, current or not, without its facts. None if one of its files is missing."""
        folder = self.folder(event, window)
        one_file = self._size(path_of(folder, stage, sha256)) is not None
        parts = 1 if one_file else self._parts(folder, stage, sha256)
        snapshot = Snapshot(path_of(folder, stage, sha256, parts), sha256, 0, 0, {}, parts)
        rows = size = 0
        for path in snapshot.files:
            one = self._size(path)
            if one is None:
                return None
            size += one
            with parquet_of(self.url_of(path), local=self._local), self._parquet(path) as parquet:
                rows += parquet.metadata.num_rows
        return replace(snapshot, rows=rows, bytes=size)

    def _parts(self, folder: str, stage: str, sha256: str) -> int:
        """The number of files of a snapshot that is not in a single file; 1 if none of its files exists."""
        at = self._at(folder)
        # An object store's client caches listings, which would hide what others write, now or later.
        self._fs.invalidate_cache(at)
        try:
            with store_call(f"{self._shown}/{folder}", local=self._local):
                names = self._fs.ls(at, detail=False)
        except FileNotFoundError:
            return 1
        finally:
            self._fs.invalidate_cache(at)
        found = (re.search(rf"/{stage}-{sha256}-\d+-of-(\d+)\.parquet$", str(name)) for name in names)
        return max((int(one[1]) for one in found if one), default=1)

    def set_current(self, event: str, window: str, stage: str, snapshot: Snapshot) -> None:
        """Point a stage at a sealed snapshot."""
        self._write_json(f"{self.folder(event, window)}/{stage}.json", snapshot.__dict__)

    def set_validation(self, event: str, window: str, sha256: str, facts: Mapping[str, Any]) -> None:
        """Record that the snapshot with this hash passed its checks and may be published."""
        self._write_json(f"{self.folder(event, window)}/validated-{sha256}.json", {"sha256": sha256, **facts})

    def validation(self, event: str, window: str, sha256: str) -> dict[str, Any] | None:
        """The validation of exactly this hash, or None."""
        found = self._read_json(f"{self.folder(event, window)}/validated-{sha256}.json")
        return found if found and found.get("sha256") == sha256 else None

    def set_reconciled(self, event: str, window: str, state: Mapping[str, Any]) -> None:
        """Store the state of the topic at the time when it was last read back and found correct."""
        self._write_json(f"{self.folder(event, window)}/reconciled.json", state)

    def reconciled(self, event: str, window: str) -> dict[str, Any] | None:
        """The state that was last found correct, or None."""
        return self._read_json(f"{self.folder(event, window)}/reconciled.json")

    def set_note(self, event: str, name: str, note: Mapping[str, Any]) -> None:
        """Store a few facts about an event under a name; they replace the earlier ones."""
        self._write_json(f".notes/{event}/{name}.json", note)

    def note(self, event: str, name: str) -> dict[str, Any] | None:
        """The facts that were last stored for the event under this name, or None."""
        return self._read_json(f".notes/{event}/{name}.json")

    def set_unfinished(self, event: str, window: str, facts: Mapping[str, Any]) -> None:
        """Record that the newest run of a window ended without publishing it, and why."""
        self._write_json(self._unfinished(event, window), facts)

    def unfinished(self, event: str) -> list[dict[str, Any]]:
        """The records of `set_unfinished` for an event, in the order of the window keys. One listing,
        however many windows exist."""
        folder = self._at(f"{_UNFINISHED}/{event}")
        self._fs.invalidate_cache(folder)
        names = sorted(str(path).rsplit("/", 1)[1] for path in self._fs.glob(f"{folder}/*.json"))
        found = []
        for name in names:
            # An unreadable file says nothing about its window, and must not prevent reading the others.
            with suppress(SnapshotError):
                found.append(self._read_json(f"{_UNFINISHED}/{event}/{name}"))
        return [facts for facts in found if isinstance(facts, dict)]

    def unfinished_events(self) -> list[str]:
        """The events that have such records."""
        folder = self._at(_UNFINISHED)
        self._fs.invalidate_cache(folder)
        parts = (str(path).rsplit("/", 3)[1:3] for path in self._fs.glob(f"{folder}/*/*/*.json"))
        return sorted({"/".join(part) for part in parts})

    def set_finished(self, event: str, window: str) -> None:
        """Remove the record of `set_unfinished`."""
        target = self._at(self._unfinished(event, window))
        try:
            if self._local:
                Path(target).unlink(missing_ok=True)
            elif self._fs.exists(target):
                self._fs.rm_file(target)
        except OSError as error:
            raise unwritable(f"{self._shown}/{self._unfinished(event, window)}", error) from None

    def _unfinished(self, event: str, window: str) -> str:
        return f"{_UNFINISHED}/{self.folder(event, window)}.json"

    def keep_text(self, kind: str, text: str) -> str:
        """Store a text under its hash; returns its address, which fsspec can open."""
        data = text.encode()
        path = f".{kind}/{hashlib.sha256(data).hexdigest()}.txt"
        self._write_bytes(path, data, durable=True)
        return self.url_of(path)

    def verify(self, snapshot: Snapshot) -> None:
        """Read the files again and compare the hash of their bytes with their name; raises SnapshotError."""
        digest = hashlib.sha256()
        for path in snapshot.files:
            with store_call(f"{self._shown}/{path}", local=self._local), self._open(path) as handle:
                while block := handle.read(1 << 20):
                    digest.update(block)
        if digest.hexdigest() != snapshot.sha256:
            raise SnapshotError(
                self.url(snapshot),
                f"its bytes hash to {digest.hexdigest()[:12]}…, its name says {snapshot.sha256[:12]}…: the file was altered",
                next_step="restore it from a backup, or delete it and materialize the window again; nothing was published "
                "from it since",
            )

    def read(
        self,
        snapshot: Snapshot,
        *,
        batch_rows: int,
        from_row: int = 0,
        columns: Sequence[str] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Batches of at most `batch_rows` rows in snapshot order, starting at row `from_row`; all
        columns, or only `columns`."""
        skip = from_row
        for path in snapshot.files:
            with parquet_of(self.url_of(path), local=self._local), self._parquet(path) as parquet:
                if skip >= parquet.metadata.num_rows:
                    skip -= parquet.metadata.num_rows
                    continue
                yield from _rows(parquet, batch_rows, skip, columns)
                skip = 0

    def schema(self, snapshot: Snapshot) -> pa.Schema:
        """The Arrow schema of a snapshot."""
        path = snapshot.files[0]
        with parquet_of(self.url_of(path), local=self._local), self._parquet(path) as parquet:
            return declared_schema(parquet.schema_arrow)

    def begin_fsync(self, event: str, window: str) -> None:
        """Begin to fsync the window's snapshots, so that the caller can do something else."""
        if self._fsyncer is not None:
            self._fsyncer.begin(Path(self._at(self.folder(event, window))))

    def fsync_window(self, event: str, window: str) -> None:
        """Wait until the window's snapshots and their names are on the disk. Call it before a ledger names
        one of them. Raises TransientError, and SnapshotError for an error that does not pass."""
        if self._fsyncer is None:
            return  # an object store keeps what it has acknowledged
        try:
            with waiting_for(f"the disk to store the snapshots of {event} {window}"):
                self._fsyncer.finish(Path(self._at(self.folder(event, window))))
        except OSError as error:
            where = f"snapshots of {event} {window}" if error.filename is None else str(error.filename)
            raise unstored(where, error) from None

    def share(
        self, source: Snapshot, event: str, window: str, stage: str, facts: Mapping[str, Any]
    ) -> Snapshot:
        """Make the bytes of `source`, a snapshot of the same window, a snapshot of another stage, too. It
        does not become the stage's newest.

        The bytes are not read or written again if the file system has hard links, or if the object store can
        copy. Raises TransientError, and SnapshotError for an error that does not pass.
        """
        path = path_of(self.folder(event, window), stage, source.sha256, source.parts)
        shared = replace(source, path=path, facts=dict(facts))
        try:
            for original, place in zip(source.files, shared.files, strict=True):
                if self._local:
                    self._share_file(Path(self._at(original)), place)
                elif not self._fs.exists(self._at(place)):
                    self._copy(original, place)
        except OSError as error:
            raise unstored(f"snapshot {path}", error) from None
        return shared

    @contextmanager
    def _parquet(self, path: str) -> Iterator[pq.ParquetFile]:
        with self._open(path, native=True) as handle, pq.ParquetFile(handle, pre_buffer=False) as parquet:
            yield parquet


def _rows(
    parquet: pq.ParquetFile, batch_rows: int, skip: int, columns: Sequence[str] | None
) -> Iterator[pa.RecordBatch]:
    """The rows of a file after the first `skip`."""
    schema = declared_schema(parquet.schema_arrow)
    if columns is not None:
        # In the file's order, not in the requested order, so that batches have the columns of this schema.
        columns = [name for name in schema.names if name in columns]
        schema = pa.schema([schema.field(name) for name in columns], schema.metadata)
    groups: list[int] = []
    for group in range(parquet.num_row_groups):
        rows = parquet.metadata.row_group(group).num_rows
        if not groups and skip >= rows:
            skip -= rows
        else:
            groups.append(group)
    # One group at a time: iter_batches over all groups keeps decoded groups in memory.
    for group in groups:
        for batch in parquet.iter_batches(
            batch_size=batch_rows, row_groups=[group], columns=columns, use_threads=False
        ):
            if skip >= batch.num_rows:
                skip -= batch.num_rows
                continue
            yield as_schema(batch.slice(skip), schema)
            skip = 0
