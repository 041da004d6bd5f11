"""Which events a selection picks:
the same as plain Python picks, and no term that picks nothing goes unnoticed."""

import re
from collections.abc import Collection, Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import Catalogue, CatalogueError, Event
from pipelines.authoring.catalogue import UnknownEventError
from pipelines.selection.evaluation import NothingSelected, Subject, matches, select
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
    State,
    Tagged,
)
from pipelines.selection.parser import parse
from tests.pipelines.authoring.conftest import Tree

_WORDS = st.sampled_from(["a", "ab", "b", "a.b", "team:a", "x"])
_PATTERNS = st.builds(Pattern, _WORDS) | st.sampled_from(["*", "a*", "?", "*b", "a?b", "t*:a"]).map(
    lambda text: Pattern(text, glob=True)
)
_NAMES = st.builds("{}/{}".format, st.sampled_from(["a", "b"]), st.sampled_from(["a", "ab", "b"]))
_NAME_PATTERNS = (
    _PATTERNS
    | st.builds(Pattern, _NAMES)
    | st.sampled_from(["a/*", "*/b", "?/?b"]).map(lambda text: Pattern(text, glob=True))
)
_SUBJECTS = st.builds(
    Subject,
    _NAMES,
    _WORDS,
    st.dictionaries(_WORDS, _WORDS | st.just(""), max_size=2),
    st.sets(st.sampled_from(STATES)),
)
_EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    st.one_of(
        st.builds(Named, _NAME_PATTERNS),
        st.builds(OwnedBy, _PATTERNS),
        st.builds(Tagged, _PATTERNS, st.none() | _PATTERNS),
        st.builds(InState, st.sampled_from(STATES)),
    ),
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


def _like(pattern: Pattern, text: str) -> bool:
    if not pattern.glob:
        return pattern.text == text
    return (
        re.fullmatch(pattern.text.replace(".", r"\.").replace("*", "[^/]*").replace("?", "[^/]"), text)
        is not None
    )


def _model(expression: Expression, event: Subject) -> bool:
    if isinstance(expression, Named):
        name = event.full_name if "/" in expression.name.text else event.full_name.split("/")[1]
        return _like(expression.name, name)
    if isinstance(expression, OwnedBy):
        return _like(expression.owner, str(event.owner))
    if isinstance(expression, Tagged):
        found = [told for tag, told in (event.tags or {}).items() if _like(expression.key, tag)]
        return (
            bool(found) if expression.value is None else any(_like(expression.value, told) for told in found)
        )
    if isinstance(expression, InState):
        return expression.state in (event.states or ())
    if isinstance(expression, Not):
        return not _model(expression.part, event)
    verdicts = [_model(part, event) for part in expression.parts]
    return all(verdicts) if isinstance(expression, All) else any(verdicts)


@given(_EXPRESSIONS, _SUBJECTS)
def test_an_expression_picks_what_plain_python_says(expression: Expression, event: Subject) -> None:
    assert matches(expression, event) is _model(expression, event)


@given(_EXPRESSIONS, _SUBJECTS)
def test_what_is_said_of_an_event_that_does_not_load_holds_once_it_loads(
    expression: Expression, event: Subject
) -> None:
    unknown = matches(expression, Subject(event.full_name))
    assert unknown is None or unknown is _model(expression, event)


@pytest.fixture
def events(tree: Tree) -> Catalogue:
    for place, topic, more in (
        ("shop/order_placed", "shop.order-placed.v1", 'owner="team:shop",\n    tags=["nightly"],'),
        ("shop/order_paid", "shop.order-paid.v1", 'owner="team:money",\n    tags={"tier": "1"},'),
        ("stock/item_moved", "stock.item-moved.v1", 'owner="team:stock",'),
    ):
        tree.event(place, topic=topic, replace={'owner="team:operations",': more})
    return tree.load()


def _no_ledger(_: Iterable[Event]) -> Mapping[str, Collection[State]]:
    raise AssertionError("the ledger is not needed")


def _picked(text: str, events: Catalogue) -> list[str]:
    return [event.full_name for event in select(parse(text), events, _no_ledger).events]


