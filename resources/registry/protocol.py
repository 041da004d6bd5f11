"""What Sluice asks of a schema registry."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class RegisteredSchema:
    """One version of a subject. `schema_id` is what stands in the records."""

    schema_id: int
    version: int
    text: str


class Registry(Protocol):
    """A registry of Avro schemas. A subject is spelled out by the caller (`<topic>-value`).

    Every method raises RegistryUnavailable when the registry does not answer (worth a retry) and
    RegistryRefused when it says no (a setting, a right); nothing is ever registered but by `register`.
    """

    def lookup(self, subject: str, schema_text: str) -> int | None:
        """The id of this very schema under the subject, or None when it is not registered there."""

    def register(self, subject: str, schema_text: str) -> int:
        """Register the schema (harmless when it is there) and return its id.

        Raises ContractIncompatible, with the reasons, when the subject's level forbids it, or when it
        gives old values another meaning (another logical type or decimal scale), which no level forbids:
        an operator who wants that registers it at the registry itself, and `lookup` finds it.
        """

    def check_compatible(self, subject: str, schema_text: str) -> list[str]:
        """Why the schema cannot be registered now, one sentence each; empty when it can.

        A subject that does not exist yet accepts any schema. Changes nothing.
        """

    def by_id(self, schema_id: int) -> str:
        """The schema's text; raises SchemaUnknown."""

    def latest(self, subject: str) -> RegisteredSchema | None:
        """The newest version of the subject, asked for anew at each call; None when there is none."""

    def close(self) -> None:
        """Close connections; harmless twice."""
