"""Publishes windows of one event exactly once, and again on purpose.

Each transaction holds records of the event and one ledger record that says how far the window is, so
there is no instant at which one exists without the other. A run that dies leaves a committed prefix; the
next run reads the ledger and continues behind it.

What is promised, and where: `producers` fence, `publication` asks, claims, decides and sends in the one safe order,
`decision` says what to do, `planning` which records that are, `sending` commits them with the ledger's word,
`outcome` counts what was committed. `convergence`, `replay` and `redrive` are the three wishes.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.publishing.as_planned import PlanOutdated
from pipelines.publishing.convergence import Convergence
from pipelines.publishing.entry import LedgerEntry
from pipelines.publishing.planning import NeverPublished
from pipelines.publishing.redrive import Redriven
from pipelines.publishing.redriving import Redriver
from pipelines.publishing.replay import replayed
from pipelines.publishing.result import PublishResult
from pipelines.publishing.run import Run
from pipelines.publishing.sending import Pace, Unlimited
from pipelines.publishing.stored import NotPublishable
from pipelines.publishing.wish import Redrive, Wish
from resources.memory import give_back
from resources.platform import Platform

_FEW_RECORDS = 1_000


class Publisher:
    """Publishes windows of `event` as `wish` says; one per run, reused for the run's windows."""

    def __init__(
        self,
        event: Event,
        platform: Platform,
        *,
        run_id: str,
        wish: Wish | None = None,
        pace: Pace | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._run = Run(
            event, platform, run_id=run_id, wish=wish or Wish(), pace=pace or Unlimited(), say=say
        )

    def require_fit(self, windows: Sequence[Window]) -> None:
        """The preflight of all windows of a run, in time order. Raises PreflightFailed with everything that does not
        hold, before any of them is begun; PassingFault where Kafka or the registry does not answer."""
        self._run.require_fit(windows)

    def publish(self, window: str) -> PublishResult:
        """Do with the window what is wished: make the topic hold exactly its current validated snapshot, or replay it.

        Raises NotPublishable, PreflightFailed, DefinitionChanged, NeverPublished, TakenOver (all: nothing written by
        this run since its last commit) and PassingFault (try again: it continues).
        """
        producers = self._run.producers
        try:
            result = self._published(window)
        finally:
            # Nobody has taken it: the window had nothing to do, or could not be published.
            producers.close()
        give_back(result.published)
        # As in its last window. Where that is wrong, batches are smaller until the producer has a queue.
        producers.few = result.published < _FEW_RECORDS
        # Most windows of a repeated backfill have nothing to do, and need no producer.
        if result.transactions:
            self._run.stand_by(window)
        return result

    def _published(self, window: str) -> PublishResult:
        wish = self._run.wish
        if wish.redrive is not None:
            return self._redriven(window, wish.redrive)
        if wish.replay is not None:
            return replayed(self._run, window, wish.replay)
        return Convergence(self._run, window).publish()

    def _redriven(self, window: str, redrive: Redrive) -> PublishResult:
        """Publish what a blocked window never published, or the repaired rows of one that was published without them.

        Raises Blocked, CannotRedrive and what a publication raises.
        """
        run = self._run
        redriver = Redriver(
            run.event, run.platform, lambda: run.encoder, run_id=run.run_id, force=redrive.force
        )
        unblocked = redriver.unblock(window)
        if unblocked is None:
            return Redriven(run, window, redriver).publish()
        done = unblocked.done
        entry = run.ledger(window) if unblocked.as_by or done is None else None
        if done is None and entry is not None and entry.snapshot == unblocked.snapshot:
            # An earlier run unblocked it, and it has been published since, or begun to be.
            return Redriven(run, window, redriver).publish()
        wish = replace(run.wish, redrive=None)
        if entry is not None and entry.code_version == unblocked.as_by:
            # It was published by the version that blocked it: but for the repaired rows there is nothing to ask about.
            wish = replace(wish, on_definition_change="correct")
        with Publisher(
            run.event, run.platform, run_id=run.run_id, wish=wish, pace=run.pace, say=run.say
        ) as publisher:
            return replace(publisher.publish(window), transformed=done, dead=unblocked.dead)

    def ledger(self, window: str, topic: str | None = None, **patience: float) -> LedgerEntry | None:
        """The newest committed entry of a window on the event's topic, or a shadow of it. Raises TopicOfAnother."""
        return self._run.ledger(window, topic, **patience)

    def close(self) -> None:
        """Free what was opened for the run's windows."""
        self._run.close()

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


__all__ = ["NeverPublished", "NotPublishable", "PlanOutdated", "Publisher"]
