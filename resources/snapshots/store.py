"""The snapshot store: a folder, or any place fsspec can reach.

    <base>/.store.json                                   the store's id, which ledger entries name
    <base>/<event>/<window>/<stage>-<sha256>.parquet     the rows; never changed once written. Many are in several
                                                         files: <stage>-<sha256>-0001-of-0017.parquet and so on
    <base>/<event>/<window>/<stage>.json                 which of them is current, and its facts
    <base>/<event>/<window>/validated-<sha256>.json      the proof that a snapshot may be published

Rows are named by the hash of their bytes, so two runs that find the same rows write the same file, and
nobody can publish bytes other than those that were validated. Two stages whose bytes are the same are two names of one
file where the file system can do that.

A window's files and their names are on the disk itself when `settle` returns: the ledger outlives a power cut, so what
it names must too. Pointers and proofs wait for no disk. One that a power cut leaves
empty counts as absent: the window is then made again, and nothing is published without its proof.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from resources.errors import PassingFault
from resources.settings import mask
from resources.snapshots.files import new_file, new_name, remove_left
from resources.snapshots.nullability import as_schema, declared_schema
from resources.snapshots.settling import Settler, sync
from resources.snapshots.snapshot import Snapshot, SnapshotError, path_of, unwritable
from resources.snapshots.writer import SnapshotWriter

_UNFINISHED = ".unfinished"
_STORE = ".store.json"


class SnapshotStore:
    """Snapshots below one base folder or fsspec URL (`s3://…`, `gs://…`, `memory://…`)."""

    def __init__(self, base: str, options: Mapping[str, Any] | None = None) -> None:
        self.base = base
        self._shown = mask("", base)
        try:
            self._fs, self._root = fsspec.url_to_fs(base, **(options or {}))
        except (ImportError, ValueError) as error:
            raise SnapshotError(
                f"SLUICE_SNAPSHOTS={self._shown}",
                f"this place cannot be reached: {error}",
                allowed="a folder, or a URL of a file system known to fsspec",
                next_step="install the fsspec package of that file system (s3fs, gcsfs, adlfs, …)",
            ) from None
        self._local = "file" in (
            (self._fs.protocol,) if isinstance(self._fs.protocol, str) else self._fs.protocol
        )
        self._settler = Settler(Path(self._root)) if self._local else None
        self._tidy = False
        self._store_id: str | None = None

    def close(self) -> None:
        """End what works in the background; the store can be used again."""
        if self._settler is not None:
            self._settler.close()

    def store_id(self, *, make: bool = False) -> str | None:
        """The id of this store, which moves and is copied with it; None where it has none and is not to get one.

        Of several processes that make it at once, one does. Raises PassingFault, SnapshotError.
        """
        if self._store_id is not None:
            return self._store_id
        found = self._read_json(_STORE)
        if found is None and make:
            self._make_store_id()
            found = self._read_json(_STORE) or {}
        if found is None:
            return None
        if not isinstance(found, dict) or not isinstance(found.get("id"), str):
            raise SnapshotError(
                f"{self._shown}/{_STORE}",
                "does not hold the store's id",
                next_step="restore it from a backup",
            )
        self._store_id = str(found["id"])
        return self._store_id

    def _make_store_id(self) -> None:
        data = json.dumps({"id": str(uuid4())}).encode()
        target = self._at(_STORE)
        try:
            if self._local:
                # Whole, or not at all; and never in the place of another's.
                unfinished = new_name(self.staging_folder(), ".json")
                try:
                    with unfinished.open("xb") as handle:
                        handle.write(data)
                        handle.flush()
                        os.fsync(handle.fileno())
                    try:
                        os.link(unfinished, target)
                    except FileExistsError:
                        raise
                    except OSError:  # no second names here
                        with Path(target).open("xb") as handle:
                            handle.write(data)
                finally:
                    unfinished.unlink(missing_ok=True)
            else:
                self._fs.makedirs(self._root.rstrip("/"), exist_ok=True)
                self._create(target, data)
        except FileExistsError:
            pass
        except OSError as error:
            raise PassingFault(f"{self._shown}/{_STORE}", f"cannot be stored: {error}") from None

    def _create(self, target: str, data: bytes) -> None:
        try:
            self._fs.pipe_file(target, data, mode="create")
        except (NotImplementedError, TypeError, ValueError):
            # A file system that cannot tell: whoever comes second finds it there, but for a moment.
            if not self._fs.exists(target):
                self._fs.pipe_file(target, data)

    def folder(self, event: str, window: str) -> str:
        """Relative folder of a window; a colon is legal in a window key but not in every file system."""
        return f"{event}/{window.replace(':', '')}"

    def staging_folder(self) -> str | None:
        """Where unfinished files grow: beside the store when it is local, so that sealing is a rename."""
        if not self._local:
            return None
        staging = f"{self._root.rstrip('/')}/.staging"
        Path(staging).mkdir(parents=True, exist_ok=True)
        if not self._tidy:
            self._tidy = True
            remove_left(Path(staging))
        return staging

    def writer(self, event: str, window: str, stage: str, schema: pa.Schema) -> SnapshotWriter:
        """A writer for one stage (`sourced`, `transformed`, `dead`, `correction`) of one window."""
        return SnapshotWriter(self, event, window, stage, schema)

    def url(self, snapshot: Snapshot) -> str:
        """Full address, for metadata and people; a password in the store's URL is not part of it."""
        return self.url_of(snapshot.path)

    def url_of(self, path: str) -> str:
        """Full address of a path in the store."""
        return self._at(path) if self._local else str(self._fs.unstrip_protocol(self._at(path)))

    def current(self, event: str, window: str, stage: str) -> Snapshot | None:
        """The newest snapshot of a stage, or None."""
        facts = self._read_json(f"{self.folder(event, window)}/{stage}.json")
        if facts is None:
            return None
        try:
            return Snapshot(**facts)
        except TypeError as error:
            raise SnapshotError(
                f"{self._shown}/{self.folder(event, window)}/{stage}.json",
                f"was not written by this version: {error}",
                next_step="materialize the window again",
            ) from None

    def all_current(self, event: str, stage: str) -> Iterator[Snapshot]:
        """The newest snapshot of a stage of every window of an event that has one, in the order of their folders."""
        for path in sorted(self._fs.glob(self._at(f"{event}/*/{stage}.json"))):
            found = self.current(event, str(path).rsplit("/", 2)[1], stage)
            if found is not None:
                yield found

    def find(self, event: str, window: str, stage: str, sha256: str) -> Snapshot | None:
        """A snapshot by its hash, current or not; its facts are not kept. None where a part of it is missing."""
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
            with self._parquet(path) as parquet:
                rows += parquet.metadata.num_rows
        return replace(snapshot, rows=rows, bytes=size)

    def _parts(self, folder: str, stage: str, sha256: str) -> int:
        """In how many files a snapshot is that is not in one; 1 where there is none of them."""
        at = self._at(folder)
        # What an object store's client keeps of a listing would hide what others write there, now or later.
        self._fs.invalidate_cache(at)
        try:
            names = self._fs.ls(at, detail=False)
        except FileNotFoundError:
            return 1
        finally:
            self._fs.invalidate_cache(at)
        found = (re.search(rf"/{stage}-{sha256}-\d+-of-(\d+)\.parquet$", str(name)) for name in names)
        return max((int(one[1]) for one in found if one), default=1)

    def _size(self, path: str) -> int | None:
        """Bytes of a file; None where there is none."""
        at = self._at(path)
        if self._local:
            try:
                return Path(at).stat().st_size
            except FileNotFoundError:
                return None
        return int(self._fs.size(at)) if self._fs.exists(at) else None

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
        """Note the state of the topic that was last read back and found right."""
        self._write_json(f"{self.folder(event, window)}/reconciled.json", state)

    def reconciled(self, event: str, window: str) -> dict[str, Any] | None:
        """What was last found right, or None."""
        return self._read_json(f"{self.folder(event, window)}/reconciled.json")

    def set_note(self, event: str, name: str, note: Mapping[str, Any]) -> None:
        """Keep a few facts about an event, by a name, in the place of those before."""
        self._write_json(f".notes/{event}/{name}.json", note)

    def note(self, event: str, name: str) -> dict[str, Any] | None:
        """What was last noted of the event by this name, or None."""
        return self._read_json(f".notes/{event}/{name}.json")

    def set_unfinished(self, event: str, window: str, facts: Mapping[str, Any]) -> None:
        """Note that the newest run of a window ended without publishing it, and why."""
        self._write_json(self._unfinished(event, window), facts)

    def unfinished(self, event: str) -> list[dict[str, Any]]:
        """What is noted of windows of an event, in the order of their keys. One look, however many windows there are."""
        folder = self._at(f"{_UNFINISHED}/{event}")
        self._fs.invalidate_cache(folder)
        names = sorted(str(path).rsplit("/", 1)[1] for path in self._fs.glob(f"{folder}/*.json"))
        found = []
        for name in names:
            # What is not readable says nothing of a window, and must not keep anybody from looking at the others.
            with suppress(SnapshotError):
                found.append(self._read_json(f"{_UNFINISHED}/{event}/{name}"))
        return [facts for facts in found if isinstance(facts, dict)]

    def unfinished_events(self) -> list[str]:
        """The events of which something is noted."""
        folder = self._at(_UNFINISHED)
        self._fs.invalidate_cache(folder)
        parts = (str(path).rsplit("/", 3)[1:3] for path in self._fs.glob(f"{folder}/*/*/*.json"))
        return sorted({"/".join(part) for part in parts})

    def set_finished(self, event: str, window: str) -> None:
        """Take back what `set_unfinished` noted."""
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
        """Store a text under its hash; returns its address, which fsspec opens."""
        data = text.encode()
        path = f".{kind}/{hashlib.sha256(data).hexdigest()}.txt"
        self._write_bytes(path, data, durable=True)
        return self.url_of(path)

    def verify(self, snapshot: Snapshot) -> None:
        """Read the files again and compare their bytes with their name; raises SnapshotError."""
        digest = hashlib.sha256()
        for path in snapshot.files:
            with self._open(path) as handle:
                while block := handle.read(1 << 20):
                    digest.update(block)
        if digest.hexdigest() != snapshot.sha256:
            raise SnapshotError(
                self.url(snapshot),
                f"its bytes hash to {digest.hexdigest()[:12]}…, its name says {snapshot.sha256[:12]}…: the file was altered",
                next_step="delete the file and materialize the window again; nothing was published from it",
            )

    def read(
        self,
        snapshot: Snapshot,
        *,
        batch_rows: int,
        from_row: int = 0,
        columns: Sequence[str] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Batches of at most `batch_rows` rows in snapshot order, from row `from_row` on; of all `columns`, or of these."""
        skip = from_row
        for path in snapshot.files:
            with self._parquet(path) as parquet:
                if skip >= parquet.metadata.num_rows:
                    skip -= parquet.metadata.num_rows
                    continue
                yield from _rows(parquet, batch_rows, skip, columns)
                skip = 0

    def schema(self, snapshot: Snapshot) -> pa.Schema:
        """Arrow schema of a snapshot."""
        with self._parquet(snapshot.files[0]) as parquet:
            return declared_schema(parquet.schema_arrow)

    def begin_to_settle(self, event: str, window: str) -> None:
        """Begin to bring the window's snapshots to the disk, while there is something else to do."""
        if self._settler is not None:
            self._settler.begin(Path(self._at(self.folder(event, window))))

    def settle(self, event: str, window: str) -> None:
        """Wait until the window's snapshots are on the disk, and their names; called before a ledger names one of them.
        Raises PassingFault."""
        if self._settler is None:
            return  # what an object store has acknowledged is kept
        try:
            self._settler.settle(Path(self._at(self.folder(event, window))))
        except OSError as error:
            raise PassingFault(f"snapshots of {event} {window}", f"cannot be stored: {error}") from None

    def adopt(self, staging: Path, path: str) -> None:
        """Move a finished staging file to its address; the same content is stored once."""
        target = self._at(path)
        try:
            if self._local:
                if Path(target).exists():
                    # A ledger may name it: what takes its place must not be lost either, not even before it settles.
                    sync(staging)
                _move(staging, Path(target))
            elif not self._fs.exists(target):
                self._fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
                self._fs.put_file(str(staging), target)
        except OSError as error:
            raise PassingFault(f"snapshot {path}", f"cannot be stored: {error}") from None

    def share(
        self, source: Snapshot, event: str, window: str, stage: str, facts: Mapping[str, Any]
    ) -> Snapshot:
        """The bytes of `source`, a snapshot of the same window, as those of another stage too; not its newest.

        They are neither read nor written again where a file can have two names, or where the object store copies. Raises
        PassingFault where the place takes no more.
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
            raise PassingFault(f"snapshot {path}", f"cannot be stored: {error}") from None
        return shared

    def _copy(self, source: str, path: str) -> None:
        try:
            self._fs.cp_file(self._at(source), self._at(path))
        except NotImplementedError:  # by way of here, then
            passing = new_name(None, ".parquet")
            try:
                self._fs.get_file(self._at(source), str(passing))
                self.adopt(passing, path)
            finally:
                passing.unlink(missing_ok=True)

    def _share_file(self, source: Path, path: str) -> None:
        unfinished = new_name(self.staging_folder(), ".parquet")
        try:
            try:
                os.link(source, unfinished)
            except OSError:  # no second names here, or this file has as many as it may
                with source.open("rb") as original, unfinished.open("xb") as copy:
                    shutil.copyfileobj(original, copy, 1 << 20)
                    copy.flush()
                    os.fsync(copy.fileno())
            # Over what stands there: it may have been altered, and this is whole.
            self.adopt(unfinished, path)
        finally:
            # Renaming one name of a file to another of its names leaves both.
            unfinished.unlink(missing_ok=True)

    def _at(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}"

    @contextmanager
    def _parquet(self, path: str) -> Iterator[pq.ParquetFile]:
        with self._open(path, native=True) as handle:
            try:
                parquet = pq.ParquetFile(handle, pre_buffer=False)
            except (pa.ArrowException, OSError) as error:
                raise SnapshotError(
                    self.url_of(path),
                    f"is not a whole Parquet file, so the file was altered: {str(error).strip()}",
                    next_step="restore it from a backup, or delete it and materialize the window again",
                ) from None
            with parquet:
                yield parquet

    def _open(self, path: str, *, native: bool = False) -> IO[bytes] | pa.NativeFile:
        """A snapshot's bytes; `native` where it is Arrow that reads them."""
        at = self._at(path)
        try:
            if not self._local:
                handle: IO[bytes] = self._fs.open(at, "rb")
                return handle
            return pa.OSFile(at) if native else Path(at).open("rb", buffering=0)
        except FileNotFoundError:
            raise SnapshotError(
                f"{self._shown}/{path}", "this snapshot is gone", next_step="materialize the window again"
            ) from None

    def _read_json(self, path: str) -> dict[str, Any] | None:
        try:
            data: bytes = _whole(self._at(path)) if self._local else self._fs.cat_file(self._at(path))
            if not data.strip(b"\0"):
                return None  # its name reached the disk before a power cut, its content did not
            found: dict[str, Any] = json.loads(data)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise SnapshotError(
                f"{self._shown}/{path}",
                f"is not readable: {error}",
                next_step="restore this file from a backup of the store",
            ) from None
        except OSError as error:
            raise PassingFault(f"{self._shown}/{path}", f"cannot be read: {error}") from None
        return found

    def _write_json(self, path: str, value: Mapping[str, Any]) -> None:
        self._write_bytes(path, json.dumps(value, sort_keys=True).encode())

    def _write_bytes(self, path: str, data: bytes, *, durable: bool = False) -> None:
        target = self._at(path)
        try:
            if self._local:
                _write_whole(Path(target), data, durable=durable)
            else:
                self._fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
                self._fs.pipe_file(target, data)
        except OSError as error:
            raise unwritable(f"{self._shown}/{path}", error) from None


def _rows(
    parquet: pq.ParquetFile, batch_rows: int, skip: int, columns: Sequence[str] | None
) -> Iterator[pa.RecordBatch]:
    """A file's rows behind the first `skip`."""
    schema = declared_schema(parquet.schema_arrow)
    if columns is not None:
        # In the file's order, whatever order is asked for: batches are taken to be as this schema says.
        columns = [name for name in schema.names if name in columns]
        schema = pa.schema([schema.field(name) for name in columns], schema.metadata)
    groups: list[int] = []
    for group in range(parquet.num_row_groups):
        rows = parquet.metadata.row_group(group).num_rows
        if not groups and skip >= rows:
            skip -= rows
        else:
            groups.append(group)
    # One group at a time: iter_batches over all of them keeps decoded groups alive.
    for group in groups:
        for batch in parquet.iter_batches(
            batch_size=batch_rows, row_groups=[group], columns=columns, use_threads=False
        ):
            if skip >= batch.num_rows:
                skip -= batch.num_rows
                continue
            yield as_schema(batch.slice(skip), schema)
            skip = 0


def _whole(path: str) -> bytes:
    with Path(path).open("rb", buffering=0) as handle:
        return handle.read()


def _move(staging: Path, target: Path) -> None:
    try:
        staging.replace(target)
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.replace(target)


def _write_whole(target: Path, data: bytes, *, durable: bool) -> None:
    """A reader sees the old file or the new one, never half of one."""
    try:
        unfinished, handle = new_file(str(target.parent), ".json")
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished, handle = new_file(str(target.parent), ".json")
    try:
        with handle:
            handle.write(data)
            if durable:
                handle.flush()
                os.fsync(handle.fileno())
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
