"""Values and errors that have no ordinary text are dead letters like others."""

import json

import pytest

from pipelines.transform.dead_letters import shown
from pipelines.transform.row_json import row_json
from pipelines.transform.transformer import _said


@pytest.mark.parametrize("number", [10**5000, -(10**4999) * 7], ids=["positive", "negative"])
def test_a_number_of_more_digits_than_python_writes_is_text_in_a_dead_letter(number: int) -> None:
    told = shown(number)
    assert told is not None
    assert "digits)" in told
    row = json.loads(row_json({"n": number, "list": [number], "small": 10**300}))
    assert "digits)" in row["n"]
    assert "digits)" in row["list"][0]
    assert row["small"] == 10**300


def test_an_error_that_has_no_text_is_named_by_its_type() -> None:
    class Unsayable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    try:
        raise Unsayable
    except Unsayable as error:
        assert _said(error).startswith("Unsayable: <Unsayable, which has no text>")
