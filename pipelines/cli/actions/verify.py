"""Reads windows back one after the other, and compares each."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from pipelines.authoring.event import Event
from pipelines.ledger.listing import Ledger
from pipelines.reconciling.reconciler import Reconciler
from pipelines.reconciling.result import Reconciliation
from resources.errors import SluiceError, TransientError
from resources.platform import Platform


@dataclass(frozen=True)
class Verified:
    """A window's reconciliation; or, if it was not possible, an empty one and the error."""

    result: Reconciliation
    error: SluiceError | None = None

    @property
    def window(self) -> str:
        return self.result.window

    @property
    def verdict(self) -> str:
        """The reconciliation's verdict; `not known` if there is none; `interrupted` if only a part of the
        window is published and that part is right."""
        if self.error:
            return "not known"
        return "interrupted" if self.interrupted else self.result.verdict

    @property
    def interrupted(self) -> bool:
        """Whether a run stopped between two transactions, and what it had committed until then is right."""
        return self.result.ok and not self.result.complete

    @property
    def ok(self) -> bool:
        return self.error is None and self.result.ok and not self.interrupted

    def as_json(self) -> dict[str, object]:
        """For programs."""
        error = {"error": str(self.error)} if self.error else {}
        return {**asdict(self.result), "verdict": self.verdict, **error}


def windows_to_verify(
    event: Event, wanted: list[str] | None, ledger: Ledger, topic: str | None = None
) -> list[str]:
    """Keys of the windows that are wanted,
    or of all windows that the ledger knows on `topic` (None: the event's)."""
    known = ledger.windows_of(topic or event.topic)
    # If the ledger does not know the topic, there is nothing to read back.
    return known if wanted is None or not known else wanted


def verified(
    event: Event, windows: Iterable[str], platform: Platform, topic: str | None = None
) -> Iterator[Verified]:
    """Each window in turn. If one window cannot be reconciled,
    the others still are, unless Kafka cannot be reached."""
    with Reconciler(event, platform) as reconciler:
        for window in windows:
            try:
                yield Verified(reconciler.reconcile_whole(window, topic=topic))
            except SluiceError as error:
                yield Verified(Reconciliation(event.full_name, window, "unpublished"), error)
                if isinstance(error, TransientError):
                    return
