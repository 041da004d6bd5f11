"""Whatever a value or an error is, a message contains a short text for it."""

import json
from pathlib import Path

import pytest

from pipelines.ledger.entry import read_entry
from resources.errors import SluiceError
from resources.json_mistakes import parse_json, what_is_wrong
from resources.registry.answers import read_answer
from resources.settings import load_settings
from resources.snapshots.faults import json_object
from resources.wording import brief, cut, headline, raised, repr_of, text_of


class Unsayable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.mark.parametrize("number", [10**5000, -(10**4300), 7 * 10**9999], ids=["large", "negative", "larger"])
def test_a_number_that_python_does_not_write_has_its_first_digits(number: int) -> None:
    for text in (text_of(number), repr_of(number)):
        assert text.startswith("-1000" if number < 0 else ("7000" if number > 10**6000 else "1000"))
        assert "digits)" in text
        assert len(text) < 80


def test_what_has_no_text_is_named_by_its_type() -> None:
    assert text_of(Unsayable()) == repr_of(Unsayable()) == "<Unsayable, which has no text>"
    assert raised(Unsayable()) == "Unsayable: <Unsayable, which has no text>"
    assert raised(ValueError(10**5000)).startswith("ValueError: <ValueError")
    assert raised(KeyError()) == "KeyError"


def test_what_exits_when_it_is_asked_for_its_text_ends_nothing() -> None:
    class Exits(Exception):
        def __str__(self) -> str:
            raise SystemExit(0)

        __repr__ = __str__

    try:
        texts = {text_of(Exits()), repr_of(Exits())}
    except SystemExit:
        pytest.fail("it ended the process", pytrace=False)
    assert texts == {"<Exits, which has no text>"}


def test_long_texts_are_cut_and_counted() -> None:
    assert brief("x" * 1_000_000, 20) == "'xxxxxxxxxxxxxxxxxxx… (1,000,002 characters)"
    assert cut("short") == "short"


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        ('{"a": 1,}', "line 1, column 9", "no comma before the bracket"),
        ("[1,\n 2,\n]", "line 3, column 1", "no comma before the bracket"),
        ('{"a" 1}', "there is '1'", "':' between a name and its value"),
        ('{"a": 1 "b": 2}', "there is '\"'", "',' before the next entry"),
        ("{'a': 1}", "single quote", "text in double quotes"),
        ('{"a": None}', "there is None", "null, as JSON writes it"),
        ('{"a": True}', "there is True", "true, as JSON writes it"),
        ('{"a": 1} // why', "a comment", "the end of the text"),
        (
            '{\n  // why\n  "a": 1}',
            "line 2, column 3 is not JSON, there is a comment",
            "a name in double quotes",
        ),
        ("", "the text ends there", "a value"),
        ('{"a": ', "the text ends there", "a value"),
        ('{"a": "x\ny"}', "line 1", "may not stand in a text as it is"),
        ('{"a": "\\q"}', "line 1", "one of"),
        ('{"a": word}', "there is 'word'", "a value: text in double quotes"),
    ],
)
def test_a_mistake_in_json_says_where_what_and_what_was_expected(
    text: str, where: str, expected: str
) -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads(text)
    problem, allowed = what_is_wrong(text, caught.value)
    assert where in problem
    assert "line " in problem
    assert expected in allowed


def test_the_headline_of_a_list_is_one_line() -> None:
    assert headline("two things are wrong:\n- one\n- two") == "two things are wrong"
    assert headline("one thing") == "one thing"


def test_what_python_says_of_a_number_that_it_does_not_read_is_said_in_other_words(tmp_path: Path) -> None:
    number = "1" * 5000
    (tmp_path / "sluice.toml").write_text(f"batch_rows = {number}\n")
    asked = [
        lambda: load_settings({"SLUICE_TOML": str(tmp_path / "sluice.toml"), "SLUICE_HOME": str(tmp_path)}),
        lambda: json_object("pointer", f'{{"rows": {number}}}'.encode()),
        lambda: read_entry("t|w", f'{{"v": {number}}}'.encode()),
        lambda: parse_json("plan", number),
    ]
    for ask in asked:
        with pytest.raises(SluiceError, match="a number of more than 4,300 digits") as raised:
            ask()
        assert "sys.set_int" not in str(raised.value)


def test_an_answer_with_such_a_number_is_no_answer_of_a_registry() -> None:
    answer = read_answer(
        "registry", 200, {"content-type": "application/json"}, f'{{"id": {"1" * 5000}}}'.encode()
    )
    assert answer.value is None
