"""Requests to a registry over confluent-kafka's connection: its properties, TLS, logins and tokens.

The client's own methods are not used. They read any 404 as "not found" and any JSON as the
registry's, and raise a traceback for everything else. The defaults of its serializers (to register
whatever is produced; the ASSOCIATED subject strategy of 2.16) do not apply here: the caller names the
subject, and only `register` registers.
"""

import json
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx
from authlib.deprecate import AuthlibDeprecationWarning  # type: ignore[import-untyped]

from resources.errors import SluiceError
from resources.process.waiting import waiting_for
from resources.registry.answers import MAY_PASS, Answer, read_answer
from resources.registry.errors import NotARegistry, RegistryRefused, RegistryUnavailable
from resources.security.masking import Secret, mask, secrets_of
from resources.security.secrets import hide, learn
from resources.security.tls import certificate_fault, next_for, speaks_tls
from resources.settings import variable

with warnings.catch_warnings():
    # The client imports authlib, which prints on stderr that it would prefer httpx2.
    warnings.simplefilter("ignore", AuthlibDeprecationWarning)
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.common.schema_registry_client import full_jitter
    from confluent_kafka.schema_registry.error import OAuthTokenError

_TIMEOUT_SECONDS = 10  # the client's default is no time-out
_LARGEST_ANSWER_BYTES = 16 << 20
_JSON = "application/vnd.schemaregistry.v1+json"
_NUMBERS = {
    "timeout",
    "cache.capacity",
    "cache.latest.ttl.sec",
    "max.retries",
    "retries.wait.ms",
    "retries.max.wait.ms",
}
# Errors of a connection. A connection that was cut may work later. TLS errors (one side has no TLS), and a
# proxy that requires a login, come again after every retry.
_CUT = re.compile(r"disconnected|peer closed|EOF", re.IGNORECASE)
_NO_TLS = re.compile(r"WRONG_VERSION_NUMBER|record layer failure|PACKET_LENGTH_TOO_LONG", re.IGNORECASE)
_TLS_OR_LOGIN = re.compile(r"\[SSL|^407", re.IGNORECASE)


