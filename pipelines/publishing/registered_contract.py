"""The event's contract in the schema registry."""

from collections.abc import Callable
from functools import cached_property

from pipelines.authoring.event import Event
from pipelines.encoding import RecordEncoder
from pipelines.preflight.provisioning import registered_schema_id
from pipelines.preflight.rules.contract import subject_of
from pipelines.publishing.stored_rows import new_encoder
from resources.platform import Platform


class RegisteredContract:
    """Looks the contract up at the first use. Without `registering` nothing is registered, and the id of an
    unknown contract is 0. `registered` is called with subject and id if this run registered the contract."""

    def __init__(
        self,
        event: Event,
        platform: Platform,
        *,
        registering: bool = True,
        registered: Callable[[str, int], None] = lambda *_: None,
    ) -> None:
        self._event, self._platform, self._registering = event, platform, registering
        self._registered = registered

    @cached_property
    def schema_id(self) -> int:
        """The registry's id of the contract. Raises PreflightFailed."""
        if self._registering:
            return registered_schema_id(self._event, self._platform, registered=self._registered)
        subject = subject_of(self._event.topic)
        return self._platform.registry.lookup(subject, self._event.contract.text) or 0

    @cached_property
    def encoder(self) -> RecordEncoder:
        """Encodes new records under the contract."""
        return new_encoder(self._event, self.schema_id)