@pytest.mark.parametrize(
    ("text", "picked"),
    [
        ("shop/*", ["shop/order_paid", "shop/order_placed"]),
        ("order_*", ["shop/order_paid", "shop/order_placed"]),
        ("*", ["shop/order_paid", "shop/order_placed", "stock/item_moved"]),
        ("*/item_moved", ["stock/item_moved"]),
        ("item_moved or order_paid", ["shop/order_paid", "stock/item_moved"]),
        ("owner:team:s*", ["shop/order_placed", "stock/item_moved"]),
        ("tag:tier", ["shop/order_paid"]),
        ("tag:tier=1 or tag:nightly", ["shop/order_paid", "shop/order_placed"]),
        ("not tag:nightly and not stock/*", ["shop/order_paid"]),
        ("shop/* and not (owner:team:shop or tag:nightly)", ["shop/order_paid"]),
    ],
)
def test_what_a_selection_picks(events: Catalogue, text: str, picked: list[str]) -> None:
    assert _picked(text, events) == picked


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("shp/*", "did you mean shop/*?"),
        ("shop/order_placed or ordr_*", "no event has a name like 'ordr_*'"),
        ("shop/* or owner:team:monye", "did you mean owner:team:money?"),
        ("tag:nightli or shop/*", "did you mean tag:nightly?"),
        ("tag:tier=2", "did you mean tag:tier=1?"),
        (
            "shop/* and stock/*",
            "picks none of 3 events; allowed: shop/order_paid, shop/order_placed, stock/item_moved",
        ),
    ],
)
def test_a_term_that_picks_nothing_is_an_error_that_shows_what_there_is(
    events: Catalogue, text: str, told: str
) -> None:
    with pytest.raises(NothingSelected) as caught:
        _picked(text, events)
    assert told in str(caught.value)


@pytest.mark.parametrize("text", ["shop", "shop/"])
def test_a_domain_is_no_event_and_the_error_says_how_to_select_it(events: Catalogue, text: str) -> None:
    with pytest.raises(UnknownEventError, match=r"did you mean 'shop/\*'"):
        _picked(text, events)


@pytest.mark.parametrize("text", ["shop/order_plced or shop/*", "shop/* and not order_plced"])
def test_the_name_of_one_event_must_be_there_even_under_not(events: Catalogue, text: str) -> None:
    with pytest.raises(UnknownEventError):
        _picked(text, events)


def test_another_term_under_not_that_picks_nothing_is_a_note(events: Catalogue) -> None:
    found = select(parse("shop/* and not tag:paused"), events, _no_ledger)
    assert len(found.events) == 2
    (note,) = found.notes
    assert "no event has the tag 'paused'" in note and "leaves out nothing" in note


def test_states_are_asked_for_once_and_a_selection_without_an_event_says_what_there_is(
    events: Catalogue,
) -> None:
    asked: list[int] = []

    def states(wanted: Iterable[Event]) -> Mapping[str, Collection[State]]:
        asked.append(len(list(wanted)))
        return {"shop/order_paid": {"late", "published"}}

    found = select(parse("state:late or state:published and not state:blocked"), events, states)
    assert [event.full_name for event in found.events] == ["shop/order_paid"]
    assert asked == [3]
    with pytest.raises(
        NothingSelected, match=r"picks none of 3 events now; .*shop/order_paid \(late, published\)"
    ):
        select(parse("state:failed"), events, states)


@pytest.mark.usefixtures("events")
def test_an_event_that_does_not_load_is_told_where_it_may_be_meant(tree: Tree) -> None:
    tree.write("shop/order_sent.py", "import nothing_there\n")
    tree.write("shop/order_sent.avsc", (tree.root / "shop/order_paid.avsc").read_text())
    with pytest.raises(CatalogueError) as caught:
        tree.load()
    healthy = caught.value.healthy
    assert select(parse("shop/*"), healthy, _no_ledger).refused == ("shop/order_sent",)
    assert select(parse("owner:team:stock"), healthy, _no_ledger).refused == ("shop/order_sent",)
    assert select(parse("stock/*"), healthy, _no_ledger).refused == ()
    assert select(parse("shop/* and not shop/order_sent"), healthy, _no_ledger).refused == ()
    with pytest.raises(CatalogueError, match="nothing_there"):
        select(parse("order_sent or stock/*"), healthy, _no_ledger)


@pytest.mark.usefixtures("events")
def test_a_name_of_two_domains_is_no_name(tree: Tree) -> None:
    tree.event("stock/order_paid", topic="stock.order-paid.v1")
    with pytest.raises(UnknownEventError, match="more than one domain"):
        _picked("order_paid or item_moved", tree.load())
