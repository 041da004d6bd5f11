"""A client for any registry with Confluent's REST API."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from resources.registry.answers import (
    NO_LEVEL,
    NO_SCHEMA,
    NO_SUBJECT,
    NO_VERSION,
    Answer,
    member,
    schema_id,
    schema_type,
    succeeded,
    version_number,
    version_numbers,
)
from resources.registry.compatibility import LEVELS, problems
from resources.registry.errors import (
    ContractIncompatible,
    NotAvro,
    RegistryRefused,
    SchemaUnknown,
)
from resources.registry.history import Level, meaning_changes
from resources.registry.http import RegistryHttp, hidden
from resources.registry.protocol import RegisteredSchema
from resources.registry.schemas import parsed_schema, same_schema, same_values
from resources.settings import Settings

_AVRO = "AVRO"
_NO_PATH = (404, 405, 501)
_MOST_VERSIONS = 10_000  # one request for each


class ConfluentRegistry:
    """A `Registry` (see its protocol) over HTTP. Not shared between threads.

    `properties` are those of confluent-kafka's SchemaRegistryClient: `url`,
    `basic.auth.user.info`, `ssl.ca.location`, `bearer.auth.*`, …; numbers may be given as text.
    Nothing is sent before the first call.
    """

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self._http = RegistryHttp(properties)
        # The schema of a schema id, or of a version of a subject, never changes.
        self._texts: dict[int, str] = {}
        self._versions: dict[tuple[str, int], RegisteredSchema | None] = {}

    @classmethod
    def from_settings(cls, settings: Settings) -> "ConfluentRegistry":
        """A registry with the registry properties of the settings; raises
        SettingsError if no registry is set."""
        return cls({**settings.registry, "url": settings.registry_url})

    def lookup(self, subject: str, schema_text: str) -> int | None:
        answer = self._post(subject, f"subjects/{_quoted(subject)}", schema_text)
        if answer.says(NO_SUBJECT):
            return None
        if not answer.says(NO_SCHEMA):
            found = schema_id(succeeded(answer, subject))
            # Some registries compare schemas by the parsing canonical form, which contains no logical types.
            if same_values(self._text_of(answer, found), schema_text):
                return found
        return self._written_otherwise(subject, schema_text)

    def register(self, subject: str, schema_text: str) -> int:
        if (known := self.lookup(subject, schema_text)) is not None:
            return known
        if changes := self._meaning_changes(subject, schema_text, self._level(subject)):
            raise ContractIncompatible(subject, changes)
        answer = succeeded(self._post(subject, f"subjects/{_quoted(subject)}/versions", schema_text), subject)
        given = schema_id(answer)
        with suppress(SchemaUnknown):  # if the registry has several nodes, the next one may not have it yet
            if not same_values(self.by_id(given), schema_text):
                raise RegistryRefused(
                    answer.where,
                    f"the registry answered with schema id {given}, which is another schema: records would be read "
                    "with other values",
                    next_step="does this registry ignore logical types when it compares schemas?",
                )
        return given

    def check_compatible(self, subject: str, schema_text: str) -> list[str]:
        latest = self.latest(subject)
        if latest is None:
            return []
        level = self._level(subject)
        reasons = self._refusals(subject, schema_text, level, latest)
        changes = self._meaning_changes(subject, schema_text, level, latest)
        return [*reasons, *(change for change in changes if change not in reasons)]

    def by_id(self, schema_id: int) -> str:
        if schema_id not in self._texts:
            answer = self._http.ask("GET", f"schemas/ids/{schema_id}")
            if answer.says(NO_SCHEMA):
                raise SchemaUnknown(answer.where, schema_id)
            text = str(member(succeeded(answer), "schema", str))
            if (kind := schema_type(answer)) != _AVRO:
                raise NotAvro(
                    answer.where,
                    f"schema id {schema_id} is a {kind} schema; this event is Avro",
                    next_step="which producer writes to this topic?",
                )
            try:
                parsed_schema(text)
            except ValueError as problem:
                raise NotAvro(
                    answer.where,
                    f"schema id {schema_id} is no Avro schema: {problem}",
                    next_step="which producer writes to this topic?",
                ) from None
            self._texts[schema_id] = text
        return self._texts[schema_id]

    def latest(self, subject: str) -> RegisteredSchema | None:
        found = self._version(subject, "latest")
        if found is not None:
            self._versions[subject, found.version] = found
        return found

    def level(self, subject: str) -> str | None:
        """The level that applies to the subject: its own, or the registry's. None if
        the registry does not say it."""
        return self._level(subject).name

    def set_level(self, subject: str, level: str) -> None:
        """Set the subject's own compatibility level, for example `FULL_TRANSITIVE`."""
        answer = self._http.ask(
            "PUT", f"config/{_quoted(subject)}", {"compatibility": level}, subject=subject
        )
        succeeded(answer, subject)

    def close(self) -> None:
        self._http.close()

    def _post(self, subject: str, path: str, schema_text: str) -> Answer:
        return self._http.ask("POST", path, {"schema": schema_text, "schemaType": _AVRO}, subject=subject)

    def _text_of(self, answer: Answer, found: int) -> str:
        text = answer.value.get("schema")
        return text if isinstance(text, str) else self.by_id(found)

    def _written_otherwise(self, subject: str, schema_text: str) -> int | None:
        """The id of a version that is the same schema written differently, newest first.

        Registries compare texts. With `normalize=true`, some registries compare less than the text says:
        Apicurio 3.0 then ignores docs and aliases. So the versions are compared here.
        """
        try:
            for version in self._newest_first(subject):
                if same_schema(version.text, schema_text):
                    return version.schema_id
        except NotAvro:
            raise
        except RegistryRefused:
            pass  # the login may not list versions: the registry's own comparison counts
        return None

    def _newest_first(self, subject: str) -> Iterator[RegisteredSchema]:
        """The Avro versions that are not deleted, newest first. Raises NotAvro if the
        newest version is not Avro."""
        latest = self.latest(subject)
        if latest is None:
            return
        yield latest
        answer = self._http.ask("GET", f"subjects/{_quoted(subject)}/versions", subject=subject)
        if answer.says(NO_SUBJECT, NO_VERSION):
            return
        numbers = version_numbers(succeeded(answer, subject))
        if len(numbers) > _MOST_VERSIONS:
            raise RegistryRefused(
                answer.where,
                f"the subject has {len(numbers):,} versions, and each would have to be compared",
                allowed=f"{_MOST_VERSIONS:,} versions",
                next_step="delete versions that no record has, or choose another topic",
            )
        for number in reversed(numbers):
            if (subject, number) not in self._versions:
                # If the next version is of another kind, the registry decides about
                # compatibility; there is nothing to compare.
                with suppress(NotAvro):
                    self._versions[subject, number] = self._version(subject, str(number))
            found = self._versions.setdefault((subject, number), None)
            if found is not None and number != latest.version:
                yield found

    def _version(self, subject: str, number: str) -> RegisteredSchema | None:
        """A version, or None if the registry says that it does not exist."""
        answer = self._http.ask("GET", f"subjects/{_quoted(subject)}/versions/{number}", subject=subject)
        if answer.says(NO_SUBJECT, NO_VERSION):
            return None
        text = str(member(succeeded(answer, subject), "schema", str))
        if (kind := schema_type(answer)) != _AVRO:
            raise NotAvro(
                answer.where,
                f"the subject holds a {kind} schema; this event is Avro: choose another topic",
                next_step="declare another topic in the module; its subject is <topic>-value",
            )
        return RegisteredSchema(schema_id(answer), version_number(answer), text)

    def _level(self, subject: str) -> Level:
        """The subject's level. With `defaultToGlobal`, Confluent and Apicurio 3 also answer the registry's
        level; older registries need a second request.

        The level only decides which versions are compared. So if a registry does not
        return the level, work goes on.
        """
        try:
            answer = self._http.ask("GET", f"config/{_quoted(subject)}?defaultToGlobal=true", subject=subject)
            if answer.says(NO_LEVEL, NO_SUBJECT):
                answer = self._http.ask("GET", "config", subject=subject)
            name = str(member(succeeded(answer, subject), "compatibilityLevel", str))
        except RegistryRefused as refusal:
            return Level(None, refusal.problem)
        if name not in LEVELS:
            return Level(None, f"the registry calls it {name[:40]!r}")
        return Level(name)

    def _refusals(self, subject: str, schema_text: str, level: Level, latest: RegisteredSchema) -> list[str]:
        """The registry's own reasons; empty if it would accept the schema."""
        # Without a version in the path, Confluent compares with the versions that the
        # level requires, Apicurio with all.
        compared = "versions" if level.all_versions else "versions/latest"
        answer = self._compatibility(subject, schema_text, compared)
        if answer.status in _NO_PATH and compared == "versions" and not answer.says(NO_SUBJECT, NO_VERSION):
            # Before Confluent 6.1 the path must name one version; the registry still
            # decides when it registers the schema.
            answer = self._compatibility(subject, schema_text, "versions/latest")
        if answer.says(NO_SUBJECT, NO_VERSION):
            return []
        if member(succeeded(answer, subject), "is_compatible", bool):
            return []
        told = answer.value.get("messages")
        reasons = [hidden(one) for one in told if isinstance(one, str)] if isinstance(told, list) else []
        reasons = reasons or self._own_reasons(subject, schema_text, level, latest)
        return [*reasons, level.note] if level.note else reasons

    def _compatibility(self, subject: str, schema_text: str, compared: str) -> Answer:
        path = f"compatibility/subjects/{_quoted(subject)}/{compared}?verbose=true"
        return self._post(subject, path, schema_text)

    def _meaning_changes(
        self, subject: str, schema_text: str, level: Level, latest: RegisteredSchema | None = None
    ) -> list[str]:
        versions = self._compared(subject, level, latest)
        if not versions:
            return []
        try:
            parsed_schema(schema_text)
        except ValueError as problem:
            raise RegistryRefused(
                f"{self._http.where}, subject {subject}", f"this is no Avro schema: {problem}"
            ) from None
        return meaning_changes(level, schema_text, versions)

    def _compared(
        self, subject: str, level: Level, latest: RegisteredSchema | None = None
    ) -> list[RegisteredSchema]:
        """The versions that the level compares a new schema with, oldest first."""
        newest = latest or self.latest(subject)
        if newest is None:
            return []
        return list(self._newest_first(subject))[::-1] if level.all_versions else [newest]

    def _own_reasons(
        self, subject: str, schema_text: str, level: Level, latest: RegisteredSchema
    ) -> list[str]:
        """The reasons that Sluice finds, for a registry that refuses without a reason (Apicurio 3.0)."""
        unexplained = ["the registry calls it incompatible at the subject's level, and gives no reason"]
        try:
            import avro.errors
            import avro.schema
        except ImportError:  # the package belongs to the embedded extra
            return unexplained
        asked = level.name if level.name not in (None, "NONE") else "FULL"
        # If no level is known, the reasons name none; the note says which versions were compared.
        unnamed = "" if level.name == asked else f" (level {asked})"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about logical types newer than the package
                new = avro.schema.parse(schema_text)
                found = [
                    why.replace(unnamed, "", 1) if unnamed else why
                    for old in self._compared(subject, level, latest)
                    for why in problems(
                        str(asked), new, avro.schema.parse(old.text), f"version {old.version}"
                    )
                ]
        except (avro.errors.AvroException, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return unexplained
        return found or unexplained


def _quoted(subject: str) -> str:
    return quote(subject, safe="")
