"""What the windows of one run share: who they are published for and how, the topic, the ledger, the producers."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.encoding import RecordEncoder
from pipelines.preflight.fitness import require_fit
from pipelines.publishing.entry import LedgerEntry, ledger_key, read_entry
from pipelines.publishing.flow import Flow
from pipelines.publishing.identity import require_here
from pipelines.publishing.planning import Planner
from pipelines.publishing.preflight import fit_topic, registered_schema_id
from pipelines.publishing.presence import Presence
from pipelines.publishing.producers import Producers
from pipelines.publishing.remade import topic_remade
from pipelines.publishing.sending import Pace
from pipelines.publishing.stored import new_encoder, require_size
from pipelines.publishing.wish import Wish
from resources.identity import Identity
from resources.kafka.topics import Topic
from resources.platform import Platform

if TYPE_CHECKING:
    from pipelines.publishing.staleness.guard import StaleGuard


class Run:
    """One run's publications of `event`. To be closed; not for use by several threads."""

    def __init__(
        self,
        event: Event,
        platform: Platform,
        *,
        run_id: str,
        wish: Wish,
        pace: Pace,
        say: Callable[[str], None],
    ) -> None:
        self.event, self.platform, self.settings = event, platform, platform.settings
        self.run_id, self.wish, self.pace, self.say = run_id, wish, pace, say
        if wish.replay is not None:
            wish.replay.require_shadow(event.topic, self.settings.ledger_topic)
        self.flow = Flow(say)
        self.producers = Producers(self.settings, event.full_name)
        self.planner = Planner(
            event,
            platform,
            wish,
            run_id=run_id,
            schema_id=lambda: self.schema_id,
            encoder=lambda: self.encoder,
        )
        self.presence = Presence(platform.watch, self.settings.ledger_topic, say=say)
        self._behind: dict[str, str] = {}
        self._topic: Topic | None = None
        self._stale: StaleGuard | None = None
        self._free_shadow: str | None = None

    @property
    def topic(self) -> str:
        """The topic that is published to: the event's own, or the shadow topic of a replay."""
        replay = self.wish.replay
        return (replay.topic if replay else None) or self.event.topic

    @cached_property
    def identity(self) -> Identity:
        """What this run is connected to; the snapshot store gets its id by the first run."""
        self.platform.snapshots.store_id(make=True)
        return self.platform.identity

    @cached_property
    def schema_id(self) -> int:
        """The registry's id of the event's contract."""
        return registered_schema_id(self.event, self.platform)

    @cached_property
    def encoder(self) -> RecordEncoder:
        """Encodes under the event's contract."""
        return new_encoder(self.event, self.schema_id)

    def require_fit(self, windows: Sequence[Window]) -> None:
        """The preflight of all windows of the run, in time order."""
        topic = self.wish.replay.topic if self.wish.replay else None
        fit = require_fit(
            self.event,
            self.platform,
            windows,
            topic=topic,
            replays_whole=self.wish.replays_whole,
            say=self.say,
        )
        self._topic = fit.topic
        self._behind = {window.key: behind.key for window, behind in pairwise(windows)}
        if fit.schema_id is not None:
            self.schema_id = fit.schema_id

    def fit_topic(self, window: str, topic: str) -> Topic:
        """The topic, created where the settings allow it. Raises PreflightFailed where the window must not go there."""
        first_event_time = self.event.windows.window(window).start
        self._topic = fit_topic(
            replace(self.event, topic=topic),
            self.platform,
            first_event_time=first_event_time,
            known=self._topic,
        )
        return self._topic

    def stand_by(self, window: str) -> None:
        """Make ready the producer of the run's window behind this one."""
        behind = self._behind.get(window)
        if behind is not None and self._topic is not None:
            self.producers.stand_by(behind, self.topic, self._topic)

    def guard(self, topic: str, entry: LedgerEntry) -> "StaleGuard | None":
        """The guard of what `entry` has yet to send: against stale writes, and of tombstones wherever there are any.
        None where the event allows stale writes and there is no tombstone."""
        if self.event.stale_writes == "allow" and entry.vanished is None:
            return None
        if self._stale is None:
            # Here: it needs a database that other events do not.
            from pipelines.publishing.staleness.guard import StaleGuard

            self._stale = StaleGuard(
                self.event, self.platform, topic, stored=self.wish.of_stored_rows, say=self.say
            )
        return self._stale

    def ledger(self, window: str, topic: str | None = None, **patience: float) -> LedgerEntry | None:
        """The newest committed entry of a window on the event's topic, or a shadow of it. Raises TopicOfAnother,
        LedgerOfElsewhere, and TopicRemade where the topic is not the one that the entry is about."""
        entry, told = self.ledger_and_topic(window, topic, **patience)
        if entry is not None and told is not None:
            raise topic_remade(entry, told)
        return entry

    def ledger_and_topic(
        self, window: str, topic: str | None = None, **patience: float
    ) -> tuple[LedgerEntry | None, str | None]:
        """The same, and what says that the topic was made again since. Raises TopicOfAnother,
        LedgerOfElsewhere."""
        own, log = self.event.topic, self.platform.ledger
        key = ledger_key(topic or own, window)
        # Both at once: each is a question to the brokers.
        asked = self.presence.ask(topic or own)
        entry = read_entry(key, log.latest(key, **patience))
        now = asked()
        self.presence.require_remembered(key, entry)
        if entry is None:
            return None, None
        entry.require_of(own, replayed_to=topic if topic != own else None)
        require_here(entry, self.identity)
        require_size(self.platform, entry)
        return entry, self.presence.remade(entry, now)

    def require_free_shadow(self, topic: str) -> None:
        """Raise TopicOfAnother where the topic that is replayed to has other events, whatever their window."""
        if self._free_shadow == topic:
            return
        for key, value in self.platform.ledger.entries():
            if key.startswith(f"{topic}|") and (entry := read_entry(key, value)) is not None:
                entry.require_of(self.event.topic, replayed_to=topic)
        self._free_shadow = topic

    def close(self) -> None:
        """Free what was opened for the run's windows."""
        self.producers.close()
        if self._stale is not None:
            self._stale.close()
            self._stale = None
