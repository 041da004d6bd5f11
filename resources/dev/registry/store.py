"""Schemas, subjects and levels in one SQLite file.

An id belongs to a schema, not to a subject: the same schema under two subjects, or registered again after a
deletion, has the same id for ever. A deletion only marks the versions, and their numbers are not used again.
A permanent deletion removes the versions; the ids of their schemas stay.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resources.registry.schemas import fingerprint

_TABLES = """
CREATE TABLE IF NOT EXISTS schemas (
    id INTEGER PRIMARY KEY AUTOINCREMENT, fingerprint TEXT NOT NULL UNIQUE, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS versions (
    subject TEXT NOT NULL, version INTEGER NOT NULL, schema_id INTEGER NOT NULL REFERENCES schemas,
    deleted INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (subject, version));
CREATE TABLE IF NOT EXISTS levels (subject TEXT PRIMARY KEY, level TEXT NOT NULL);
"""
_FINGERPRINTS = 1  # the version of the fingerprints, in the file's user_version
_GLOBAL = ""  # no subject has this name


@dataclass(frozen=True)
class Version:
    """A schema as one version of a subject."""

    subject: str
    version: int
    schema_id: int
    text: str
    deleted: bool = False


class SchemaStore:
    """One connection, one caller at a time. `exclusive()` makes one transaction of several calls."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Requests come from a pool of threads; the lock below lets one in at a time.
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._lock = threading.RLock()
        self._connection.executescript(_TABLES)
        self._fingerprint_again()

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """All calls inside the block take effect or none does, and no other caller gets in between."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def subjects(self, *, deleted: bool = False) -> list[str]:
        """Names in order. Subjects with only deleted versions are left out unless `deleted`."""
        condition = "" if deleted else "WHERE NOT deleted"
        rows = self._all(f"SELECT DISTINCT subject FROM versions {condition} ORDER BY subject")
        return [row[0] for row in rows]

    def versions(self, subject: str, *, deleted: bool = False) -> list[Version]:
        """Oldest first; empty if there is no such subject."""
        rows = self._all(
            "SELECT subject, version, id, text, deleted FROM versions JOIN schemas ON id = schema_id "
            "WHERE subject = ? AND (? OR NOT deleted) ORDER BY version",
            subject,
            deleted,
        )
        return [
            Version(name, number, schema_id, text, bool(gone)) for name, number, schema_id, text, gone in rows
        ]

    def schema(self, schema_id: int) -> str | None:
        """The text of an id, also if no subject has it any more: records with that id may still exist."""
        rows = self._all("SELECT text FROM schemas WHERE id = ?", schema_id)
        return str(rows[0][0]) if rows else None

    def uses(self, schema_id: int) -> list[Version]:
        """The versions with this id that are not deleted."""
        return [
            version
            for subject in self.subjects()
            for version in self.versions(subject)
            if version.schema_id == schema_id
        ]

    def find(self, subject: str, text: str) -> Version | None:
        """The version of the subject that has this schema."""
        wanted = fingerprint(text)
        return next((one for one in self.versions(subject) if fingerprint(one.text) == wanted), None)

    def add(self, subject: str, text: str) -> Version:
        """A new version of the subject. Call it inside `exclusive()`, after the checks."""
        self._all("INSERT OR IGNORE INTO schemas (fingerprint, text) VALUES (?, ?)", fingerprint(text), text)
        [(schema_id, kept)] = self._all(
            "SELECT id, text FROM schemas WHERE fingerprint = ?", fingerprint(text)
        )
        [(last,)] = self._all("SELECT coalesce(max(version), 0) FROM versions WHERE subject = ?", subject)
        self._all(
            "INSERT INTO versions (subject, version, schema_id) VALUES (?, ?, ?)",
            subject,
            last + 1,
            schema_id,
        )
        return Version(subject, last + 1, schema_id, kept)

    def delete(self, subject: str, *, permanent: bool) -> None:
        """Mark all versions of the subject as deleted, or remove them; its level is removed, too."""
        if permanent:
            self._all("DELETE FROM versions WHERE subject = ?", subject)
        else:
            self._all("UPDATE versions SET deleted = 1 WHERE subject = ?", subject)
        self._all("DELETE FROM levels WHERE subject = ?", subject)

    def level(self, subject: str | None = None) -> str | None:
        """The level that was set for the subject, or the global one; None if none was set."""
        rows = self._all("SELECT level FROM levels WHERE subject = ?", subject or _GLOBAL)
        return str(rows[0][0]) if rows else None

    def set_level(self, level: str, subject: str | None = None) -> None:
        self._all("INSERT OR REPLACE INTO levels (subject, level) VALUES (?, ?)", subject or _GLOBAL, level)

    def _fingerprint_again(self) -> None:
        """Compute the fingerprints again in a file of an earlier version. If two schemas now have the same
        fingerprint, the older one gets it."""
        [(version,)] = self._all("PRAGMA user_version")
        if version == _FINGERPRINTS:
            return
        with self.exclusive():
            known: set[str] = set()
            for schema_id, text in self._all("SELECT id, text FROM schemas ORDER BY id"):
                try:
                    wanted = fingerprint(text)
                except ValueError:  # nested deeper than schemas are compared now
                    wanted = f"of id {schema_id}"
                unique = wanted if wanted not in known else f"{wanted} of id {schema_id}"
                known.add(wanted)
                self._all("UPDATE schemas SET fingerprint = ? WHERE id = ?", f"new {unique}", schema_id)
            self._all("UPDATE schemas SET fingerprint = substr(fingerprint, 5)")
            self._all(f"PRAGMA user_version = {_FINGERPRINTS}")

    def _all(self, sql: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()
