"""What the publications of one run share: the event, the request,
where the ledger is read and where records go."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from pipelines.authoring.event import Event
from pipelines.ledger.entry import LedgerEntry
from pipelines.publishing.ledger_lookup import Entries
from pipelines.publishing.next_generation.expectation import Expectation
from pipelines.publishing.next_generation.generation_planner import Planner
from pipelines.publishing.registered_contract import RegisteredContract
from pipelines.publishing.request import PublishRequest
from pipelines.publishing.sending.sender import Progress
from pipelines.run_events import Tell
from resources.platform import Platform


class Sending(Protocol):
    """Sends generations of one claimed window. No other run can publish the window meanwhile."""

    encoding: str
    """The encoder's strategy; set when the first records are encoded."""

    def send(self, entry: LedgerEntry) -> list[Progress]:
        """Send everything that `entry` has not sent yet."""


class Delivery(Protocol):
    """Where generations are sent: to the brokers, or nowhere if this is a plan."""

    def claimed(self, window: str, topic: str) -> AbstractContextManager[Sending]:
        """Claim the window until the context ends.
        Raises PreflightFailed if the window must not be published there."""


@dataclass(frozen=True)
class PublishContext:
    """The context of one run."""

    event: Event
    platform: Platform
    request: PublishRequest
    run_id: str
    entries: Entries
    delivery: Delivery
    registered: RegisteredContract
    expectation: Expectation
    tell: Tell

    @cached_property
    def planner(self) -> Planner:
        """Plans the generations of the run."""
        return Planner(self.event, self.platform, self.request, self.registered, run_id=self.run_id)
