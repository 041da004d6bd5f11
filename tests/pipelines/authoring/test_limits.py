"""Limits as an author writes them, and how they combine with the installation's and a run's."""

import pytest

from pipelines import DeclarationError, limits
from pipelines.authoring.limits import NO_LIMITS, LagLimit, Limits
from tests.pipelines.authoring.conftest import Tree


def test_a_group_goes_on_at_half_of_what_pauses_it_unless_it_says_where() -> None:
    made = limits(lag={"billing": 50_001, "search": (1_000, 10)})
    assert made.lag == {"billing": LagLimit(50_001, 25_000), "search": LagLimit(1_000, 10)}
    assert str(made).startswith(
        "pauses while consumer group billing is more than 50,001 records behind, pauses"
    )


def repr_of(wrong: dict[str, object]) -> str:
    try:
        return str(wrong)[:60]
    except ValueError:  # Python does not write a number of more than 4,300 digits
        return "thousands of digits"


@pytest.mark.parametrize(
    "wrong",
    [
        {"rows_per_second": -1},
        {"rows_per_second": True},
        {"rows_per_second": 2**63},
        {"bytes_per_second": 10**400},
        {"rows_per_second": 10**5_000},
        {"lag": {"billing": 2**63}},
        {"bytes_per_second": 1.5},
        {"lag": {"billing": 0}},
        {"lag": {"billing": (5, 5)}},
        {"lag": {"": 5}},
        {"lag": {"billing\0": 5}},
        {"lag": {"bil\nling": 5}},
        {"lag": {"\ud800": 5}},
        {"lag": {"g" * 32_768: 5}},
        {"lag": {"billing": "5"}},
        {},
    ],
    ids=repr_of,
)
def test_what_limits_nothing_is_refused_where_it_stands(wrong: dict[str, object]) -> None:
    with pytest.raises(DeclarationError, match=r"test_limits\.py:\d+: limits"):
        limits(**wrong)  # type: ignore[arg-type]


def test_of_event_and_installation_the_stricter_holds() -> None:
    event = limits(rows_per_second=5_000, lag={"billing": 100})
    assert event.stricter(1_000, 70) == Limits(1_000, 70, event.lag)
    assert event.stricter(9_000, 0) == event
    assert NO_LIMITS.stricter(0, 0) == NO_LIMITS and not NO_LIMITS


def test_a_run_sets_anew_what_it_names_and_lifts_by_zero() -> None:
    base = Limits(5_000, 70_000, {"billing": LagLimit(100, 10), "search": LagLimit(100, 50)})
    assert base.anew(None, None, {}) == base
    assert base.anew(9_000, None, {}) == Limits(9_000, 70_000, base.lag)
    assert base.anew(0, 0, {"billing": 0, "search": 0}) == NO_LIMITS
    assert base.anew(None, None, {"billing": 8, "new": 4}).lag == {
        "billing": LagLimit(8, 4),
        "search": LagLimit(100, 50),
        "new": LagLimit(4, 2),
    }


def test_limits_are_no_part_of_the_code_version(tree: Tree) -> None:
    tree.event()
    (before,) = tree.load()
    tree.event(
        replace={
            "import daily, event,": "import daily, event, limits,",
            '    owner="team:operations",\n': '    owner="team:operations",\n    limits=limits(rows_per_second=5),\n',
        }
    )
    (after,) = tree.load()
    assert after.limits == Limits(5) and before.limits == NO_LIMITS
    assert after.code_version == before.code_version
