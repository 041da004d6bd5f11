"""With which earlier versions Sluice compares the meaning of fields,
depending on the level, and in which direction."""

import json
from typing import Any

import pytest

from resources.registry.history import Level, meaning_changes
from resources.registry.protocol import RegisteredSchema

MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
DATE = {"type": "int", "logicalType": "date"}
UNKNOWN = Level(None, "the registry refused the right")


def text(kind: Any = None, *, name: str = "at", **more: Any) -> str:
    fields: list[dict[str, Any]] = [{"name": "id", "type": "string"}]
    if kind is not None:
        fields.append({"name": name, "type": kind, "default": 0, **more})
    return json.dumps({"type": "record", "name": "R", "fields": fields})


def versions(*texts: str) -> list[RegisteredSchema]:
    return [RegisteredSchema(100 + n, n, one) for n, one in enumerate(texts, start=1)]


def told(level: Level, new: str, *old: str) -> str:
    return "; ".join(meaning_changes(level, new, versions(*old)))


@pytest.mark.parametrize("level", ["BACKWARD", "FORWARD", "FULL", "NONE", "BACKWARD_TRANSITIVE"])
def test_a_change_is_told_with_the_versions_that_it_is_a_change_of(level: str) -> None:
    said = told(Level(level), text(MICROS), text(MILLIS), text(), text(MILLIS))
    assert said.startswith("field 'at': timestamp-millis (versions 1, 3) became timestamp-micros; ")
    assert said.count("became") == 1, "one sentence for both directions"


@pytest.mark.parametrize(
    ("level", "seen"),
    [("BACKWARD", True), ("BACKWARD_TRANSITIVE", True), ("FORWARD", False), ("FULL_TRANSITIVE", True), ("NONE", True)],
)  # fmt: skip
def test_backward_is_about_the_new_schema_that_reads_old_records(level: str, seen: bool) -> None:
    renamed = text(MICROS, name="departed_at", aliases=["at"])
    assert ("old records would be read" in told(Level(level), renamed, text(MILLIS))) is seen


@pytest.mark.parametrize(
    ("level", "seen"), [("BACKWARD", False), ("FORWARD", True), ("FORWARD_TRANSITIVE", True), ("FULL", True)]
)
def test_forward_is_about_the_old_schema_that_reads_new_records(level: str, seen: bool) -> None:
    old = text(MILLIS, name="departed_at", aliases=["at"])
    said = told(Level(level), text(DATE), old)
    assert ("new records, by a consumer that has the older version" in said) is seen


def test_where_the_level_promises_nothing_the_refusal_says_what_was_compared() -> None:
    assert "at the level NONE" in told(Level("NONE"), text(MICROS), text(MILLIS))
    assert "not known: the registry refused the right" in told(UNKNOWN, text(MICROS), text(MILLIS))
    assert told(UNKNOWN, text(MICROS), text(MICROS)) == ""


@pytest.mark.parametrize("name", ["BACKWARD", "FORWARD", "FULL"])
def test_only_a_transitive_level_or_none_at_all_asks_for_every_version(name: str) -> None:
    assert not Level(name).all_versions
    assert Level(f"{name}_TRANSITIVE").all_versions
    assert Level("NONE").all_versions
    assert UNKNOWN.all_versions


def test_many_versions_are_not_all_named() -> None:
    said = told(Level("FULL_TRANSITIVE"), text(MICROS), *[text(MILLIS)] * 9)
    assert "(versions 1, 2, 3, 4, 5 and 4 more)" in said


def test_a_version_that_is_no_avro_schema_is_left_to_the_registry() -> None:
    assert told(Level("FULL_TRANSITIVE"), text(MICROS), "syntax = 'proto3';", '{"oneOf": []}') == ""
