"""Where a snapshot store's files are: a folder, or any place that fsspec can reach.

Paths are relative to the base. Nobody sees half a file: it grows beside the others, and gets its name when it is whole.
"""

import errno
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import fsspec
import pyarrow as pa

from resources.security.masking import mask
from resources.settings import variable
from resources.snapshots.faults import json_object, store_call, unreadable, unstored, unwritable
from resources.snapshots.files import new_file, new_name, remove_left
from resources.snapshots.fsync import sync
from resources.snapshots.remote import AwaitedFileSystem
from resources.snapshots.snapshot import SnapshotError

_STORE = ".store.json"


class StorePlace:
    """Files below one base folder or fsspec URL (`s3://…`, `gs://…`, `memory://…`), and the id of what is kept there."""

    def __init__(self, base: str, options: Mapping[str, Any] | None = None) -> None:
        self.base = base
        self._shown = mask("snapshots", base)
        try:
            self._fs, self._root = fsspec.url_to_fs(base, **(options or {}))
        except (ImportError, ValueError) as error:
            raise SnapshotError(
                f"{variable('snapshots')}={self._shown}",
                f"this place cannot be reached: {error}",
                allowed="a folder, or a URL of a file system known to fsspec",
                next_step="install the fsspec package of that file system (s3fs, gcsfs, adlfs, …)",
            ) from None
        self._local = "file" in (
            (self._fs.protocol,) if isinstance(self._fs.protocol, str) else self._fs.protocol
        )
        if not self._local:
            self._fs = AwaitedFileSystem(self._fs, f"the snapshot store {self._shown}")
        self._tidy = False
        self._store_id: str | None = None

    @property
    def shown(self) -> str:
        """Where the store is, as it may be shown."""
        return self._shown

    @property
    def local_folder(self) -> str | None:
        """The store's folder; None of a store that is none of this machine's."""
        return self._root if self._local else None

    def holds(self, address: str) -> bool:
        """Whether a URL is of a file in this store, which is a remote one. Asks nobody."""
        base = str(self._fs.unstrip_protocol(self._root.rstrip("/")))
        inside = address.startswith(f"{base}/") and ".." not in address.split("/")
        return inside and not self._local

    def store_id(self, *, make: bool = False) -> str | None:
        """The id of this store, which moves and is copied with it; None where it has none and is not to get one.

        Of several processes that make it at once, one does. Raises TransientError, SnapshotError.
        """
        if self._store_id is not None:
            return self._store_id
        try:
            found = self._read_json(_STORE)
        except SnapshotError as error:
            # With another id everything in the ledger would be of another store: it is not to be deleted.
            raise SnapshotError(
                error.where,
                f"does not hold the store's id: it {error.problem}",
                next_step="restore it from a backup",
            ) from None
        if found is None and make:
            self._make_store_id()
            found = self._read_json(_STORE) or {}
        if found is None:
            return None
        if not isinstance(found.get("id"), str):
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
            raise unstored(f"{self._shown}/{_STORE}", error) from None

    def _create(self, target: str, data: bytes) -> None:
        try:
            self._fs.pipe_file(target, data, mode="create")
        except (NotImplementedError, TypeError, ValueError):
            # A file system that cannot tell: whoever comes second finds it there, but for a moment.
            if not self._fs.exists(target):
                self._fs.pipe_file(target, data)

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

    def url_of(self, path: str) -> str:
        """Full address of a path in the store."""
        return self._at(path) if self._local else str(self._fs.unstrip_protocol(self._at(path)))

    def _size(self, path: str) -> int | None:
        """Bytes of a file; None where there is none."""
        at = self._at(path)
        try:
            with store_call(f"{self._shown}/{path}", local=self._local):
                if self._local:
                    return Path(at).stat().st_size
                # Of a folder that has the file's name there is no size; opening it says what is wrong.
                return int(self._fs.size(at) or 0) if self._fs.exists(at) else None
        except FileNotFoundError:
            return None

    def adopt(self, staging: Path, path: str) -> None:
        """Move a finished staging file to its address; the same content is stored once."""
        target = self._at(path)
        try:
            if self._local:
                if Path(target).exists():
                    self._keep(staging)
                _move(staging, Path(target))
            elif not self._fs.exists(target):
                self._fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
                self._fs.put_file(str(staging), target)
        except OSError as error:
            raise unstored(f"snapshot {path}", error) from None

    def _keep(self, staging: Path) -> None:
        """fsync what takes the place of a file that a ledger may name: it must not be lost, not even before the window
        is brought to the disk."""
        sync(staging)

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
        except OSError as error:
            if error.errno is None and Path(at).is_dir():  # so Arrow says it
                error = IsADirectoryError(errno.EISDIR, "Is a directory")
            raise unreadable(f"{self._shown}/{path}", error) from None

    def _read_json(self, path: str) -> dict[str, Any] | None:
        where = f"{self._shown}/{path}"
        try:
            with store_call(where, local=self._local):
                data: bytes = _whole(self._at(path)) if self._local else self._fs.cat_file(self._at(path))
        except FileNotFoundError:
            return None
        if not data.strip(b"\0"):
            return None  # its name reached the disk before a power cut, its content did not
        return json_object(where, data)

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