class RegistryHttp:
    """Sends requests and returns their answers; `answers` decides what an answer means.
    Not shared between threads."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        learn(
            secret
            for name, value in properties.items()
            for secret in secrets_of(f"registry.{name}", str(value))
        )
        self.where = f"registry {mask('registry.url', str(properties.get('url', '')))}"
        try:
            self._rest: Any = SchemaRegistryClient(_typed(properties))._rest_client
            if "proxy" not in properties:
                _stay_on_this_machine(self._rest)
        except (ValueError, TypeError, OSError, ImportError, httpx.InvalidURL) as failure:
            raise RegistryRefused(
                self.where,
                f"the client refused a setting: {hidden(str(failure))}",
                next_step=_check_settings(),
            ) from None

    def ask(self, method: str, path: str, body: Any = None, *, subject: str | None = None) -> Answer:
        """The answer, whatever its status. Retries errors that may pass, as the properties say.

        Raises RegistryUnavailable if nothing answers, RegistryRefused if no retry can help.
        """
        where = f"{self.where}, subject {subject}" if subject else self.where
        headers = {"Accept": f"{_JSON}, application/vnd.schemaregistry+json, application/json"}
        content = None if body is None else json.dumps(body)
        if content is not None:
            headers["Content-Type"] = _JSON
        with (
            self._explained(where, "its login could not be made", of_the_client=True),
            waiting_for(f"the login of {where}"),
        ):
            if self._rest.bearer_auth_credentials_source:
                self._rest.handle_bearer_auth(headers)
        token = headers.get("Authorization", "").partition(" ")[2]
        with self._explained(where, "the request could not be sent"), waiting_for(where):
            status, told, received = self._sent(method, path, headers, content)
        if status == 400 and b"HTTPS" in received and self._needs_tls():
            raise self._says_http(where)
        answer = read_answer(where, status, told, received)
        learn([Secret(token)])
        return replace(answer, said=hidden(answer.said))

    def close(self) -> None:
        """Close connections; calling it twice does no harm."""
        self._rest.session.close()
        # The client that fetches tokens has its own connections, which nobody else closes.
        tokens = getattr(self._rest.bearer_field_provider, "client", None)
        if tokens is not None:
            tokens.close()

    def _sent(
        self, method: str, path: str, headers: dict[str, str], content: str | None
    ) -> tuple[int, httpx.Headers, bytes]:
        """The answer of the first address that does not fail with an error that may pass;
        otherwise that of the last address."""
        for number, base in enumerate(self._rest.base_urls, start=1):
            last = number == len(self._rest.base_urls)
            try:
                found = self._tried(lambda base=base: self._once(method, f"{base}/{path}", headers, content))  # type: ignore[misc]
            except httpx.TransportError:
                if last:
                    raise
                continue
            if last or found[0] not in MAY_PASS:
                return found
        raise AssertionError("a registry without an address")  # the client refuses such settings

    def _tried(
        self, once: Callable[[], tuple[int, httpx.Headers, bytes]]
    ) -> tuple[int, httpx.Headers, bytes]:
        for attempt in range(self._rest.max_retries + 1):
            last = attempt == self._rest.max_retries
            try:
                found = once()
            except httpx.TransportError as failure:
                if last or _stays(failure):
                    raise
            else:
                if last or found[0] not in MAY_PASS:
                    return found
            wait_ms = full_jitter(self._rest.retries_wait_ms, self._rest.retries_max_wait_ms, attempt)
            time.sleep(wait_ms / 1000)
        raise AssertionError("at least one attempt is the last")

    def _once(
        self, method: str, url: str, headers: dict[str, str], content: str | None
    ) -> tuple[int, httpx.Headers, bytes]:
        received = bytearray()
        with self._rest.session.stream(method, url, headers=headers, content=content) as response:
            # The client's time-out is for each read, so a byte from time to time
            # would keep us waiting for ever.
            deadline = time.monotonic() + self._rest.timeout
            for piece in response.iter_bytes():
                received += piece
                if len(received) > _LARGEST_ANSWER_BYTES:
                    raise NotARegistry(
                        self.where,
                        f"answered more than {_LARGEST_ANSWER_BYTES >> 20} MB, which no registry does",
                        next_step="is the url that of a Confluent-compatible API, with its path?",
                    )
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"its answer was not complete after {self._rest.timeout:g} s")
        return response.status_code, response.headers, bytes(received)

    @contextmanager
    def _explained(self, where: str, problem: str, *, of_the_client: bool = False) -> Iterator[None]:
        try:
            yield
        except SluiceError:
            raise
        except httpx.TransportError as failure:
            raise self._unanswered(where, failure) from None
        except OAuthTokenError as failure:
            cause = failure.__context__
            if isinstance(cause, httpx.TransportError) and not _stays(cause):
                raise RegistryUnavailable(
                    where, f"the token endpoint did not answer: {hidden(str(cause))}"
                ) from None
            raise RegistryRefused(where, hidden(str(failure)), next_step=_check_settings()) from None
        except httpx.DecodingError as failure:
            raise NotARegistry(
                where,
                f"answered with a content-encoding that its bytes do not have: {hidden(str(failure))}",
                next_step="is the url that of a Confluent-compatible API, with its path?",
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError) as failure:
            raise RegistryRefused(
                where, f"{problem}: {hidden(str(failure))}", next_step=_check_settings()
            ) from None
        except Exception as failure:
            if not of_the_client:
                raise
            # The client assumes that the token endpoint's answer has the right form: a
            # log-in page becomes a KeyError.
            told = f"{type(failure).__name__} {hidden(str(failure))}".strip()
            raise RegistryRefused(
                where, f"the token endpoint's answer cannot be used: {told}", next_step=_check_settings()
            ) from None

    def _unanswered(self, where: str, failure: httpx.TransportError) -> SluiceError:
        told = hidden(str(failure)) or type(failure).__name__
        if invalid := certificate_fault(failure):
            return RegistryRefused(
                where,
                f"its certificate is not valid here: {invalid.verify_message.removesuffix('.')}",
                next_step=next_for(invalid, "ssl.ca.location"),
            )
        if _NO_TLS.search(told):
            return RegistryRefused(
                where,
                f"speaks plaintext, and the url says https: {told}",
                next_step="write http:// in the url, or the port of the registry's TLS listener",
            )
        # If a client sends plaintext, a TLS server may answer in its own way, or close
        # the connection without an answer.
        if not isinstance(failure, httpx.ConnectError | httpx.ConnectTimeout) and self._needs_tls():
            return self._says_http(where)
        if _stays(failure):
            return RegistryRefused(
                where,
                f"what is at this address does not speak as the url says: {told}",
                next_step="is it https, or http? is the certificate's authority in ssl.ca.location?",
            )
        return RegistryUnavailable(
            where,
            f"the registry did not answer: {told}",
            next_step="check the address and that it runs (`sluice doctor`); is it https?",
        )

    def _needs_tls(self) -> bool:
        """Whether the url says http, and the server there uses TLS."""
        parts = urlsplit(self._rest.base_urls[-1])
        return parts.scheme == "http" and speaks_tls(parts.hostname or "", parts.port or 80)

    def _says_http(self, where: str) -> SluiceError:
        return RegistryRefused(
            where,
            "speaks TLS, and the url says http: plaintext",
            next_step="write https:// in the url, and the authority of its certificate in ssl.ca.location",
        )


def hidden(text: str) -> str:
    """The text of a server or the client, without logins, tokens and the query of an address."""
    # Up to the last @: a password may itself contain an @ or a slash.
    shown = re.sub(r"//[^\s,]*@", "//", text)
    return hide(re.sub(r"(//[^\s,?]*)\?[^\s,]*", r"\1", shown))


def _stays(failure: httpx.TransportError) -> bool:
    if isinstance(failure, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return True
    if _CUT.search(str(failure)):
        return False
    return isinstance(failure, httpx.RemoteProtocolError) or bool(_TLS_OR_LOGIN.search(str(failure)))


def _typed(properties: Mapping[str, Any]) -> dict[str, Any]:
    typed: dict[str, Any] = {"timeout": _TIMEOUT_SECONDS}
    for name, value in properties.items():
        if name in _NUMBERS and isinstance(value, str):
            value = float(value) if "." in value else int(value)
        elif name == "ssl.ca.location" and str(value).lower() == "false":
            value = False
        typed[name] = value
    return typed


def _stay_on_this_machine(rest: Any) -> None:
    """Do not use the proxy of HTTP_PROXY for a registry on the loopback address."""
    hosts = {urlsplit(url).hostname for url in rest.base_urls}
    if hosts <= {"localhost", "127.0.0.1", "::1"}:
        rest.session.close()
        rest.session = httpx.Client(verify=rest.verify, auth=rest.auth, timeout=rest.timeout, trust_env=False)


def _check_settings() -> str:
    return f"check {variable('registry.…')} and [registry] in sluice.toml"
