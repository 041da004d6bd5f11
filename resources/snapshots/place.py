"""The place of a snapshot store's files: a folder, or any place that fsspec can reach.

Paths are relative to the base. Nobody sees an incomplete file: it is written next to the others, and
gets its name when it is complete.
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
    """Files below one base folder or fsspec URL (`s3://…`, `gs://…`, `memory://…`), and the id
    of the store in that place."""

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
        """The store's place, in a form that may be shown."""
        return self._shown

    @property
    def local_folder(self) -> str | None:
        """The store's folder; None if the store is not on this machine."""
        return self._root if self._local else None

    def holds(self, address: str) -> bool:
        """Whether a URL is the address of a file in this store; False for a local store. Sends no request."""
        base = str(self._fs.unstrip_protocol(self._root.rstrip("/")))
        inside = address.startswith(f"{base}/") and ".." not in address.split("/")
        return inside and not self._local

    def store_id(self, *, make: bool = False) -> str | None:
        """The id of this store; it moves and is copied with the store. None if it has none, unless `make`.

        If several processes make it at the same time, one of them succeeds, and all use its id. Raises
        TransientError, SnapshotError.
        """
        if self._store_id is not None:
            return self._store_id
        try:
            found = self._read_json(_STORE)
        except SnapshotError as error:
            # With a new id, every ledger entry would belong to another store. So the
            # user must not delete this file.
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
                # Written completely or not at all, and never over the id of another process.
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
                    except OSError:  # this file system has no hard links
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
            # A file system without an exclusive create: the second process finds the
            # file, except in a short moment.
            if not self._fs.exists(target):
                self._fs.pipe_file(target, data)

    def staging_folder(self) -> str | None:
        """The folder for unfinished files: inside a local store, so that a file is sealed by a
        rename. None for a remote store."""
        if not self._local:
            return None
        staging = f"{self._root.rstrip('/')}/.staging"
        Path(staging).mkdir(parents=True, exist_ok=True)
        if not self._tidy:
            self._tidy = True
            remove_left(Path(staging))
        return staging

    def url_of(self, path: str) -> str:
        """The full address of a path in the store."""
        return self._at(path) if self._local else str(self._fs.unstrip_protocol(self._at(path)))

    def _size(self, path: str) -> int | None:
        """The size of a file in bytes; None if it does not exist."""
        at = self._at(path)
        try:
            with store_call(f"{self._shown}/{path}", local=self._local):
                if self._local:
                    return Path(at).stat().st_size
                # If a folder has the file's name, it has no size; opening it gives the error.
                return int(self._fs.size(at) or 0) if self._fs.exists(at) else None
        except FileNotFoundError:
            return None

    def adopt(self, staging: Path, path: str) -> None:
        """Move a finished staging file to its address. Remote: if the address already exists,
        the file is not copied again."""
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
        """fsync a file that replaces a file that a ledger may name: its content must not be lost, not even
        before the fsync of the window."""
        sync(staging)

    def _copy(self, source: str, path: str) -> None:
        try:
            self._fs.cp_file(self._at(source), self._at(path))
        except NotImplementedError:  # then copy by way of this machine
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
            except OSError:  # no hard links here, or this file has as many as it may have
                with source.open("rb") as original, unfinished.open("xb") as copy:
                    shutil.copyfileobj(original, copy, 1 << 20)
                    copy.flush()
                    os.fsync(copy.fileno())
            # Replace an existing file: it may have been altered, and this one is complete.
            self.adopt(unfinished, path)
        finally:
            # If source and target of a rename are the same file, both names stay.
            unfinished.unlink(missing_ok=True)

    def _at(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}"

    def _open(self, path: str, *, native: bool = False) -> IO[bytes] | pa.NativeFile:
        """A snapshot's bytes; with `native`, Arrow opens a local file."""
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
            if error.errno is None and Path(at).is_dir():  # Arrow's error for a directory
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
            return None  # at a power cut, the file's name was on the disk and its content was not
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
    """Replace a file so that a reader sees the old file or the new one, never a part of one."""
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
