"""A draft is checked as its files would be, and nothing of it is run."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines import CatalogueError, Event, load_catalogue
from pipelines.authoring.catalogue import Catalogue
from pipelines.authoring.loading.draft_check import judged

MODULE = '''"""A thing happened."""

import pandas as pd

from pipelines import daily, event


@event(
    topic={topic},
    key={key},
    event_time="at",
    windows={windows},
    owner={owner},
    source={source},
)
def thing_happened(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as they are."""
    return rows
'''
GOOD = {
    "topic": '"shop.thing-happened.v1"',
    "key": '"id"',
    "windows": 'daily("2024-01-01")',
    "owner": '"team:shop"',
    "source": '"SELECT id, at FROM things WHERE at >= :window_start AND at < :window_end"',
}
FIELDS = [
    {"name": "id", "doc": "Its id.", "type": "string"},
    {"name": "at", "doc": "When.", "type": {"type": "long", "logicalType": "timestamp-micros"}},
]


def module(**changes: str) -> str:
    return MODULE.format(**{**GOOD, **changes})


def contract(fields: list[dict[str, Any]] = FIELDS) -> str:  # type: ignore[assignment]
    return json.dumps({"type": "record", "name": "ThingHappened", "doc": "A thing.", "fields": fields})


def _judged(root: Path, text: str, schema: str) -> Event:
    assets = root / "assets"
    return judged(assets / "shop" / "thing_happened.py", text, schema, Catalogue({}, assets))


def _loaded(root: Path, text: str, schema: str) -> Event:
    folder = root / "assets" / "shop"
    folder.mkdir(parents=True)
    (folder / "thing_happened.py").write_text(text)
    (folder / "thing_happened.avsc").write_text(schema)
    return load_catalogue(root / "assets").find("thing_happened")


def _outcome(of: Any, root: Path, text: str, schema: str) -> Any:
    try:
        event = of(root, text, schema)
    except CatalogueError as error:
        return [str(problem) for problem in error.problems]
    kept = {name: value for name, value in vars(event).items() if name not in ("contract", "transform")}
    return kept, event.contract.text, event.transform


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, FIELDS),
        ({"owner": '"bob"'}, FIELDS),
        ({"windows": 'daily("2024-02-30")'}, FIELDS),
        ({"topic": '"shop.thing happened"', "key": '"nothing"'}, FIELDS),
        ({"source": '"SELECT id FROM things WHERE at >= :window_start AND at < :window_end"'}, FIELDS),
        ({"source": '"SELECT id, at FROM things"', "owner": "7"}, FIELDS),
        ({}, FIELDS[:1]),
        ({}, [{**FIELDS[0], "type": "text"}, FIELDS[1]]),  # type: ignore[dict-item]
        ({}, [{**FIELDS[0], "doc": ""}, FIELDS[1]]),  # type: ignore[dict-item]
    ],
)
def test_texts_are_judged_as_their_files_would_be(
    tmp_path: Path, changes: dict[str, str], fields: list[dict[str, Any]]
) -> None:
    text, schema = module(**changes), contract(fields)
    read = _outcome(_judged, tmp_path, text, schema)
    assert not (tmp_path / "assets").exists(), "nothing is written"
    assert read == _outcome(_loaded, tmp_path, text, schema)


@pytest.mark.parametrize(
    "text",
    [
        module(key='open("ran", "w").name'),
        module(owner="f()"),
        module(windows='daily("2024-01-01", delay=open("ran", "w").name)'),
        module(windows='open("ran", "w")'),
        module(source='"a" + open("ran", "w").name'),
        module().replace("return rows", 'return open("ran", "w")'),
        module().replace("@event(", '@open("ran", "w")\n@event('),
        module().replace("def thing_happened", "def another"),
    ],
)
def test_more_than_literals_is_not_read_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError):
        _judged(tmp_path, text, contract())
    assert list(tmp_path.iterdir()) == []


def test_a_statement_beside_the_declaration_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _judged(tmp_path, module() + '\nopen("ran", "w")\n', contract()).key == "id"
    assert list(tmp_path.iterdir()) == []


def test_a_topic_of_another_event_is_refused(tmp_path: Path) -> None:
    other = _loaded(tmp_path, module(), contract())
    others = Catalogue({other.full_name: other}, tmp_path / "assets")
    path = tmp_path / "assets" / "shop" / "thing_again.py"
    text = module(topic='"shop.thing_happened.v1"').replace("def thing_happened", "def thing_again")
    assert judged(path, text, contract(), others).topic == "shop.thing_happened.v1"
    for topic in ("shop.thing-happened.v1", "shop_thing-happened.v1"):
        text = module(topic=f'"{topic}"').replace("def thing_happened", "def thing_again")
        with pytest.raises(CatalogueError, match=r"assets/shop/thing_happened\.py"):
            judged(path, text, contract(), others)
