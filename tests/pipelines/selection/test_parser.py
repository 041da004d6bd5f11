"""A selection's text and its expression:
each can be read as the other, and a mistake is reported with its position."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.selection.expressions import (
    STATES,
    All,
    AnyOf,
    Expression,
    InState,
    Named,
    Not,
    OwnedBy,
    Pattern,
    Tagged,
    is_word,
    plain_name,
    uses_states,
)
from pipelines.selection.parser import SelectionError, parse

_GLOBS = st.text("abz_-./*?:=,\u00e9", min_size=1, max_size=8).filter(
    lambda text: bool(set("*?") & set(text)) and is_word(text)
)


def _patterns(reserved: str) -> st.SearchStrategy[Pattern]:
    literal = st.builds(
        Pattern, st.text(min_size=1, max_size=8) | st.sampled_from(["and", "OR", "a b", 'q"\\', "*"])
    )
    globs = _GLOBS.filter(lambda text: not set(reserved) & set(text))
    return literal | st.builds(lambda text: Pattern(text, glob=True), globs)


_TERMS: st.SearchStrategy[Expression] = st.one_of(
    st.builds(Named, _patterns(":,")),
    st.builds(OwnedBy, _patterns("")),
    st.builds(Tagged, _patterns("="), st.none() | st.just(Pattern("")) | _patterns("")),
    st.builds(InState, st.sampled_from(STATES)),
)
EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    _TERMS,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)


@given(EXPRESSIONS)
def test_the_text_of_an_expression_reads_as_the_expression(expression: Expression) -> None:
    assert parse(str(expression)) == expression


@given(st.text('abc()"\\ :=*ornadtwesg,', max_size=40) | st.text(max_size=40))
def test_every_text_is_a_selection_or_has_its_mistake_at_a_place(text: str) -> None:
    try:
        assert parse(str(parse(text))) == parse(text)
    except SelectionError as error:
        assert 0 <= error.position <= len(text)
        assert error.expected and error.problem


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("flight_departed", Named(Pattern("flight_departed"))),
        ("flights/*", Named(Pattern("flights/*", glob=True))),
        ('"a b"', Named(Pattern("a b"))),
        ("owner:team:billing", OwnedBy(Pattern("team:billing"))),
        ("tag:tier=1", Tagged(Pattern("tier"), Pattern("1"))),
        ("tag:tier=", Tagged(Pattern("tier"), Pattern(""))),
        ('tag:"a=b"="c d"', Tagged(Pattern("a=b"), Pattern("c d"))),
        ("state:late", InState("late")),
        (
            "a or b and not c",
            AnyOf((Named(Pattern("a")), All((Named(Pattern("b")), Not(Named(Pattern("c"))))))),
        ),
        ("(a OR b) AND c", All((AnyOf((Named(Pattern("a")), Named(Pattern("b")))), Named(Pattern("c"))))),
        ("not(a)", Not(Named(Pattern("a")))),
        ("nothing", Named(Pattern("nothing"))),
        ("notes and orders", All((Named(Pattern("notes")), Named(Pattern("orders"))))),
    ],
)
def test_what_a_text_says(text: str, expression: Expression) -> None:
    assert parse(text) == expression


@pytest.mark.parametrize(
    ("text", "position", "told"),
    [
        ("", 0, "is empty"),
        ("   ", 3, "is empty"),
        ("a and", 5, "a term is missing"),
        ("and a", 0, "found 'and'"),
        ("a b", 2, "write `and` or `or`"),
        ("a adn b", 2, "did you mean 'and'"),
        ("a, b", 1, "comma"),
        ("a,b", 1, "write a or b"),
        ("(a", 0, "'(' is not closed"),
        ("(a b)", 3, "found 'b'"),
        ("a)", 1, "closes nothing"),
        ("()", 1, "found ')'"),
        ("ownr:team:x", 0, "did you mean owner:?"),
        ("owner:", 6, "names nothing"),
        ("state:lat", 6, "did you mean state:late?"),
        ("state:", 6, "names no state"),
        ("tag:=1", 4, "names nothing"),
        ('"a', 0, "not closed"),
        ('a"b"', 1, "inside a word"),
        ('"a"b', 3, "inside a word"),
        ('"a\\n"', 2, "backslash"),
        ("not " * 60 + "a", 200, "more than 50"),
        ("(" * 60 + "a" + ")" * 60, 50, "more than 50"),
        ("a" * 10_001, 0, "10,001 characters"),
    ],
)
def test_a_mistake_says_where_it_is_and_what_is_expected(text: str, position: int, told: str) -> None:
    with pytest.raises(SelectionError) as caught:
        parse(text)
    assert told in str(caught.value)
    assert caught.value.position == position
    assert caught.value.expected


def test_the_ledger_is_needed_only_for_states() -> None:
    assert uses_states(parse("a or not state:late"))
    assert not uses_states(parse("a or not (owner:x and tag:state)"))


def test_a_plain_name_is_nothing_else() -> None:
    assert plain_name(parse("flights/flight_departed")) == "flights/flight_departed"
    assert plain_name(parse('"flight_departed"')) == "flight_departed"
    for text in ("flights/*", "not a", "owner:a", "(a or b)"):
        assert plain_name(parse(text)) is None
