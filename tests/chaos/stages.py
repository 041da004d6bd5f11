"""The stage that a launch is in,
reported from within its process by wrapping methods that every launch must call.

Production code has no hooks for this: methods are wrapped by name, and a name that no longer exists raises at
once. A stage is open from its `+` mark to its `-` mark; the innermost open stage is where the process is.
"""

import functools
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pipelines.publishing.next_generation import correction
from pipelines.reconciling.reconciler import Reconciler
from pipelines.transform import Transformer
from resources.kafka.batches.rows import Rows
from resources.kafka.topics.ledger_topic import LedgerLog
from resources.kafka.transactions import TransactionalProducer
from resources.snapshots import SnapshotStore
from resources.snapshots.store import SnapshotWriter  # type: ignore[attr-defined]
from resources.warehouse.duckdb.warehouse import DuckDBWarehouse
from resources.warehouse.postgresql.warehouse import PostgreSQLWarehouse

SOURCING = "sourcing"
TRANSFORMING = "transforming"
VERDICT = "recording the verdict"
POINTER = "moving a pointer"
LEDGER = "reading the ledger"
CLAIMING = "claiming the window"
LEDGER_AGAIN = "reading the ledger, claimed"
COMPARING = "comparing snapshots"
BEGINNING = "beginning a transaction"
SENDING = "sending records"
TOMBSTONES = "sending tombstones"
SETTLING = "waiting for acknowledgements"
RECORDING = "writing the ledger record"
COMMITTING = "committing"
COMMITTED = "just committed"
CLOSING = "closing"
RECONCILING = "reconciling"

_SEALED = {
    "sourced": "sealing sourced",
    "transformed": "sealing transformed",
    "dead": "sealing dead letters",
    "correction": "sealing the difference",
    "vanished": "sealing the vanished keys",
}

# In the order of a launch.
STAGES = (
    SOURCING, "sealing sourced", TRANSFORMING, "sealing transformed", "sealing dead letters", VERDICT, POINTER,
    LEDGER, CLAIMING, LEDGER_AGAIN, COMPARING, "sealing the difference", "sealing the vanished keys",
    BEGINNING, SENDING, TOMBSTONES, SETTLING, RECORDING, COMMITTING, COMMITTED, CLOSING, RECONCILING,
)  # fmt: skip


class Marker:
    """Writes marks to a pipe: `nanoseconds sign stage`,
    one a line, with the clock that all processes share."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._implied: str | None = None
        self.claimed = False

    def write(self, sign: str, what: str) -> None:
        os.write(self._descriptor, f"{time.monotonic_ns()} {sign} {what}\n".encode())

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """`name` is open within the block; an implied stage before it ends."""
        self.imply(None)
        self.write("+", name)
        try:
            yield
        finally:
            self.imply(None)
            self.write("-", name)

    def imply(self, name: str | None) -> None:
        """A stage that is not one call: it is open until the next call of another stage."""
        if name == self._implied:
            return
        if self._implied:
            self.write("-", self._implied)
        self._implied = name
        if name:
            self.write("+", name)


def install(marker: Marker) -> None:
    """Wrap the steps in this process; call it before any object of a launch is made."""
    _wrap(marker, SnapshotWriter, "finish", lambda writer: _SEALED.get(writer._stage, "sealing another"))
    _wrap(marker, SnapshotStore, "set_validation", lambda _: VERDICT)
    _wrap(marker, SnapshotStore, "set_current", lambda _: POINTER)
    _wrap(marker, Transformer, "apply", lambda _: TRANSFORMING)
    _wrap(
        marker,
        LedgerLog,
        "latest",
        lambda _: LEDGER_AGAIN if marker.claimed else LEDGER,
        after=lambda value: _tell_entry(marker, value),
    )
    _wrap(marker, TransactionalProducer, "claim", lambda _: CLAIMING, before=lambda: _claims(marker))
    _wrap(marker, TransactionalProducer, "begin", lambda _: BEGINNING, after=lambda _: marker.imply(SENDING))
    _wrap(marker, TransactionalProducer, "await_acknowledgements", lambda _: SETTLING)
    _wrap(marker, TransactionalProducer, "record", lambda _: RECORDING)
    _wrap(
        marker, TransactionalProducer, "commit", lambda _: COMMITTING, after=lambda _: marker.imply(COMMITTED)
    )
    _wrap(marker, TransactionalProducer, "close", lambda _: CLOSING)
    _wrap(marker, Reconciler, "reconcile", lambda _: RECONCILING)
    _wrap(marker, correction, "difference", lambda *_: COMPARING)
    _tombstones(marker)
    _sourcing(marker, DuckDBWarehouse)
    _sourcing(marker, PostgreSQLWarehouse)


def _claims(marker: Marker) -> None:
    marker.claimed = True


def _tell_entry(marker: Marker, value: bytes | None) -> None:
    entry = json.loads(value) if value else {"rows_done": 0, "rows_total": 0}
    marker.write("!", f"{entry['rows_done']} {entry['rows_total']}")


def _wrap(
    marker: Marker,
    owner: Any,
    name: str,
    stage_of: Callable[..., str],
    *,
    before: Callable[[], None] = lambda: None,
    after: Callable[[Any], None] = lambda _: None,
) -> None:
    real = getattr(owner, name)  # removed or renamed: the suite raises here instead of killing nothing

    @functools.wraps(real)
    def wrapped(*arguments: Any, **more: Any) -> Any:
        before()
        with marker.stage(stage_of(arguments[0])):
            result = real(*arguments, **more)
        after(result)
        return result

    setattr(owner, name, wrapped)


def _tombstones(marker: Marker) -> None:
    real = TransactionalProducer.produce_rows

    @functools.wraps(real)
    def produce_rows(self: Any, topic: str, rows: Rows) -> None:
        if rows.tombstones:
            marker.imply(TOMBSTONES)
        real(self, topic, rows)

    TransactionalProducer.produce_rows = produce_rows  # type: ignore[method-assign]


def _sourcing(marker: Marker, warehouse: Any) -> None:
    real = warehouse.stream

    @contextmanager
    def stream(self: Any, *arguments: Any, **more: Any) -> Iterator[Any]:
        with marker.stage(SOURCING), real(self, *arguments, **more) as batches:
            yield batches

    warehouse.stream = stream
