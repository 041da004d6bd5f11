"""Any registry that speaks Confluent's REST API, through confluent-kafka's client.

The client's serializers are not used, so their defaults (registering whatever is produced, 2.16's
ASSOCIATED subject strategy) do not exist here: the caller names the subject, and only `register` registers.
"""

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from authlib.deprecate import AuthlibDeprecationWarning  # type: ignore[import-untyped]

from resources.errors import SluiceError
from resources.registry.compatibility import problems
from resources.registry.errors import (
    ContractIncompatible,
    RegistryRefused,
    RegistryUnavailable,
    SchemaUnknown,
)
from resources.registry.logical_types import meaning_changes
from resources.registry.protocol import RegisteredSchema
from resources.settings import Settings

with warnings.catch_warnings():
    # The client imports authlib, which tells everybody on stderr that it would rather have httpx2.
    warnings.simplefilter("ignore", AuthlibDeprecationWarning)
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError
    from confluent_kafka.schema_registry.error import OAuthTokenError

_NOT_FOUND = 404
_TIMEOUT_SECONDS = 10  # the client's own default is to wait for ever
_NUMBERS = {
    "timeout",
    "cache.capacity",
    "cache.latest.ttl.sec",
    "max.retries",
    "retries.wait.ms",
    "retries.max.wait.ms",
}


class ConfluentRegistry:
    """A `Registry` (see its protocol) over HTTP. Not shared between threads.

    `properties` are those of confluent-kafka's SchemaRegistryClient: `url`, `basic.auth.user.info`,
    `ssl.ca.location`, `bearer.auth.*`, …; numbers may come as text. Nothing is sent before the first call.
    """

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self._where = f"registry {_without_login(str(properties.get('url', '')))}"
        try:
            self._client: Any = SchemaRegistryClient(_typed(properties))
        except (ValueError, TypeError, OSError) as failure:
            raise RegistryRefused(
                self._where,
                f"the client refused a setting: {failure}",
                next_step="check SLUICE_REGISTRY_… and [registry] in sluice.toml",
            ) from None
        if "proxy" not in properties:
            self._stay_on_this_machine()

    @classmethod
    def from_settings(cls, settings: Settings) -> "ConfluentRegistry":
        """By the settings' registry properties; raises SettingsError when no registry is known."""
        return cls({**settings.registry, "url": settings.registry_url})

    def lookup(self, subject: str, schema_text: str) -> int | None:
        with self._explained(subject):
            try:
                return int(self._client.lookup_schema(subject, _schema(schema_text)).schema_id)
            except SchemaRegistryError as refusal:
                if refusal.http_status_code == _NOT_FOUND:
                    return None
                raise

    def register(self, subject: str, schema_text: str) -> int:
        if (known := self.lookup(subject, schema_text)) is not None:
            return known
        if changes := self._meaning_changes(subject, schema_text):
            raise ContractIncompatible(subject, changes)
        with self._explained(subject):
            return int(self._client.register_schema(subject, _schema(schema_text)))

    def check_compatible(self, subject: str, schema_text: str) -> list[str]:
        # Without a version, Confluent compares with those that the level asks for, Apicurio with all.
        compared = "versions" if self._is_transitive(subject) else "versions/latest"
        with self._explained(subject):
            try:
                # The client's own method keeps the yes or no and drops the reasons; its connection,
                # with the login it was given, is the only way to them.
                answer = self._client._rest_client.post(
                    f"compatibility/subjects/{quote(subject, safe='')}/{compared}?verbose=true",
                    body=_schema(schema_text).to_dict(),
                )
            except SchemaRegistryError as refusal:
                if refusal.http_status_code == _NOT_FOUND:
                    return []  # no such subject yet
                raise
        reasons = []
        if not answer["is_compatible"]:
            reasons = [str(message) for message in answer.get("messages") or ()]
            reasons = reasons or self._own_reasons(subject, schema_text)
        return reasons + self._meaning_changes(subject, schema_text)

    def by_id(self, schema_id: int) -> str:
        with self._explained(None):
            try:
                return str(self._client.get_schema(schema_id).schema_str)
            except SchemaRegistryError as refusal:
                if refusal.http_status_code == _NOT_FOUND:
                    raise SchemaUnknown(self._where, schema_id) from None
                raise

    def latest(self, subject: str) -> RegisteredSchema | None:
        with self._explained(subject):
            self._client.clear_latest_caches()  # they would hold for the client's life
            try:
                found = self._client.get_latest_version(subject)
            except SchemaRegistryError as refusal:
                if refusal.http_status_code == _NOT_FOUND:
                    return None
                raise
        return RegisteredSchema(int(found.schema_id), int(found.version), str(found.schema.schema_str))

    def level(self, subject: str) -> str:
        """The subject's compatibility level, or the registry's where it has none of its own.

        Apicurio answers NONE for a subject without a level of its own, though the registry's applies.
        """
        with self._explained(subject):
            try:
                return str(self._client.get_compatibility(subject))
            except SchemaRegistryError as refusal:
                if refusal.http_status_code == _NOT_FOUND:
                    return str(self._client.get_compatibility())
                raise

    def set_level(self, subject: str, level: str) -> None:
        """Set the subject's own compatibility level, e.g. `FULL_TRANSITIVE`."""
        with self._explained(subject):
            self._client.set_compatibility(subject, level)

    def close(self) -> None:
        self._client.close()

    def _meaning_changes(self, subject: str, schema_text: str) -> list[str]:
        latest = self.latest(subject)
        return meaning_changes(latest.text, schema_text) if latest else []

    def _is_transitive(self, subject: str) -> bool:
        level = self.level(subject)
        if level == "NONE":  # Apicurio's answer also where the registry's level applies
            with self._explained(subject):
                level = str(self._client.get_compatibility())
        return level.endswith("_TRANSITIVE")

    def _own_reasons(self, subject: str, schema_text: str) -> list[str]:
        """What we see ourselves, for a registry that says no without a reason (Apicurio 3.0)."""
        unexplained = ["the registry calls it incompatible at the subject's level, and gives no reason"]
        latest = self.latest(subject)
        try:
            import avro.schema
        except ImportError:  # of the embedded extra
            return unexplained
        if latest is None:
            return unexplained
        level = self.level(subject)
        new, old = avro.schema.parse(schema_text), avro.schema.parse(latest.text)
        return (
            problems("FULL" if level == "NONE" else level, new, old, f"version {latest.version}")
            or unexplained
        )

    def _stay_on_this_machine(self) -> None:
        """A registry on the loopback address is not behind the proxy that HTTP_PROXY names."""
        rest = self._client._rest_client
        hosts = {urlsplit(url).hostname for url in rest.base_urls}
        if hosts <= {"localhost", "127.0.0.1", "::1"}:
            rest.session.close()
            rest.session = httpx.Client(
                verify=rest.verify, auth=rest.auth, timeout=rest.timeout, trust_env=False
            )

    @contextmanager
    def _explained(self, subject: str | None) -> Iterator[None]:
        where = f"{self._where}, subject {subject}" if subject else self._where
        try:
            yield
        except httpx.TransportError as failure:
            raise RegistryUnavailable(
                where,
                f"the registry did not answer: {failure or type(failure).__name__}",
                next_step="check the address and that it runs (`sluice doctor`); is it https?",
            ) from None
        except (OAuthTokenError, httpx.HTTPError) as failure:
            raise RegistryRefused(where, str(failure), next_step="check SLUICE_REGISTRY_…") from None
        except SchemaRegistryError as refusal:
            raise _explain(where, subject, refusal) from None


