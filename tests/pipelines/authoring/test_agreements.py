"""What an event declares for others: its topic's settings, its consumers, its promise and its tags."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import DeclarationError, Tag, TopicSettings, load_catalogue, promise, topic
from pipelines.authoring.agreements.names import read_consumers, read_tags
from pipelines.authoring.agreements.promise import Promise, RowRange
from pipelines.authoring.durations import read_duration, short_duration
from pipelines.orchestration.definitions.assets import build_assets
from pipelines.orchestration.keys import asset_key
from tests.pipelines.authoring.conftest import Tree

ALL = {
    'topic="flights.flight-departed.v1"': 'topic=topic("flights.flight-departed.v1", partitions=6, retention="90d")',
    'owner="team:operations",': """owner="team:operations",
    consumers=["tracking", "billing"],
    promise=promise(fresh_within="8h", rows=(1_000, 60_000), complete_since="2013-02-01"),
    tags={"tier": "1", "nightly": ""},""",
    "import daily, event, hourly": "import daily, event, hourly, promise, topic",
}
# Code versions of the samples before these arguments existed, on Python 3.11.
SAMPLES = {
    "flights/aircraft_week_flown": "9607295114936218",
    "flights/carrier_day_closed": "17bec5ab52191a51",
    "flights/flight_arrived": "f83ad25b12589515",
    "flights/flight_cancelled": "cec0b63d5c5df7c6",
    "flights/flight_departed": "b8ba7627b0ba36e3",
    "weather/category_changed": "f1ae1cfc2c71105a",
    "weather/month_closed": "23a472505f135c22",
    "weather/weather_observed": "80596865a9ab860c",
}


def test_everything_that_is_declared_is_part_of_the_event(tree: Tree) -> None:
    tree.event(replace=ALL)
    (event,) = tree.load()
    assert event.topic == "flights.flight-departed.v1"
    assert event.topic_settings == TopicSettings(partitions=6, retention_ms=90 * 86_400_000)
    assert event.consumers == ("tracking", "billing")
    since = datetime(2013, 2, 1, tzinfo=UTC)
    assert event.promise == Promise(timedelta(hours=8), RowRange(1_000, 60_000), since)
    assert event.tags == (Tag("nightly"), Tag("tier", "1"))
    assert str(event.topic_settings) == "6 partitions, retention 90d"
    assert str(event.promise) == (
        "published within 8h of a window's end, 1,000 to 60,000 rows a window, complete since 2013-02-01"
    )


def test_a_plain_text_is_a_topic_without_settings(tree: Tree) -> None:
    tree.event()
    (event,) = tree.load()
    assert (event.topic_settings, event.consumers, event.tags) == (TopicSettings(), (), ())
    assert not event.topic_settings and not event.promise


def test_none_of_it_is_part_of_the_code_version(tree: Tree) -> None:
    works = {"return rows": "return rows.dropna()"}
    tree.event(replace=works)
    (before,) = tree.load()
    tree.event(replace=works | ALL)
    (after,) = tree.load()
    assert after.promise and after.code_version == before.code_version


def test_an_import_of_its_own_is_no_part_of_it_either(tree: Tree) -> None:
    works = {"return rows": "return rows.dropna()"}
    tree.event(replace=works)
    (before,) = tree.load()
    tree.event(replace=works | {"\n\n@event": "from pipelines import promise as promised, topic\n\n\n@event"})
    (after,) = tree.load()
    assert after.code_version == before.code_version


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="code versions are those of Python 3.11")
def test_the_samples_keep_their_code_versions() -> None:
    assert {event.full_name: event.code_version for event in load_catalogue()} == SAMPLES


def test_dagster_shows_it(tree: Tree) -> None:
    tree.event(replace=ALL)
    (event,) = tree.load()
    assets = build_assets(event)
    for stage in ("sourced", "transformed", "published"):
        tags = assets.specs_by_key[asset_key(event, stage)].tags
        assert (tags["tier"], tags["nightly"], tags["sluice/stage"]) == ("1", "", stage)
    metadata = assets.specs_by_key[asset_key(event, "published")].metadata
    assert metadata["consumers"] == "tracking, billing"
    assert metadata["topic_settings"] == "6 partitions, retention 90d"
    assert metadata["promise"] == str(event.promise)


def test_every_mistake_of_a_module_is_reported_at_once(tree: Tree) -> None:
    tree.event(
        replace={
            'topic="flights.flight-departed.v1"': 'topic=topic("flights.flight departed", partition=6, retention=-1)',
            'owner="team:operations",': """owner="nobody",
    consumers="billing",
    promise=promise(fresh_withn="8h", rows=(5, 1)),
    tags=["a b"],""",
            "import daily, event, hourly": "import daily, event, hourly, promise, topic",
        }
    )
    told = "\n".join(tree.problems())
    for part in (
        "topic() knows no argument 'partition'",
        "did you mean 'partitions'?",
        "retention=-1 is not a length of time",
        "write retention='forever'",
        "topic='flights.flight departed' has ' '",
        "owner='nobody'",
        "write consumers=['billing']",
        "promise() knows no argument 'fresh_withn'",
        "did you mean 'fresh_within'?",
        "did you mean rows=(1, 5)?",
        "tags has 'a b', which Dagster refuses",
        "did you mean 'a-b'?",
    ):
        assert part in told, part
    assert "assets/flights/flight_departed.py:9:" in told


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"partitions": 0}, "partitions=0"),
        ({"partitions": -1}, "partitions=-1"),
        ({"partitions": True}, "partitions=True"),
        ({"partitions": 6.0}, "partitions=6.0"),
        ({"partitions": "6"}, "partitions='6'"),
        ({"partitions": 10**9}, "100,000"),
        ({"partitions": 10**5_000}, "is not a whole number from 1"),
        ({"retention": "0d"}, "keeps no record"),
        ({"retention": "-90d"}, "keeps no record"),
        ({"retention": "90"}, "not a length of time"),
        ({"retention": "90 days"}, "not a length of time"),
        ({"retention": ""}, "not a length of time"),
        ({"retention": "9" * 5_000 + "d"}, "more than a hundred years"),
        ({"retention": "-" + "9" * 50 + "d"}, "keeps no record"),
        ({"retention": 90}, "did you mean retention='90d'"),
        ({"retention": True}, "retention=True"),
        ({"retention": "forevr"}, "did you mean retention='forever'"),
        ({"retention_bytes": -1}, "write retention='forever'"),
        ({"retention_bytes": 2**63}, "retention_bytes"),
        ({"max_message_bytes": 2**31}, "max_message_bytes"),
        ({"cleanup": "compacted"}, "did you mean cleanup='compact'"),
        ({"cleanup": 5}, "cleanup=5"),
        ({"cleanup": "compact", "retention": "9d"}, "write cleanup='compact,delete'"),
        ({"replicas": 3}, "knows no argument 'replicas'"),
    ],
)
def test_wrong_topic_settings(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        topic("shop.x.v1", **wrong)  # type: ignore[arg-type]
    assert told in str(caught.value)
    assert f"{Path(__file__).name}:" in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({}, "promises nothing"),
        ({"fresh_within": 0}, "fresh_within=0"),
        ({"fresh_within": 8}, "did you mean fresh_within='8h'"),
        ({"fresh_within": True}, "fresh_within=True"),
        ({"fresh_within": "-8h"}, "no time at all"),
        ({"fresh_within": "99999w"}, "more than ten years"),
        ({"rows": (2, 1)}, "did you mean rows=(1, 2)"),
        ({"rows": (-1, 5)}, "whole numbers"),
        ({"rows": (True, 5)}, "whole numbers"),
        ({"rows": (1, 2**63)}, "whole numbers"),
        ({"rows": (1.0, 5)}, "whole numbers"),
        ({"rows": (0, None)}, "every number of rows"),
        ({"rows": (0, 0)}, "allows no row"),
        ({"rows": [1, 5]}, "write rows=(1, 5)"),
        ({"rows": 1_000}, "write rows=(1000, None)"),
        ({"rows": (1, 2, 3)}, "not a pair"),
        ({"rows": ()}, "not a pair"),
        ({"complete_since": "soon"}, "not a date"),
        ({"complete_since": datetime(2024, 1, 1)}, "write complete_since='2024-01-01'"),
        ({"complete_by": "8h"}, "knows no argument 'complete_by'"),
    ],
)
def test_wrong_promises(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        promise(**wrong)  # type: ignore[arg-type]
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("promise=promise(fresh_within='6h')", "cannot be kept"),
        ("promise=promise(complete_since='2012-12-31')", "before the first window"),
        ("promise=promise", "promises nothing"),
        ("promise={'fresh_within': '8h'}", "is no promise"),
        ("topic=topic", "names no topic"),
        ("topic=topic()", "topic='' is empty"),
        ("topic=topic(5)", "topic=5 is not text"),
        ("topic=topic('a.v1', 6)", "arguments without a name"),
        ("topic=topic('a.v1', cleanup='compact')", "keeps only the newest event of each key"),
        ("consumers='billing'", "is a text, not a list"),
        ("consumers={'billing'}", "is not a list"),
        ("consumers=['billing', 'billing']", "twice"),
        ("consumers=['billing', 'Billing']", "differ only in case"),
        ("consumers=['']", "cannot be the name of a service"),
        ("consumers=['b\u00fcro']", "cannot be the name of a service"),
        ("consumers=['a' * 64]", "cannot be the name of a service"),
        ("consumers=[5]", "is not text"),
        ("tags=['a', 'a']", "twice"),
        ("tags=['dagster/kind']", "Dagster's own"),
        ("tags=['tier=1']", "write tags={'tier': '1'}"),
        ("tags={'tier': 1}", "write {'tier': '1'}"),
        ("tags={'tier': 'a b'}", "Dagster refuses"),
        ("tags={5: '1'}", "is not text"),
        ("tags=['\U0001f600']", "Dagster refuses"),
        ("tags='nightly'", "write tags=['nightly']"),
    ],
)
def test_wrong_arguments_of_the_decorator(tree: Tree, argument: str, told: str) -> None:
    name = argument.partition("=")[0]
    old = 'topic="flights.flight-departed.v1"' if name == "topic" else 'owner="team:operations"'
    tree.event(
        replace={
            old: argument if name == "topic" else f"{old},\n    {argument}",
            'daily("2013-01-01")': 'daily("2013-01-01", delay="6h")',
            "import daily, event, hourly": "import daily, event, hourly, promise, topic",
        }
    )
    assert told in tree.problem()


class _Hostile:
    """A value that answers no comparison and has no text."""

    def _refuse(self, *_: object) -> bool:
        raise RuntimeError("not comparable")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = _refuse
    __hash__ = None  # type: ignore[assignment]
    __repr__ = __str__ = _refuse  # type: ignore[assignment]


class _HostileText(str):
    __eq__ = _Hostile._refuse
    __hash__ = str.__hash__


class _HostileNumber(int):
    __eq__ = __le__ = __ge__ = _Hostile._refuse
    __hash__ = int.__hash__


@pytest.mark.parametrize(
    "argument", ["partitions", "retention", "retention_bytes", "cleanup", "max_message_bytes"]
)
@pytest.mark.parametrize(
    "value",
    [
        np.array([1, 2]),
        np.array([]),
        np.array(["compact", "delete"]),
        pd.NA,
        pd.Series([1, 2]),
        _Hostile(),
        [],
        {},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_cannot_be_compared_is_a_mistake_like_another(argument: str, value: object) -> None:
    with pytest.raises(DeclarationError, match=rf"topic\(\): {argument}="):
        topic("shop.x.v1", **{argument: value})  # type: ignore[arg-type]


def test_values_of_hostile_subclasses_are_read_as_plain_ones() -> None:
    made = topic(
        "shop.x.v1",
        partitions=_HostileNumber(6),
        retention=_HostileText("forever"),
        cleanup=_HostileText("delete"),  # type: ignore[arg-type]
    )
    assert made.settings == TopicSettings(partitions=6, retention_ms=-1, cleanup="delete")


@pytest.mark.parametrize("key", [0, None, False, (), 0.0, b""])
def test_a_key_of_tags_that_counts_as_false_is_a_mistake(key: object) -> None:
    tags, mistake = read_tags({"a": "x", key: "x"})
    assert tags == () and mistake and f"tags has {key!r}, which is not text" in mistake.problem


def test_a_value_of_tags_is_suggested_only_if_it_would_be_right() -> None:
    for value, hint in (
        (1, "write {'a': '1'}"),
        (True, "write {'a': 'true'}"),
        (10**5_000, None),
        (1e30, None),
    ):
        tags, mistake = read_tags({"a": value})
        assert tags == () and mistake and mistake.next_step == hint and "is not text" in mistake.problem


def test_nothing_is_declared_by_an_empty_list() -> None:
    assert read_consumers([]) == ((), None)
    assert read_tags([]) == read_tags({}) == ((), None)


@given(st.text(max_size=70), st.text(max_size=70))
def test_what_passes_as_a_tag_passes_dagster(key: str, value: str) -> None:
    tags, mistake = read_tags({key: value})
    if mistake is None:
        assert dg.AssetSpec("a", tags=dict(tags)).tags == {key: value}


@given(st.integers(0, 10**9))
def test_a_short_duration_reads_as_the_same_length(seconds: int) -> None:
    length = timedelta(seconds=seconds)
    assert read_duration(short_duration(length)) == length


@given(st.text() | st.timedeltas() | st.integers())
def test_every_value_has_a_length_or_none(value: object) -> None:
    found = read_duration(value)
    assert found is None or isinstance(found, timedelta)
