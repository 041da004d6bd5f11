"""Why a schema registry may refuse, in words that a reader understands."""

from resources.errors import SluiceError, TransientError


class RegistryRefused(SluiceError):
    """The registry, or its client, refused: a setting, a right or the schema must change first."""


class NotARegistry(RegistryRefused):
    """What answered is not the registry's API: HTML, an empty body, other JSON, a 404
    without the registry's error code."""


class RightMissing(RegistryRefused):
    """The registry knows the login, and says with its own error code that the login lacks the right."""


class NotAvro(RegistryRefused):
    """A subject or a schema id contains Protobuf, JSON Schema, or something that no Avro reader can use."""


class RegistryUnavailable(TransientError):
    """The registry could not be reached or did not answer in time."""


class ContractIncompatible(SluiceError):
    """The subject's compatibility level forbids this schema. `problems` are the
    reasons, one sentence each."""

    def __init__(self, subject: str, problems: list[str]) -> None:
        self.subject, self.problems = subject, problems
        super().__init__(
            f"subject {subject}",
            "the contract is not compatible with what its consumers know: " + "; ".join(problems),
            next_step="give a new field a default, or publish the new shape to a new topic version (….v2)",
        )


class SchemaUnknown(SluiceError):
    """No schema has this id in this registry."""

    def __init__(self, where: str, schema_id: int) -> None:
        self.schema_id = schema_id
        super().__init__(
            where,
            f"no schema has the id {schema_id}",
            next_step="is this the registry that the records were published with?",
        )
