"""Publishes windows of one event exactly once, and again on request.

Each transaction holds records of the event and one ledger record that says how far the window is. So there is
no moment at which one exists without the other. A run that dies leaves a committed prefix; the next run reads
the ledger and continues after it.

Where each promise is kept: `window_publisher` reads the ledger, claims the window, decides and sends, in the
one safe order. `modes` say what a launch does to a window. `next_generation` says which records that is.
`sending` fences other producers, and commits records together with the ledger record. `outcome` counts what
was committed.
"""

from collections.abc import Sequence
from types import TracebackType

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.journal.milestones import Milestones, registration
from pipelines.ledger.entry import LedgerEntry
from pipelines.ledger.presence import Presence
from pipelines.publishing.context import PublishContext
from pipelines.publishing.key_search import KeysCheck
from pipelines.publishing.ledger_lookup import EntriesAsked
from pipelines.publishing.modes.publish import Publish
from pipelines.publishing.modes.redrive import redriven
from pipelines.publishing.modes.replay import replayed
from pipelines.publishing.next_generation.expectation import AsPlanned, PlanOutdated
from pipelines.publishing.next_generation.generation_planner import NeverPublished
from pipelines.publishing.registered_contract import RegisteredContract
from pipelines.publishing.request import PublishRequest
from pipelines.publishing.result import PublishResult
from pipelines.publishing.sending.delivery import KafkaDelivery
from pipelines.publishing.sending.sender import Pace, Unlimited
from pipelines.publishing.stored_rows import NotPublishable
from pipelines.publishing.window_publisher import WindowPublisher
from pipelines.run_events import Tell, Warned
from resources.errors import SluiceError
from resources.identity import this_user
from resources.platform import Platform
from resources.process.memory import give_back
from resources.settings import Settings


class Publisher:
    """Publishes windows of `event` as `request` says. One for each run, used for all windows of the run."""

    def __init__(
        self,
        event: Event,
        platform: Platform,
        *,
        run_id: str,
        request: PublishRequest | None = None,
        pace: Pace | None = None,
        tell: Tell = lambda _: None,
    ) -> None:
        request, settings = request or PublishRequest(), platform.settings
        require_loaded_with(event, settings)
        if request.replay is not None:
            request.replay.require_shadow(event.topic, settings)
        presence = Presence(platform.watch, settings.ledger_topic, tell=tell)
        self._milestones = Milestones(settings, warn=lambda text: tell(Warned(text=text)))

        def registered_now(subject: str, schema_id: int) -> None:
            by = request.requested_by or this_user()
            self._milestones.note(registration(event, subject, schema_id, during="publish", by=by))

        registered = RegisteredContract(event, platform, registered=registered_now)
        self._delivery = KafkaDelivery(
            event, platform, request, presence, registered, pace=pace or Unlimited(), tell=tell
        )
        self._context = PublishContext(
            event,
            platform,
            request,
            run_id,
            EntriesAsked(event, platform, presence),
            self._delivery,
            registered,
            AsPlanned(request.expected, run_id),
            tell,
        )

    def require_fit(self, windows: Sequence[Window]) -> None:
        """The preflight of all windows of a run, in time order. Raises PreflightFailed with every failed
        check before any window is started; TransientError if Kafka or the registry does not answer."""
        self._delivery.require_fit(windows)

    def publish(self, window: str) -> PublishResult:
        """Do with the window what is requested: make the topic hold exactly its current validated snapshot,
        replay it, or redrive its dead letters.

        Raises NotPublishable, PreflightFailed, DefinitionChanged, NeverPublished, ProducerFenced (for all of
        them: this run wrote nothing after its last commit) and TransientError (a retry continues).
        """
        try:
            result = do_as_requested(self._context, window)
        finally:
            self._delivery.free_producers()
        give_back(result.published)
        self._delivery.finished(window, published=result.published, transactions=result.transactions)
        return result

    def keys_check(self, windows: Sequence[Window]) -> KeysCheck:
        """The check that the keys of a replay exist in these windows;
        `windows` are all windows of the run."""
        context = self._context
        return KeysCheck(context.event, context.platform, context.request.replay, windows, context.entries)

    def ledger(self, window: str, topic: str | None = None) -> LedgerEntry | None:
        """The newest committed entry of a window on the event's topic, or on its shadow topic `topic`. Raises
        TopicOfAnother, LedgerOfElsewhere, and TopicRemade if the topic was created again after the entry."""
        return self._context.entries.current(window, topic or self._context.event.topic)

    def close(self) -> None:
        """Free what was opened for the run's windows, and warn of milestones that could not be written to the
        journal. What is needed later is opened again."""
        try:
            self._delivery.close()
        finally:
            self._milestones.close()

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def require_loaded_with(event: Event, settings: Settings) -> None:
    """Raise SluiceError if the event was loaded with another topic prefix:
    the settings have changed since."""
    if event.topic_prefix != settings.topic_prefix:
        raise SluiceError(
            event.full_name,
            f"was loaded with the topic {event.topic}, and now topic_prefix is {settings.topic_prefix!r}",
            allowed="settings that stay the same while a process runs",
            next_step="run the command again; in Dagster's UI, reload the code location",
        )


def do_as_requested(context: PublishContext, window: str) -> PublishResult:
    """Do with the window what the context's request says, whatever its delivery is."""
    request = context.request
    if request.redrive is not None:
        return redriven(context, window, request.redrive)
    if request.replay is not None:
        return replayed(context, window, request.replay)
    return WindowPublisher(context, window, Publish(context, window)).publish()


__all__ = ["NeverPublished", "NotPublishable", "PlanOutdated", "Publisher"]
