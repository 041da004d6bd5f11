"""Whatever answers at the registry's address:
the result is a value, or one error that says what answers. Never a traceback."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.errors import SluiceError, TransientError
from resources.registry import (
    ConfluentRegistry,
    NotARegistry,
    NotAvro,
    RegistryRefused,
    RegistryUnavailable,
    RightMissing,
    SchemaUnknown,
)

MINE = '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "string"}]}'
API = "is the url that of a Confluent-compatible API, with its path?"
Reply = tuple[int, dict[str, str], bytes]
HTML = {"content-type": "text/html"}


def registry_answering(reply: Callable[[httpx.Request], Reply], **properties: str) -> ConfluentRegistry:
    # Without certificates, whose loading takes longer than everything else here.
    quick = {"ssl.ca.location": "false", "max.retries": "0"}
    registry = ConfluentRegistry({"url": "http://registry.test/", **quick, **properties})

    def handle(request: httpx.Request) -> httpx.Response:
        status, headers, content = reply(request)
        return httpx.Response(status, headers=headers, content=content)

    rest = registry._http._rest
    rest.session.close()
    rest.session = httpx.Client(transport=httpx.MockTransport(handle), auth=rest.auth)
    return registry


def always(
    status: int, content: str | bytes = b"", headers: dict[str, str] | None = None
) -> ConfluentRegistry:
    body = content.encode() if isinstance(content, str) else content
    return registry_answering(lambda _: (status, headers or {}, body))


ASKED: dict[str, Callable[[ConfluentRegistry], Any]] = {
    "lookup": lambda registry: registry.lookup("s-value", MINE),
    "register": lambda registry: registry.register("s-value", MINE),
    "check_compatible": lambda registry: registry.check_compatible("s-value", MINE),
    "by_id": lambda registry: registry.by_id(7),
    "latest": lambda registry: registry.latest("s-value"),
}
EVERY = pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED.keys())


@EVERY
@pytest.mark.parametrize(
    ("status", "content", "said"),
    [
        (200, "<html>login</html>", "answered HTML, not the registry's JSON"),
        (200, '<!DOCTYPE html><script>{"id": 1, "schema": "\\"string\\""}</script>', "answered HTML"),
        (200, "", "answered an empty body"),
        (204, "", "answered an empty body"),
        (200, "ok", "answered text"),
        (200, '{"id": 1', "answered JSON that is cut off or broken"),
        (200, b"\x1f\x8b\xff\x00", "answered bytes that are no text"),
        (200, '<?xml version="1.0"?><Error/>', "answered XML"),
        (200, "[" * 100_000, "answered JSON that is cut off or broken"),
        (200, "9" * 5000, "answered text"),
        (200, "{}", "JSON of another shape"),
        (200, "[]", "JSON of another shape"),
        (200, '"x"', "JSON of another shape"),
        (200, "null", "JSON of another shape"),
        (200, "12", "JSON of another shape"),
        (404, "<html>Not Found</html>", "answered HTML (HTTP 404), without the registry's own error code"),
        (404, '{"error_code": 404, "message": "HTTP 404 Not Found"}', "without the registry's own error code"),
        (404, '{"error_code": "40401"}', "without the registry's own error code"),
        (404, "", "answered an empty body (HTTP 404)"),
        (405, "", "HTTP 405"),
        (501, "", "HTTP 501"),
        (302, "", "HTTP 302"),
    ],
)  # fmt: skip
def test_another_server_is_called_that_and_not_asked_again(
    ask: Callable[[ConfluentRegistry], Any], status: int, content: str, said: str
) -> None:
    with pytest.raises(NotARegistry) as raised:
        ask(always(status, content))
    assert said in raised.value.problem
    assert raised.value.next_step == API
    assert raised.value.where.startswith("registry http://registry.test/")
    assert not isinstance(raised.value, TransientError)


@pytest.mark.parametrize(
    ("member", "value"),
    [("id", one) for one in ("12", True, -1, 0, 2**31, 10**30, 1.5, None, [1], {})]
    + [("version", one) for one in ("1", True, 0, -1, 10**30, None)]
    + [("schema", one) for one in (None, 1, {}, [])]
    + [("schemaType", one) for one in (1, [], {}, True)],
)
def test_a_member_of_another_type_is_not_taken_for_what_it_should_be(member: str, value: Any) -> None:
    answer = {"id": 7, "version": 1, "schema": MINE, "subject": "s-value", member: value}
    with pytest.raises(NotARegistry):
        always(200, json.dumps(answer)).latest("s-value")


def own(code: int) -> str:
    return json.dumps({"error_code": code, "message": "there is none"})


def test_there_is_none_only_where_the_registry_says_so_of_what_was_asked() -> None:
    for code in (40401, 40402):
        assert always(404, own(code)).latest("s-value") is None
    assert always(404, own(40401)).lookup("s-value", MINE) is None
    with pytest.raises(SchemaUnknown):
        always(404, own(40403)).by_id(7)
    with pytest.raises(RegistryRefused, match="40403"):
        always(404, own(40403)).latest("s-value")
    with pytest.raises(RegistryRefused, match="40402"):
        always(404, own(40402)).lookup("s-value", MINE)
    with pytest.raises(RegistryRefused, match="40401"):
        always(404, own(40401)).by_id(7)


@EVERY
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_that_is_busy_may_be_asked_again(
    ask: Callable[[ConfluentRegistry], Any], status: int
) -> None:
    with pytest.raises(RegistryUnavailable, match=f"answered HTML .HTTP {status}"):
        ask(always(status, "<html>try later</html>", HTML))


def test_a_redirect_names_the_host_and_nothing_else_of_the_address() -> None:
    with pytest.raises(NotARegistry, match=r"redirects to login\.test \(HTTP 302\)") as raised:
        always(302, "", {"location": "https://u:pw@login.test/in?session=s3cret"}).latest("s-value")
    assert "s3cret" not in str(raised.value) and "pw" not in str(raised.value)


def test_a_right_is_missing_only_where_the_registry_says_so() -> None:
    with pytest.raises(RightMissing, match="denied"):
        always(403, '{"error_code": 40301, "message": "User is denied"}').latest("s-value")
    with pytest.raises(RegistryRefused) as raised:
        always(403, "<html>Forbidden</html>", HTML).latest("s-value")
    assert not isinstance(raised.value, RightMissing)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from([MINE, "AVRO", "PROTOBUF", "JSON", "{", "BACKWARD", "NONE", 40401, 40403, 40408]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["id", "version", "schema", "schemaType", "subject", "is_compatible", "messages", "compatibilityLevel",
             "error_code", "message", "x"]
        ),
        inner,
        max_size=8,
    ),
    max_leaves=12,
)  # fmt: skip
BODIES = st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode())
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 301, 302, 400, 401, 403, 404, 404, 405, 407, 409, 415, 422, 429, 500,
                            501, 502, 503, 511, 999])  # fmt: skip
TYPES = st.sampled_from(
    ["application/json", "text/html; charset=utf-16", "text/plain; charset=none", "", "x"]
)
REPLIES = st.tuples(STATUSES, TYPES.map(lambda kind: {"content-type": kind}), BODIES)


@EVERY
@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_answer_is_a_value_or_an_error_in_words(
    ask: Callable[[ConfluentRegistry], Any], data: st.DataObject
) -> None:
    replies: dict[str, Reply] = {}

    def reply(request: httpx.Request) -> Reply:
        # The same request always has the same answer,
        # so that every mixture of right and foreign answers is tried.
        key = f"{request.method} {request.url}"
        return replies.setdefault(key, data.draw(REPLIES, label=key))

    try:
        ask(registry_answering(reply))
    except SluiceError as error:
        assert error.where and error.problem
        assert "\n" not in error.problem and error.problem.isprintable()


# A registry as it should be, in which the answers to single requests are replaced.
def subject_with(*versions: tuple[int, str], **more: Any) -> Callable[[httpx.Request], Reply]:
    def reply(request: httpx.Request) -> Reply:
        path = request.url.path
        number = path.rpartition("/")[2]
        found: Any
        if path.startswith("/config"):
            found = {"compatibilityLevel": more.get("level", "BACKWARD")}
        elif path.startswith("/compatibility"):
            found = {"is_compatible": True}
        elif path.endswith("/versions"):
            found = [version for version, _ in versions]
        elif "/versions/" in path:
            version, text = (
                versions[-1] if number == "latest" else next(v for v in versions if v[0] == int(number))
            )
            kind = more.get("kinds", {}).get(version, "AVRO")
            found = {"id": 100 + version, "version": version, "schema": text, "schemaType": kind}
        else:
            return 404, {}, own(40403).encode()
        return 200, {}, json.dumps(found).encode()

    return reply


@pytest.mark.parametrize("kind", ["PROTOBUF", "JSON"])
@pytest.mark.parametrize("ask", ["lookup", "check_compatible", "latest", "register"])
def test_a_subject_of_another_schema_type_says_which(kind: str, ask: str) -> None:
    for text in ('syntax = "proto3"; message P {}', '{"oneOf": []}', '{"type": "object"}'):
        registry = registry_answering(subject_with((1, text), kinds={1: kind}))
        with pytest.raises(
            NotAvro, match=f"the subject holds a {kind} schema; this event is Avro: choose another"
        ):
            ASKED[ask](registry)


@pytest.mark.parametrize("kind", ["avro", "Avro", "", None])
def test_avro_is_avro_however_a_registry_writes_it(kind: str | None) -> None:
    registry = registry_answering(subject_with((1, MINE), kinds={1: kind}))
    assert registry.latest("s-value") is not None
    assert registry.check_compatible("s-value", MINE) == []


def test_an_earlier_version_of_another_schema_type_is_left_to_the_registry() -> None:
    reply = subject_with((1, "message P {}"), (2, MINE), kinds={1: "PROTOBUF"}, level="FULL_TRANSITIVE")
    assert registry_answering(reply).check_compatible("s-value", MINE) == []


def test_an_id_of_another_schema_type_says_which() -> None:
    with pytest.raises(NotAvro, match="schema id 7 is a PROTOBUF schema"):
        always(200, '{"schema": "message P {}", "schemaType": "PROTOBUF"}').by_id(7)
    with pytest.raises(NotAvro, match="schema id 7 is no Avro schema"):
        always(200, '{"schema": "message P {}"}').by_id(7)


def timed(unit: str) -> str:
    kind = {"type": "long", "logicalType": unit, "doc": "when"}
    return json.dumps({"type": "record", "name": "R", "fields": [{"name": "at", "type": kind, "default": 0}]})


NO_LEVEL: dict[str, Reply] = {
    "403": (403, {}, b'{"error_code": 40301, "message": "User is denied operation ReadCompatibility"}'),
    "401": (401, {}, b"no"),
    "404": (404, {}, b"no such page"),
    "405": (405, {}, b'{"error_code": 405, "message": "config is not supported"}'),
    "501": (501, {}, b""),
    "HTML": (200, HTML, b"<html>log in</html>"),
    "another shape": (200, {}, b'{"compatibilityLevel": 3}'),
    "another word": (200, {}, b'{"compatibilityLevel": "SIDEWAYS"}'),
}


@pytest.mark.parametrize("answer", NO_LEVEL.values(), ids=NO_LEVEL.keys())
@pytest.mark.parametrize("of_the_subject", [None, own(40408), own(40401)])
def test_without_the_right_to_read_the_level_everything_goes_on_by_what_is_safe(
    answer: Reply, of_the_subject: str | None
) -> None:
    asked = []

    def reply(request: httpx.Request) -> Reply:
        asked.append(request.url.path)
        if request.url.path.startswith("/config/") and of_the_subject is not None:
            return 404, {}, of_the_subject.encode()
        if request.url.path.startswith("/config"):
            return answer
        return subject_with((1, timed("timestamp-millis")), (2, MINE))(request)

    registry = registry_answering(reply)
    assert registry.level("s-value") is None
    assert registry.check_compatible("s-value", MINE.replace('"a"', '"b"')) == []
    assert "/compatibility/subjects/s-value/versions" in asked
    changes = registry.check_compatible("s-value", timed("timestamp-micros"))
    assert changes[0].startswith("field 'at': timestamp-millis (version 1) became timestamp-micros")
    assert "the compatibility level is not known" in changes[1]


def test_a_registry_that_does_not_say_the_level_because_it_is_busy_is_asked_again() -> None:
    def reply(request: httpx.Request) -> Reply:
        if request.url.path.startswith("/config"):
            return 503, {}, b""
        return subject_with((1, MINE))(request)

    with pytest.raises(RegistryUnavailable):
        registry_answering(reply).check_compatible("s-value", MINE)


def test_a_registry_that_compares_without_logical_types_gives_no_id_of_another_meaning() -> None:
    given = json.dumps({"id": 9, "version": 1, "subject": "s-value", "schema": timed("timestamp-millis")})

    def reply(request: httpx.Request) -> Reply:
        if request.method == "POST" and not request.url.path.startswith("/compatibility"):
            return 200, {}, given.encode()
        if request.url.path == "/schemas/ids/9":
            return 200, {}, given.encode()
        return subject_with((1, timed("timestamp-millis")), level="NONE")(request)

    registry = registry_answering(reply)
    assert registry.lookup("s-value", timed("timestamp-millis")) == 9
    assert registry.lookup("s-value", timed("timestamp-micros")) is None
    with pytest.raises(RegistryRefused, match="schema id 9, which is another schema"):
        registry.register("s-value", MINE)


@pytest.mark.parametrize("secret", ["s3cret!pass", "YW5uOnMzY3JldCFwYXNz"])  # as it is, and as it was sent
def test_a_server_that_repeats_the_login_is_quoted_without_it(secret: str) -> None:
    said = json.dumps({"error_code": 42201, "message": f"bad\x1b[31m request\nof {secret}"})
    registry = registry_answering(
        lambda _: (422, {}, said.encode()), **{"basic.auth.user.info": "ann:s3cret!pass"}
    )
    with pytest.raises(RegistryRefused) as raised:
        registry.latest("s-value")
    assert secret not in str(raised.value) and "********" in str(raised.value)
    assert "\x1b" not in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["http://ann:s3@cret@h:1", "http://ann:s3cret@h:1/x?token=t0ken", "http://ann:s3/cret@h:1"]
)
def test_an_address_is_shown_without_its_login_and_its_query(url: str) -> None:
    try:
        registry = ConfluentRegistry({"url": url})
        shown = registry._http.where
        registry.close()
    except RegistryRefused as refused:
        shown = str(refused)
    assert not any(part in shown for part in ("s3", "cret", "ann", "t0ken")), shown
