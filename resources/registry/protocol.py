"""What Sluice needs from a schema registry."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class RegisteredSchema:
    """One version of a subject. `schema_id` is the id in the records."""

    schema_id: int
    version: int
    text: str


class Registry(Protocol):
    """A registry of Avro schemas. The caller gives the full subject (`<topic>-value`).

    Every method raises RegistryUnavailable if the registry does not answer (a retry may help), and
    RegistryRefused if it refuses (a setting, a right). Only `register` registers a schema.
    """

    def lookup(self, subject: str, schema_text: str) -> int | None:
        """The id of exactly this schema under the subject, or None if it is not registered there."""

    def register(self, subject: str, schema_text: str) -> int:
        """Register the schema and return its id; registering it again does no harm.

        Raises ContractIncompatible, with the reasons, if the subject's level forbids the schema.
        Raises it also if the schema gives old values another meaning (another logical type or decimal
        scale), which no level forbids. An operator who wants that registers the schema at the
        registry itself; `lookup` then finds it.
        """

    def check_compatible(self, subject: str, schema_text: str) -> list[str]:
        """Why the schema cannot be registered now, one sentence each; empty if it can.

        A subject that does not exist yet accepts any schema. Changes nothing.
        """

    def by_id(self, schema_id: int) -> str:
        """The text of the schema with this id; raises SchemaUnknown."""

    def latest(self, subject: str) -> RegisteredSchema | None:
        """The newest version of the subject, read again at each call; None if there is none."""

    def close(self) -> None:
        """Close connections; calling it twice does no harm."""
