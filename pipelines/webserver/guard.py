"""Requests that a browser sends on behalf of another web page never reach Dagster's web server.

Dagster executes GraphQL mutations that come by GET or as a form, and does not check who sends them: any page
that a user opens could launch runs. A page of another site can send requests, but it cannot choose the
headers `Host`, `Origin` and `Sec-Fetch-Site`, and it cannot send the content type `application/json` unless
the server first allows it (Fetch, "CORS-safelisted request-header"). Programs that are not browsers send
neither `Origin` nor `Sec-Fetch-Site`.
"""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.datastructures import Headers, MutableHeaders, QueryParams

from pipelines.webserver.authority import Authority, is_loopback, normal_host, parse_authority, parse_origin
from resources.settings import variable

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOGGER = logging.getLogger("dagster-webserver")
_READS = ("GET", "HEAD")
# A query is parsed while other requests wait; a longer one must be sent by POST.
_LONGEST_QUERY = 100_000
_MOST_LOGGED = 100


@dataclass(frozen=True)
class Refusal:
    """Why a request is not passed on: an HTTP status, and a text that says what to do."""

    status: int
    text: str


class Guard:
    """ASGI middleware: passes a request on, or answers it with a refusal in plain text."""

    def __init__(self, app: App, listens_on: str, hosts: frozenset[Authority]) -> None:
        self._app = app
        self._listens_on = normal_host(listens_on)
        self._hosts = hosts
        self._logged: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):  # lifespan: only for the server itself
            return await self._app(scope, receive, send)
        refusal = self._refusal(scope)
        if refusal is None:
            return await self._app(scope, receive, _not_framed(send))
        if len(self._logged) < _MOST_LOGGED and refusal.text not in self._logged:
            self._logged.add(refusal.text)
            _LOGGER.warning(refusal.text)
        return await _answer(scope, receive, send, refusal)

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        host = self._host(headers, scope)
        if isinstance(host, Refusal):
            return host
        if scope["type"] == "websocket":
            return self._foreign(headers, host)
        if scope["method"] in _READS:
            return _not_a_query(scope, headers)
        return self._foreign(headers, host) or _form(scope, headers)

    def _host(self, headers: Headers, scope: Scope) -> Authority | Refusal:
        """The host that the request is for, or a refusal.
        A page whose own name leads here (DNS rebinding) sends its own name."""
        named = headers.getlist("host")
        if len(named) != 1:
            return Refusal(400, f"Refused: {len(named)} Host headers. Next: send exactly one.")
        host = parse_authority(named[0])
        # The address of this connection's socket: if the server listens on all addresses,
        # the one that the client connected to.
        own = normal_host(str((scope.get("server") or ("",))[0]))
        if host and (
            is_loopback(host.host)
            or host.host in (self._listens_on, own)
            or host.host in {allowed.host for allowed in self._hosts}
        ):
            return host
        known = {"localhost", "127.0.0.1", self._listens_on, own, *(a.host for a in self._hosts)}
        allowed = sorted(known - {"", "0.0.0.0", "::"})
        return Refusal(
            421,
            f"Refused: this server does not answer for the host {_shown(named[0])}. Allowed: {', '.join(allowed)}. "
            f"Next: open one of these, or allow the host in the setting {variable('ui_hosts')}, or ui_hosts in sluice.toml.",
        )

    def _foreign(self, headers: Headers, host: Authority) -> Refusal | None:
        origins, sites = headers.getlist("origin"), headers.getlist("sec-fetch-site")
        from_here = all(site in ("same-origin", "none") for site in sites)
        if not origins and from_here:
            return None
        if len(origins) == 1 and (found := parse_origin(origins[0])):
            scheme, origin = found
            port = origin.port_for(scheme)
            if any(origin.host == a.host and port == a.port_for(scheme) for a in self._hosts):
                return None
            # Behind a proxy with TLS, the scheme of the request is not the one that the browser sees.
            if from_here and origin.host == host.host and port == host.port_for(scheme):
                return None
        page = _shown(origins[0]) if origins else f"another site (Sec-Fetch-Site: {_shown(sites[0])})"
        return Refusal(
            403,
            f"Refused: the page that sent this request is of {page}, not of this server. "
            f"Next: use Dagster's own pages; if these come through a proxy under that address, allow its host in the "
            f"setting {variable('ui_hosts')}, or ui_hosts in sluice.toml.",
        )


def _not_a_query(scope: Scope, headers: Headers) -> Refusal | None:
    """A GraphQL request by GET may only read: an image or a link on any page makes a browser send it."""
    if not _is_graphql(scope) or "text/html" in headers.get(
        "accept", ""
    ):  # then Dagster shows its playground
        return None
    # If there are several queries, Dagster takes one of them. So each of them must be harmless.
    if all(map(_reads_only, QueryParams(scope["query_string"]).getlist("query"))):
        return None
    return Refusal(
        405,
        "Refused: by GET only GraphQL queries are executed. Next: send a mutation by POST as application/json.",
    )


def _reads_only(query: str) -> bool:
    if len(query) > _LONGEST_QUERY:
        return False
    try:
        definitions = parse(query).definitions
    except GraphQLError:  # also for a query that is nested too deeply
        return False
    operations = [node for node in definitions if isinstance(node, OperationDefinitionNode)]
    return all(node.operation is OperationType.QUERY for node in operations)


def _form(scope: Scope, headers: Headers) -> Refusal | None:
    """Refuse what a page may send without the server's permission: a form, plain text, or nothing at all."""
    if scope["method"] == "OPTIONS":
        return None
    allowed = ["application/json", *(["application/graphql"] if _is_graphql(scope) else [])]
    given = headers.getlist("content-type")
    if len(given) == 1 and given[0].partition(";")[0].strip().lower() in allowed:
        return None
    return Refusal(
        415,
        f"Refused: the content type {_shown(', '.join(given)) if given else 'is missing'}. "
        f"Next: send one header Content-Type: {' or '.join(allowed)}.",
    )


def _is_graphql(scope: Scope) -> bool:
    # The server may use a path prefix.
    return str(scope["path"]).rstrip("/").endswith("/graphql")


def _shown(text: str) -> str:
    """A header's text, printable and short: it was written by a stranger."""
    return ascii(text[:100])


def _not_framed(send: Send) -> Send:
    """Prevents another page from showing these pages inside itself and leading a user's click to *Launch*."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["X-Frame-Options"] = "SAMEORIGIN"
        await send(message)

    return sending


async def _answer(scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
    if scope["type"] == "websocket":
        # Closed before it is accepted: uvicorn answers 403 without a text.
        # No page could read a text; the log has it.
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    body = f"{refusal.text}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
        # The unread rest of the body must not be read as the next request.
        (b"connection", b"close"),
    ]
    if refusal.status == 405:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope.get("method") == "HEAD" else body})
