"""The topic prefix in the settings and that of an event are the same, and a shadow topic has it too."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.authoring.event import Event
from pipelines.authoring.loading.discovery import load_catalogue
from pipelines.cli.actions.replay import require_free
from pipelines.publishing.publisher import require_loaded_with
from pipelines.publishing.request import Replay, require_shadow_name
from resources.errors import SluiceError
from resources.settings import Settings, load_settings
from resources.settings.files import ROOT


@pytest.fixture(scope="module")
def event() -> Event:
    return load_catalogue(ROOT / "assets", topic_prefix="stage.").find("flight_departed")


def settings(tmp_path: Path, prefix: str) -> Settings:
    return replace(load_settings({"SLUICE_HOME": str(tmp_path)}), topic_prefix=prefix)


@pytest.mark.parametrize("prefix", ["", "stag", "stage.flights."])
def test_an_event_that_was_loaded_with_another_prefix_is_not_published(
    event: Event, tmp_path: Path, prefix: str
) -> None:
    require_loaded_with(event, settings(tmp_path, "stage."))
    with pytest.raises(
        SluiceError, match=r"was loaded with the topic stage\.flights.*reload the code location"
    ):
        require_loaded_with(event, settings(tmp_path, prefix))


def test_a_shadow_topic_has_the_prefix(event: Event, tmp_path: Path) -> None:
    stage = replace(settings(tmp_path, "stage."), ledger_topic="stage.sluice.ledger")
    Replay("r", topic="stage.rehearsal").require_shadow(event.topic, stage)
    Replay("r").require_shadow(event.topic, stage)
    with pytest.raises(
        SluiceError, match=r"allowed: a topic that begins with 'stage\.'; next: --to stage\.rehearsal"
    ):
        Replay("r", topic="rehearsal").require_shadow(event.topic, stage)


@pytest.mark.parametrize(
    ("topic", "what"), [("stage.sluice.ledger", "ledger"), ("stage.sluice.ledger.journal", "journal")]
)
def test_a_shadow_topic_is_neither_the_ledger_nor_the_journal(
    event: Event, tmp_path: Path, topic: str, what: str
) -> None:
    stage = replace(settings(tmp_path, "stage."), ledger_topic="stage.sluice.ledger")
    with pytest.raises(SluiceError, match=f"is the {what}"):
        Replay("r", topic=topic).require_shadow(event.topic, stage)
    with pytest.raises(SluiceError, match=f"is the {what}"):
        require_free(topic, load_catalogue(ROOT / "assets", topic_prefix="stage."), stage)


PREFIXES = """
[env.prod]
[env.shop]
topic_prefix = "shop."
[env.shop-stage]
topic_prefix = "shop.stage."
[env.late]
"""


@pytest.mark.parametrize(
    ("environment", "topic", "owner"),
    [
        ("prod", "rehearsal", None),
        ("prod", "shop.rehearsal", "shop"),
        ("prod", "shop.stage.rehearsal", "shop-stage"),
        ("prod", "by.variable.rehearsal", "late"),
        ("", "shop.rehearsal", "shop"),
        ("shop", "shop.rehearsal", None),
        ("shop", "shop.stage.rehearsal", "shop-stage"),
        ("shop-stage", "shop.stage.rehearsal", None),
        ("shop-stage", "shop.stage.shop.rehearsal", None),
    ],
)
def test_a_shadow_topic_is_not_one_of_another_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: str, topic: str, owner: str | None
) -> None:
    (tmp_path / "sluice.toml").write_text(PREFIXES)
    monkeypatch.setenv("SLUICE_LATE_TOPIC_PREFIX", "by.variable.")
    environ = {"SLUICE_TOML": str(tmp_path / "sluice.toml"), "SLUICE_HOME": str(tmp_path)}
    found = load_settings(environ | ({"SLUICE_ENV": environment} if environment else {}))
    if owner is None:
        require_shadow_name(topic, found)
    else:
        with pytest.raises(
            SluiceError, match=f"of environment {owner}, so it is a topic of that environment"
        ):
            require_shadow_name(topic, found)
