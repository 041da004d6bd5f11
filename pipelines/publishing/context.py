"""What the publications of one run share: of which event, by whose request, where they are remembered and where they go."""

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
    """Sends generations of one window, which no other run can publish meanwhile."""

    encoding: str
    """How the records were encoded, once some were."""

    def send(self, entry: LedgerEntry) -> list[Progress]:
        """What `entry` has yet to send, to its end."""


class Delivery(Protocol):
    """Where generations go: to the brokers, or, for a plan, nowhere."""

    def claimed(self, window: str, topic: str) -> AbstractContextManager[Sending]:
        """The window as long as this is entered. Raises PreflightFailed where it must not go there."""


@dataclass(frozen=True)
class PublishContext:
    """One run's."""

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
