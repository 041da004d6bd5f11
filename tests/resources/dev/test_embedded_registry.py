"""The HTTP interface of our registry, where Confluent's reference is exact and Apicurio differs from it."""

import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from resources.dev.registry.store import SchemaStore
from resources.registry.compatibility import LEVELS
from tests.fixtures_servers import RegistryServer


class Api:
    """The registry as any HTTP client sees it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        answer = httpx.request(method, self._url + path, json=body)
        return answer.status_code, answer.json()


@pytest.fixture
def api(embedded_registry: RegistryServer) -> Api:
    return Api(embedded_registry.url)


@pytest.fixture
def subject() -> str:
    return f"s-{uuid.uuid4().hex[:8]}"


def body(*fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"schema": json.dumps({"type": "record", "name": "R", "fields": list(fields)}), **more}


A = {"name": "a", "type": "string"}
B = {"name": "b", "type": "int"}
B_DEFAULT = {**B, "default": 0}


def test_an_incompatible_schema_is_a_409_that_names_the_field(api: Api, subject: str) -> None:
    api("POST", f"/subjects/{subject}/versions", body(A))
    status, answer = api("POST", f"/subjects/{subject}/versions", body(A, B))
    assert (status, answer["error_code"]) == (409, 409)
    assert f'incompatible with an earlier schema for subject "{subject}"' in answer["message"]
    assert "the new schema cannot read data of version 1 (level BACKWARD): field 'b'" in answer["message"]


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "code"),
    [
        ("GET", "/subjects/{s}/versions", None, 404, 40401),
        ("GET", "/subjects/{s}/versions/latest", None, 404, 40401),
        ("POST", "/subjects/{s}", body(A), 404, 40401),
        ("DELETE", "/subjects/{s}", None, 404, 40401),
        ("GET", "/schemas/ids/2000000000", None, 404, 40403),
        ("GET", "/config/{s}", None, 404, 40408),
        ("GET", "/subjects/{s}/versions/zero", None, 422, 42202),
        ("GET", "/subjects/{s}/versions/0", None, 422, 42202),
        ("PUT", "/config/{s}", {"compatibility": "SIDEWAYS"}, 422, 42203),
        ("PUT", "/config/{s}", {}, 422, 42203),
        ("POST", "/subjects/{s}/versions", {}, 422, 42201),
        ("POST", "/subjects/{s}/versions", ["no object"], 422, 42201),
        ("POST", "/subjects/{s}/versions", {"schema": "{}"}, 422, 42201),
        ("POST", "/subjects/{s}/versions", body(A, schemaType="PROTOBUF"), 422, 42201),
        ("POST", "/subjects/{s}/versions", body(A, references=[{"name": "x"}]), 422, 42201),
    ],
)
def test_refusals_have_confluents_codes(
    api: Api, subject: str, method: str, path: str, sent: Any, status: int, code: int
) -> None:
    got, answer = api(method, path.format(s=subject), sent)
    assert (got, answer["error_code"]) == (status, code), answer


def test_a_version_or_schema_that_a_subject_lacks(api: Api, subject: str) -> None:
    api("POST", f"/subjects/{subject}/versions", body(A))
    assert api("GET", f"/subjects/{subject}/versions/2")[1]["error_code"] == 40402
    assert api("POST", f"/subjects/{subject}", body(B))[1]["error_code"] == 40403


INVALID: dict[str, list[dict[str, Any]]] = {
    "a field name with a dash": [{"name": "a-b", "type": "int"}],
    "a default of another type": [{"name": "a", "type": "int", "default": "x"}],
    "a default out of range": [{"name": "a", "type": "int", "default": 2**31}],
    "true for an int": [{"name": "a", "type": "int", "default": True}],
    "a default that is no symbol": [
        {"name": "a", "type": {"type": "enum", "name": "E", "symbols": ["X"]}, "default": "Y"}
    ],
    "a default of no branch": [{"name": "a", "type": ["null", "int"], "default": "x"}],
    "an array default of another type": [
        {"name": "a", "type": {"type": "array", "items": "int"}, "default": ["x"]}
    ],
    "a field twice": [A, A],
    "a union in a union": [{"name": "a", "type": ["null", ["int"]]}],
    "a decimal of greater scale than precision": [
        {"name": "a", "type": {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3}}
    ],
}


@pytest.mark.parametrize("fields", INVALID.values(), ids=INVALID.keys())
def test_what_no_reader_could_use_is_invalid(api: Api, subject: str, fields: list[dict[str, Any]]) -> None:
    status, answer = api("POST", f"/subjects/{subject}/versions", body(*fields))
    assert (status, answer["error_code"]) == (422, 42201)


def test_layout_makes_no_other_schema(api: Api, subject: str) -> None:
    _, first = api("POST", f"/subjects/{subject}/versions", body(A))
    text = '{"fields": [{"type": {"type": "string"},   "name": "a"}], "name": "R", "type": "record"}'
    _, second = api("POST", f"/subjects/{subject}/versions", {"schema": text})
    assert first == second


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_can_be_set_for_a_subject_that_does_not_exist_yet(
    api: Api, subject: str, level: str
) -> None:
    assert api("PUT", f"/config/{subject}", {"compatibility": level}) == (200, {"compatibility": level})
    assert api("GET", f"/config/{subject}") == (200, {"compatibilityLevel": level})


def test_level_none_accepts_anything(api: Api, subject: str) -> None:
    api("PUT", f"/config/{subject}", {"compatibility": "NONE"})
    api("POST", f"/subjects/{subject}/versions", body(A))
    assert api("POST", f"/subjects/{subject}/versions", body(B))[0] == 200


def test_the_global_level_is_backward_and_holds_where_a_subject_has_none(api: Api, subject: str) -> None:
    assert api("GET", "/config") == (200, {"compatibilityLevel": "BACKWARD"})
    api("POST", f"/subjects/{subject}/versions", body(A))
    try:
        api("PUT", "/config", {"compatibility": "FORWARD"})
        assert api("GET", f"/config/{subject}?defaultToGlobal=true")[1] == {"compatibilityLevel": "FORWARD"}
        assert api("POST", f"/subjects/{subject}/versions", body(A, B))[0] == 200
    finally:
        api("PUT", "/config", {"compatibility": "BACKWARD"})


def test_compatibility_with_one_version_tells_why_when_asked(api: Api, subject: str) -> None:
    api("POST", f"/subjects/{subject}/versions", body(A))
    api("POST", f"/subjects/{subject}/versions", body(A, B_DEFAULT))
    path = f"/compatibility/subjects/{subject}/versions"
    assert api("POST", f"{path}/2", body(A, B)) == (200, {"is_compatible": True})
    assert api("POST", f"{path}/1?verbose=true", body(A, B)) == (
        200,
        {
            "is_compatible": False,
            "messages": [
                "the new schema cannot read data of version 1 (level BACKWARD): "
                "field 'b': it is missing from the data and has no default"
            ],
        },
    )
    assert api("GET", f"/subjects/{subject}/versions") == (200, [1, 2])


def test_a_permanent_deletion_needs_a_soft_one_first_and_numbers_go_on_after_a_soft_one(
    api: Api, subject: str
) -> None:
    _, first = api("POST", f"/subjects/{subject}/versions", body(A))
    assert api("DELETE", f"/subjects/{subject}?permanent=true")[1]["error_code"] == 40405
    assert api("DELETE", f"/subjects/{subject}") == (200, [1])
    assert subject not in api("GET", "/subjects")[1]
    assert subject in api("GET", "/subjects?deleted=true")[1]
    _, again = api("POST", f"/subjects/{subject}/versions", body(A))
    assert (again["id"], again["version"]) == (first["id"], 2)
    api("DELETE", f"/subjects/{subject}")
    assert api("DELETE", f"/subjects/{subject}?permanent=true") == (200, [1, 2])
    assert subject not in api("GET", "/subjects?deleted=true")[1]


def test_an_id_tells_where_it_is_used(api: Api, subject: str) -> None:
    fields = [{"name": f"f_{subject[2:]}", "type": "string"}]
    _, registered = api("POST", f"/subjects/{subject}/versions", body(*fields))
    assert api("GET", f"/schemas/ids/{registered['id']}/versions") == (
        200,
        [{"subject": subject, "version": 1}],
    )


@pytest.mark.parametrize(
    "sent",
    [b"\xff\xfe{", b"[" * 100_000, b"{", b"[1]", json.dumps({"schema": '"\\ud800"'}).encode(),
     json.dumps({"schema": "[" * 100_000}).encode(), json.dumps({"schema": '{"type": "enum", "name": "\ud800"}'}).encode()],
)  # fmt: skip
def test_a_body_that_is_nothing_to_register_is_refused(
    embedded_registry: RegistryServer, subject: str, sent: bytes
) -> None:
    answer = httpx.post(f"{embedded_registry.url}/subjects/{subject}/versions", content=sent)
    assert (answer.status_code, answer.json()["error_code"]) == (422, 42201)


@pytest.mark.parametrize("path", ["/schemas/ids/{n}", "/schemas/ids/{n}/versions"])
def test_an_id_larger_than_any_is_unknown(api: Api, path: str) -> None:
    assert api("GET", path.format(n=10**30))[1]["error_code"] == 40403


def test_a_file_of_an_earlier_version_keeps_its_ids(tmp_path: Path) -> None:
    short = json.dumps({"type": "record", "name": "R", "namespace": "n", "fields": [A]})
    full = json.dumps({"type": "record", "name": "n.R", "fields": [A]})
    store = SchemaStore(tmp_path / "registry.sqlite")
    for text in (short, full):
        with store.exclusive():
            # As in earlier versions: two fingerprints for one schema.
            store._all("INSERT INTO schemas (fingerprint, text) VALUES (?, ?)", f"old {text}", text)
            store._all("INSERT INTO versions VALUES ('s', ?, ?, 0)", 1 + (text == full), 1 + (text == full))
    store._all("PRAGMA user_version = 0")
    store.close()
    store = SchemaStore(tmp_path / "registry.sqlite")
    assert [version.text for version in store.versions("s")] == [short, full]
    with store.exclusive():
        assert store.add("other", full).schema_id == 1, "one schema, one id"
    assert store.schema(2) == full, "records with that id live on"
    store.close()
