"""A value of another producer is compared by its record timestamp, whatever its schema id means."""

from typing import cast

import pytest

from pipelines.publishing.stale.event_times import Instants
from resources.registry import NotARegistry, NotAvro, Registry, SchemaUnknown
from tests.hearing import into

VALUE = b"\x00\x00\x00\x00\x07\x02a"


class _Registry:
    def __init__(self, answer: Exception) -> None:
        self._answer = answer

    def by_id(self, schema_id: int) -> str:  # noqa: ARG002
        raise self._answer


def instants(answer: Exception, said: list[str]) -> Instants:
    return Instants(cast(Registry, _Registry(answer)), "at", tell=into(said))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            NotAvro("registry", "schema id 7 is a PROTOBUF schema; this event is Avro"),
            "whose schema is not Avro",
        ),
        (SchemaUnknown("registry", 7), "that are not in the registry's wire format"),
    ],
)
def test_a_schema_of_another_kind_is_another_producers(answer: Exception, told: str) -> None:
    said: list[str] = []
    assert instants(answer, said).of(VALUE, 5) == 5000
    assert told in said[0]


def test_an_answer_that_is_not_the_registrys_says_nothing_about_a_value() -> None:
    with pytest.raises(NotARegistry):
        instants(NotARegistry("registry", "answered HTML, not the registry's JSON"), []).of(VALUE, 5)
