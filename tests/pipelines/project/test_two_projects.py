"""Two projects on one machine, with modules of the same names:
each process works with its own project, never with both."""

import os
from pathlib import Path

import pytest

from pipelines import Event, load_catalogue
from pipelines.project.start import start_project

MODULE = '''"""A thing happened."""

import pandas as pd

from assets.shop._words import WORD
from pipelines import daily, event


@event(
    topic="shop.thing-happened.v1",
    key="id",
    event_time="happened_at",
    windows=daily("2024-01-01"),
    owner="team:shop",
    source="SELECT id, happened_at FROM things WHERE happened_at >= :window_start AND happened_at < :window_end",
)
def thing_happened(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(word=WORD)
'''
CONTRACT = """{"type": "record", "name": "ThingHappened", "namespace": "shop", "doc": "A thing happened.", "fields": [
  {"name": "id", "type": "string", "doc": "Id."},
  {"name": "happened_at", "type": {"type": "long", "logicalType": "timestamp-millis"}, "doc": "When."},
  {"name": "word", "type": "string", "doc": "A word."}]}
"""


def project(folder: Path, word: str) -> Path:
    start_project(folder)
    domain = folder / "assets" / "shop"
    domain.mkdir()
    (domain / "_words.py").write_text(f"WORD = {word!r}\n")
    (domain / "thing_happened.py").write_text(MODULE)
    (domain / "thing_happened.avsc").write_text(CONTRACT)
    return folder


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SLUICE_")]:
        monkeypatch.delenv(name)


def test_each_project_has_its_own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd

    found: dict[str, Event] = {}
    folders = {word: project(tmp_path / word, word) for word in ("one", "two")}
    for word in ("one", "two", "one"):
        monkeypatch.chdir(folders[word] / "assets" / "shop")
        found[word] = load_catalogue().find("thing_happened")
    rows = pd.DataFrame({"id": ["a"]})
    for word, event in found.items():
        assert event.transform is not None
        assert event.transform(rows)["word"].tolist() == [word]
        assert event.module_path.is_relative_to(folders[word])
    assert found["one"].code_version != found["two"].code_version


def test_the_same_files_in_another_project_are_the_same_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.orchestration.keys import STAGES, asset_key

    events = []
    for folder in (project(tmp_path / "here", "w"), project(tmp_path / "there" / "deeper", "w")):
        monkeypatch.chdir(folder)
        events.append(load_catalogue().find("thing_happened"))
    here, there = events
    assert here.code_version == there.code_version
    assert [asset_key(here, stage) for stage in STAGES] == [asset_key(there, stage) for stage in STAGES]
    assert (here.topic, here.contract.fingerprint) == (there.topic, there.contract.fingerprint)


def test_a_mistake_is_named_by_the_folder_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines import CatalogueError

    folder = project(tmp_path / "p", "w")
    (folder / "assets").rename(folder / "events")
    (folder / "sluice.toml").write_text('assets = "events"\n')
    monkeypatch.chdir(folder)
    assert len(load_catalogue()) == 1
    (folder / "events/shop/thing_happened.avsc").unlink()
    with pytest.raises(CatalogueError, match=r"events/shop/thing_happened\.py: the module has no contract"):
        load_catalogue()