def _explain(where: str, subject: str | None, refusal: SchemaRegistryError) -> SluiceError:
    status, said = refusal.http_status_code, str(refusal.error_message)[:2000]
    if status == 409 and subject is not None:
        return ContractIncompatible(subject, [said])
    if status in (401, 403):
        return RegistryRefused(
            where,
            f"the registry refused the login or the right: {said} (HTTP {status})",
            next_step="check basic.auth.user.info or bearer.auth.* in the settings (secrets are never printed)",
        )
    if status in (408, 425, 429) or status >= 500:
        return RegistryUnavailable(where, f"{said} (HTTP {status})")
    if status == 422:
        return RegistryRefused(where, f"{said} (code {refusal.error_code})")
    return RegistryRefused(
        where,
        f"{said} (HTTP {status}, code {refusal.error_code})",
        next_step="is the url that of a Confluent-compatible API, with its path?",
    )


def _schema(text: str) -> Schema:
    return Schema(text, schema_type="AVRO")


def _typed(properties: Mapping[str, Any]) -> dict[str, Any]:
    typed: dict[str, Any] = {"timeout": _TIMEOUT_SECONDS}
    for name, value in properties.items():
        if name in _NUMBERS and isinstance(value, str):
            value = float(value) if "." in value else int(value)
        elif name == "ssl.ca.location" and str(value).lower() == "false":
            value = False
        typed[name] = value
    return typed


def _without_login(url: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", url)
