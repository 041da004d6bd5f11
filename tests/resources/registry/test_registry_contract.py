"""What Sluice requires of a registry, tested with ours and with one that is not ours (Apicurio)."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from resources.registry import (
    ConfluentRegistry,
    ContractIncompatible,
    NotARegistry,
    NotAvro,
    RegistryRefused,
    SchemaUnknown,
)
from resources.registry.schemas import same_schema
from tests.fixtures_servers import RegistryServer
from tests.matrix import one_of


def record(*fields: dict[str, Any], name: str = "Departed") -> str:
    schema = {"type": "record", "name": name, "namespace": "flights", "fields": list(fields)}
    return json.dumps(schema)


def field(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "doc": f"the {name}", **more}


ID = field("flight_id", "string")
OPTIONAL = field("gate", ["null", "string"], default=None)
V1 = record(ID)
V2 = record(ID, OPTIONAL)
NO_DEFAULT = record(ID, field("gate", "string"))


@pytest.fixture(params=one_of("apicurio", "embedded_registry"))
def server(request: pytest.FixtureRequest) -> RegistryServer:
    handle: RegistryServer = request.getfixturevalue(request.param)
    return handle


@pytest.fixture
def registry(server: RegistryServer) -> Iterator[ConfluentRegistry]:
    client = ConfluentRegistry({"url": server.url})
    yield client
    client.close()


@pytest.fixture
def subject() -> str:
    return f"flights.flight-departed.{uuid.uuid4().hex[:8]}-value"


def test_what_is_registered_is_found_by_schema_by_id_and_as_the_latest(
    registry: ConfluentRegistry, subject: str
) -> None:
    schema_id = registry.register(subject, V1)
    assert registry.lookup(subject, V1) == schema_id
    assert json.loads(registry.by_id(schema_id)) == json.loads(V1)
    latest = registry.latest(subject)
    assert latest is not None
    assert (latest.schema_id, latest.version, json.loads(latest.text)) == (schema_id, 1, json.loads(V1))


def test_a_subject_that_does_not_exist_holds_nothing_and_accepts_all(
    registry: ConfluentRegistry, subject: str
) -> None:
    assert registry.lookup(subject, V1) is None
    assert registry.latest(subject) is None
    assert registry.check_compatible(subject, V1) == []
    assert registry.latest(subject) is None, "a check must register nothing"


def test_an_id_that_was_never_given_is_unknown(registry: ConfluentRegistry) -> None:
    with pytest.raises(SchemaUnknown, match="2000000000"):
        registry.by_id(2_000_000_000)


def test_registering_twice_is_harmless(
    registry: ConfluentRegistry, server: RegistryServer, subject: str
) -> None:
    first = registry.register(subject, V1)
    with_another_cache = ConfluentRegistry({"url": server.url})
    assert with_another_cache.register(subject, V1) == first
    latest = with_another_cache.latest(subject)
    assert latest is not None and latest.version == 1
    with_another_cache.close()


def test_one_schema_has_one_id_under_every_subject(registry: ConfluentRegistry, subject: str) -> None:
    assert registry.register(subject, V1) == registry.register(f"other-{subject}", V1)


def test_a_changed_doc_is_another_schema(registry: ConfluentRegistry, subject: str) -> None:
    first = registry.register(subject, V1)
    second = registry.register(subject, V1.replace("the flight_id", "the id, with the date"))
    assert first != second


def test_logical_types_survive(registry: ConfluentRegistry, subject: str) -> None:
    text = record(
        field("at", {"type": "long", "logicalType": "timestamp-micros"}),
        field("local", {"type": "long", "logicalType": "local-timestamp-millis"}),
        field(
            "fare",
            ["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}],
            default=None,
        ),
        field("id", {"type": "fixed", "name": "Id", "size": 16, "logicalType": "uuid"}),
    )
    assert json.loads(registry.by_id(registry.register(subject, text))) == json.loads(text)


def test_an_optional_field_may_be_added_and_a_required_one_may_not(
    registry: ConfluentRegistry, subject: str
) -> None:
    registry.register(subject, V1)
    assert registry.check_compatible(subject, V2) == []
    reasons = registry.check_compatible(subject, NO_DEFAULT)
    assert reasons and "gate" in " ".join(reasons)
    with pytest.raises(ContractIncompatible, match="gate") as refused:
        registry.register(subject, NO_DEFAULT)
    assert refused.value.subject == subject
    latest = registry.latest(subject)
    assert latest is not None and latest.version == 1, "the refused schema must not be there"


GONE = record(field("gate", ["null", "string"], default=None))
WIDER, NARROWER = record(field("n", "long")), record(field("n", "int"))
# (level, versions registered before, the new one, accepted)
LEVELS: list[tuple[str, list[str], str, bool]] = [
    ("BACKWARD", [NARROWER], WIDER, True),
    ("BACKWARD", [WIDER], NARROWER, False),
    ("BACKWARD", [V2], GONE, True),
    ("FORWARD", [WIDER], NARROWER, True),
    ("FORWARD", [NARROWER], WIDER, False),
    ("FORWARD", [V1], NO_DEFAULT, True),
    ("FORWARD", [V2], GONE, False),
    ("FULL", [V1], V2, True),
    ("FULL", [NARROWER], WIDER, False),
    ("FULL", [V1], NO_DEFAULT, False),
]
# The field gets a default in version 2 and loses it in version 3:
# readers of 3 can read data of 2, but not of 1.
DEFAULT = record(ID, field("gate", "string", default=""))
LEVELS += [
    ("BACKWARD", [V1, DEFAULT], NO_DEFAULT, True),
    ("BACKWARD_TRANSITIVE", [V1, DEFAULT], NO_DEFAULT, False),
    ("FORWARD", [NO_DEFAULT, DEFAULT], V1, True),
    ("FORWARD_TRANSITIVE", [NO_DEFAULT, DEFAULT], V1, False),
    ("FULL", [V1, DEFAULT], NO_DEFAULT, True),
    ("FULL_TRANSITIVE", [V1, DEFAULT], NO_DEFAULT, False),
    (
        "FULL_TRANSITIVE",
        [V1, DEFAULT],
        V2.replace('["null", "string"]', '"string"').replace("null", '""'),
        True,
    ),
]


@pytest.mark.parametrize(("level", "before", "new", "accepted"), LEVELS)
def test_each_level_compares_with_the_versions_and_in_the_direction_it_names(
    registry: ConfluentRegistry, subject: str, level: str, before: list[str], new: str, accepted: bool
) -> None:
    for text in before:
        registry.register(subject, text)
    registry.set_level(subject, level)
    assert registry.level(subject) == level
    assert (registry.check_compatible(subject, new) == []) is accepted
    if accepted:
        assert registry.register(subject, new) > 0
    else:
        with pytest.raises(ContractIncompatible):
            registry.register(subject, new)


MILLIS = record(field("at", {"type": "long", "logicalType": "timestamp-millis"}))
MICROS = MILLIS.replace("timestamp-millis", "timestamp-micros")


def test_a_change_of_unit_that_resolution_overlooks_is_refused(
    registry: ConfluentRegistry, subject: str
) -> None:
    registry.register(subject, MILLIS)
    assert registry.check_compatible(subject, MICROS) == [
        "field 'at': timestamp-millis (version 1) became timestamp-micros; "
        "old records would be read with other values"
    ]
    with pytest.raises(ContractIncompatible, match="timestamp-micros"):
        registry.register(subject, MICROS)


def test_a_change_of_unit_that_an_operator_registered_is_in_force(
    server: RegistryServer, registry: ConfluentRegistry, subject: str
) -> None:
    registry.register(subject, MILLIS)
    by_hand = httpx.post(f"{server.url}/subjects/{subject}/versions", json={"schema": MICROS})
    assert registry.register(subject, MICROS) == by_hand.json()["id"]


# Removed and added again, which every step allows: only the first version shows how the field has changed.
TRAP = [
    record(ID, field("at", {"type": "long", "logicalType": "timestamp-millis"}, default=0)),
    record(ID),
    record(ID, field("at", {"type": "long", "logicalType": "timestamp-micros"}, default=0)),
]


@pytest.mark.parametrize(
    ("level", "refused"),
    [
        ("BACKWARD", False),
        ("FORWARD", False),
        ("FULL", False),
        ("BACKWARD_TRANSITIVE", True),
        ("FORWARD_TRANSITIVE", True),
        ("FULL_TRANSITIVE", True),
    ],
)
def test_a_field_that_comes_back_with_another_meaning_is_refused_where_every_version_counts(
    registry: ConfluentRegistry, subject: str, level: str, refused: bool
) -> None:
    for text in TRAP[:2]:
        registry.register(subject, text)
    registry.set_level(subject, level)
    changes = registry.check_compatible(subject, TRAP[2])
    if not refused:
        assert changes == []
        assert registry.register(subject, TRAP[2]) > 0
        return
    assert changes[0].startswith("field 'at': timestamp-millis (version 1) became timestamp-micros; ")
    with pytest.raises(ContractIncompatible, match="version 1"):
        registry.register(subject, TRAP[2])
    assert registry.check_compatible(subject, TRAP[0]) == [], "back to what it was"


def test_a_version_that_was_deleted_is_no_longer_compared_with(
    server: RegistryServer, registry: ConfluentRegistry, subject: str
) -> None:
    for text in TRAP[:2]:
        registry.register(subject, text)
    registry.set_level(subject, "FULL_TRANSITIVE")
    assert registry.check_compatible(subject, TRAP[2]) != []
    if httpx.delete(f"{server.url}/subjects/{subject}/versions/1").status_code == 405:
        pytest.skip("this registry deletes whole subjects alone")
    fresh = ConfluentRegistry({"url": server.url})
    assert fresh.check_compatible(subject, TRAP[2]) == []
    fresh.close()


NAMED = json.dumps(
    {
        "type": "record",
        "name": "Departed",
        "namespace": "flights",
        "fields": [
            ID,
            field("at", {"type": "long", "logicalType": "timestamp-millis"}),
            field("kind", {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}),
        ],
    }
)
OTHERWISE = {
    "blanks": json.dumps(json.loads(NAMED), indent=3),
    "the order of members": json.dumps(json.loads(NAMED), sort_keys=True),
    "a full name": NAMED.replace('"name": "Departed", "namespace": "flights"', '"name": "flights.Departed"'),
    "a full name inside": NAMED.replace('"name": "Kind"', '"name": "flights.Kind"'),
    "a type as an object": NAMED.replace('"type": "string"', '"type": {"type": "string"}'),
    "the default order": NAMED.replace('"name": "at"', '"name": "at", "order": "ascending"'),
    "no aliases": NAMED.replace('"name": "at"', '"name": "at", "aliases": []'),
}


@pytest.mark.parametrize("text", OTHERWISE.values(), ids=OTHERWISE.keys())
def test_a_schema_that_another_tool_wrote_otherwise_is_registered_already(
    server: RegistryServer, registry: ConfluentRegistry, subject: str, text: str
) -> None:
    assert text != NAMED
    # The newest version, the only one, and one in the middle.
    for number, around in enumerate((["{}"], ["an earlier {}", "{}"], ["an earlier {}", "{}", "a later {}"])):
        named = f"{number}{subject}"
        for doc in around:
            one = text.replace("the kind", doc.format("the kind"))
            by_hand = httpx.post(f"{server.url}/subjects/{named}/versions", json={"schema": one})
            by_hand.raise_for_status()
        before = httpx.get(f"{server.url}/subjects/{named}/versions").json()
        found = registry.lookup(named, NAMED)
        assert found is not None and found == registry.register(named, NAMED)
        assert same_schema(registry.by_id(found), NAMED)
        assert httpx.get(f"{server.url}/subjects/{named}/versions").json() == before


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("timestamp-millis", "timestamp-micros"),
        ("the at", "the instant"),
        ('"name": "at"', '"name": "at", "aliases": ["moment"]'),
        ('"name": "at"', '"name": "at", "default": 0'),
        ('"symbols": ["A", "B"]', '"symbols": ["A", "B"], "default": "A"'),
    ],
)
def test_what_a_registry_may_overlook_is_another_schema_all_the_same(
    registry: ConfluentRegistry, server: RegistryServer, subject: str, was: str, now: str
) -> None:
    registry.register(subject, NAMED)
    changed = NAMED.replace(was, now)
    assert changed != NAMED
    assert registry.lookup(subject, changed) is None
    httpx.post(f"{server.url}/subjects/{subject}/versions", json={"schema": changed}).raise_for_status()
    found = registry.lookup(subject, changed)
    assert found is not None and json.loads(registry.by_id(found)) == json.loads(changed)


def test_a_path_that_is_not_the_apis_is_no_empty_registry(server: RegistryServer, subject: str) -> None:
    for path in ("/wrong", "/apis", "/apis/ccompat"):
        registry = ConfluentRegistry({"url": server.url.partition("/apis")[0] + path, "max.retries": "0"})
        for ask in (registry.lookup, registry.register, registry.check_compatible):
            with pytest.raises(NotARegistry, match="without the registry's own error code"):
                ask(subject, V1)
        registry.close()


@pytest.mark.apicurio
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("PROTOBUF", 'syntax = "proto3"; message P { string id = 1; }'),
        ("JSON", '{"type": "object", "properties": {"a": {"type": "string"}}}'),
    ],
)
def test_a_subject_of_another_schema_type_is_named_at_once(
    apicurio: RegistryServer, subject: str, kind: str, text: str
) -> None:
    path = f"{apicurio.url}/subjects/{subject}/versions"
    httpx.post(path, json={"schema": text, "schemaType": kind}).raise_for_status()
    registry = ConfluentRegistry({"url": apicurio.url})
    for ask in (registry.lookup, registry.register, registry.check_compatible):
        with pytest.raises(NotAvro, match=f"the subject holds a {kind} schema; this event is Avro"):
            ask(subject, V1)
    with pytest.raises(NotAvro, match=kind):
        registry.by_id(httpx.get(f"{path}/latest").json()["id"])
    registry.close()


@pytest.mark.parametrize("text", ["{", '{"type": "record"}', record(field("a", "nonsense"))])
def test_what_is_no_schema_is_refused(registry: ConfluentRegistry, subject: str, text: str) -> None:
    with pytest.raises(RegistryRefused):
        registry.register(subject, text)
    assert registry.latest(subject) is None


def test_a_deleted_subject_is_gone_while_its_ids_stay(
    server: RegistryServer, registry: ConfluentRegistry, subject: str
) -> None:
    schema_id = registry.register(subject, V1)
    # Sluice deletes nothing itself; operators do.
    assert httpx.delete(f"{server.url}/subjects/{subject}").json() == [1]
    fresh = ConfluentRegistry({"url": server.url})
    assert fresh.latest(subject) is None
    assert fresh.lookup(subject, V1) is None
    assert json.loads(fresh.by_id(schema_id)) == json.loads(V1)
    assert fresh.register(subject, V1) == schema_id
    fresh.close()


def test_schemas_survive_a_restart(server: RegistryServer, registry: ConfluentRegistry, subject: str) -> None:
    schema_id = registry.register(subject, V1)
    server.restart()
    fresh = ConfluentRegistry({"url": server.url})
    assert fresh.lookup(subject, V1) == schema_id
    fresh.close()
