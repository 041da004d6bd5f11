"""Sends the generations of one run's windows to the brokers: topics, producers, guards and transactions."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.ledger.entry import LedgerDamaged, LedgerEntry, read_entry
from pipelines.ledger.identity import stamped
from pipelines.ledger.presence import Presence
from pipelines.preflight.fitness import require_fit
from pipelines.preflight.provisioning import fit_topic
from pipelines.publishing.registered_contract import RegisteredContract
from pipelines.publishing.request import PublishRequest
from pipelines.publishing.sending.flow import Flow
from pipelines.publishing.sending.producers import Producers
from pipelines.publishing.sending.records import Outgoing
from pipelines.publishing.sending.sender import Pace, Progress, Sender
from pipelines.run_events import Tell
from resources.errors import SluiceError, TransientError
from resources.identity import Identity
from resources.kafka.topics.topics import Topic
from resources.kafka.transactions import TransactionalProducer
from resources.platform import Platform
from resources.settings import variable
from resources.wording import counted

if TYPE_CHECKING:
    from pipelines.publishing.stale.guard import StaleGuard

# The records of each aborted transaction stay in the log, and the brokers hide them from every consumer.
_MOST_ABORTS = 20
_FEW_RECORDS = 1_000


class NotSettling(TransientError):
    """Transactions are aborted again and again. What is committed stays committed."""


class KafkaDelivery:
    """The delivery of one run. Close it after use; not for use by several threads."""

    def __init__(
        self,
        event: Event,
        platform: Platform,
        request: PublishRequest,
        presence: Presence,
        registered: RegisteredContract,
        *,
        pace: Pace,
        tell: Tell,
    ) -> None:
        self._event, self._platform, self._request = event, platform, request
        self._presence, self._registered, self._pace, self._tell = presence, registered, pace, tell
        self._flow = Flow(tell)
        self._producers = Producers(platform.settings, event.full_name)
        self._behind: dict[str, str] = {}
        self._topic: Topic | None = None
        self._stale: StaleGuard | None = None

    @cached_property
    def _identity(self) -> Identity:
        """What this run is connected to. The first run gives the snapshot store its id."""
        self._platform.snapshots.store_id(make=True)
        return self._platform.identity

    def require_fit(self, windows: Sequence[Window]) -> None:
        """The preflight of all windows of the run, in time order. Raises PreflightFailed."""
        fit = require_fit(
            self._event,
            self._platform,
            windows,
            topic=self._request.topic,
            replays_whole=self._request.replays_whole,
            tell=self._tell,
        )
        self._topic = fit.topic
        self._behind = {window.key: behind.key for window, behind in pairwise(windows)}
        if fit.schema_id is not None:
            self._registered.schema_id = fit.schema_id

    @contextmanager
    def claimed(self, window: str, topic: str) -> Iterator["KafkaSending"]:
        """Claim the window: no other run can publish it until the context ends. The topic is created if the
        settings allow it. Raises PreflightFailed if the window must not be published there."""
        self._topic = fit_topic(
            replace(self._event, topic=topic),
            self._platform,
            first_event_time=self._event.windows.window(window).start,
            known=self._topic,
        )
        with self._producers.take(window, topic, self._topic) as producer:
            producer.claim()
            yield KafkaSending(self, producer, topic)

    def finished(self, window: str, *, published: int, transactions: int) -> None:
        """Use what was published of a window to prepare for the next one."""
        # The next window probably has as few records as this one.
        # If not, batches are smaller until the producer has a queue.
        self._producers.few = published < _FEW_RECORDS
        # Most windows of a repeated backfill have nothing to do, and need no producer.
        if transactions:
            self.stand_by(window)

    def stand_by(self, window: str) -> None:
        """Prepare the producer of the run's window after this one."""
        behind = self._behind.get(window)
        if behind is not None and self._topic is not None:
            self._producers.stand_by(behind, self._request.topic or self._event.topic, self._topic)

    def free_producers(self) -> None:
        """Free the prepared producer that nobody has taken: its window had nothing to do,
        or could not be published."""
        self._producers.close()

    def guard(self, topic: str, entry: LedgerEntry) -> "StaleGuard | None":
        """The guard of what `entry` has not sent yet. It guards rows against stale writes if the event asks
        for it, and tombstones always. None if the event allows stale writes and there is no tombstone."""
        if self._event.stale_writes == "allow" and entry.vanished is None:
            return None
        if self._stale is None:
            # Imported here because it needs a database that other events do not need.
            from pipelines.publishing.stale.guard import StaleGuard

            self._stale = StaleGuard(
                self._event, self._platform, topic, stored=self._request.of_stored_rows, tell=self._tell
            )
        return self._stale

    def close(self) -> None:
        """Free what was opened for the run's windows."""
        self._producers.close()
        if self._stale is not None:
            self._stale.close()
            self._stale = None


class KafkaSending:
    """Sends generations of one claimed window."""

    def __init__(self, delivery: KafkaDelivery, producer: TransactionalProducer, topic: str) -> None:
        self._delivery, self._producer, self._topic = delivery, producer, topic
        self._event, self._platform = delivery._event, delivery._platform
        self.encoding = ""

    def send(self, entry: LedgerEntry) -> list[Progress]:
        """Send everything that the generation has not sent yet. Returns several parts if other producers
        write to the topic meanwhile, or if a quota of the brokers throttles the producer."""
        delivery = self._delivery
        entry = stamped(entry, delivery._identity)
        _require_readable(entry)
        guard = delivery.guard(self._topic, entry)
        sender = Sender(
            self._platform.settings,
            self._producer,
            pace=delivery._pace,
            flow=delivery._flow,
            guard=guard,
            topic_id=delivery._presence.before_commit,
            tell=delivery._tell,
        )
        parts: list[Progress] = []
        fruitless = 0
        while True:
            entry = guard.refined(entry) if guard else entry
            # The ledger must not name a snapshot that a crash of the machine could still lose.
            self._platform.snapshots.fsync_window(entry.event, entry.window)
            outgoing = Outgoing(self._event, self._platform, entry)
            outgoing.require_timestamps()
            self.encoding = outgoing.encoding
            with closing(outgoing.records()) as records:
                parts.append(sender.send(entry, records))
            if parts[-1].transactions:
                delivery._presence.committed(parts[-1].entry)
            if parts[-1].entry.complete:
                return parts
            fruitless = fruitless + 1 if not parts[-1].transactions else 0
            if fruitless == _MOST_ABORTS:
                raise NotSettling(
                    f"{entry.event} {entry.window}",
                    f"{counted(_MOST_ABORTS, 'transaction')} in a row were aborted, because newer values of their keys came before them "
                    f"on {entry.topic}: other producers write these keys faster than this run can compare them",
                    next_step=f"launch again when the other producers are quieter, or with a smaller {variable('transaction_rows')}",
                )
            entry = parts[-1].entry


def _require_readable(entry: LedgerEntry) -> None:
    """The next run must be able to read what is written, or the window could never be published again."""
    try:
        read_entry(entry.key, entry.to_json())
    except LedgerDamaged as error:
        raise SluiceError(
            f"{entry.event} {entry.window}",
            f"its ledger record could not be read again: {error.problem}",
            next_step="nothing was written; please report this as a defect",
        ) from None
