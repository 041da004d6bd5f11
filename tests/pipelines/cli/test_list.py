"""`sluice list` shows what the events declare."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli.commands.list import command
from tests.pipelines.authoring.conftest import Tree
from tests.pipelines.authoring.test_agreements import ALL


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    (tmp_path / "assets").mkdir()
    made = Tree(tmp_path / "assets")
    monkeypatch.setattr("pipelines.load_catalogue", made.load)
    return made


def test_what_an_event_declares_is_a_column_if_an_event_declares_it(tree: Tree) -> None:
    tree.event()
    plain = CliRunner().invoke(command).output
    assert "team:operations" in plain and "consumers" not in plain
    tree.event(replace=ALL)
    told = CliRunner().invoke(command).output
    for part in (
        "nightly, tier=1",
        "tracking, billing",
        "6 partitions, retention 90d",
        "published within 8h",
    ):
        assert part in told


def test_json_has_every_declaration(tree: Tree) -> None:
    tree.event(replace=ALL)
    (row,) = json.loads(CliRunner().invoke(command, ["--json"]).output)
    assert row["tags"] == {"nightly": "", "tier": "1"}
    assert row["consumers"] == ["tracking", "billing"]
    assert row["promise"] == {
        "fresh_within_seconds": 28_800,
        "rows": [1_000, 60_000],
        "complete_since": "2013-02-01T00:00:00+00:00",
    }
    assert row["topic_settings"] == {"partitions": 6, "config": {"retention.ms": "7776000000"}}
