"""The topic prefix in the settings and that of an event are the same, and a shadow topic has it too."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.authoring.event import Event
from pipelines.authoring.loading.discovery import load_catalogue
from pipelines.publishing.publisher import require_loaded_with
from pipelines.publishing.request import Replay
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


def test_a_shadow_topic_has_the_prefix(event: Event) -> None:
    Replay("r", topic="stage.rehearsal").require_shadow(event.topic, "stage.sluice.ledger", "stage.")
    Replay("r").require_shadow(event.topic, "stage.sluice.ledger", "stage.")
    with pytest.raises(
        SluiceError, match=r"allowed: a topic that begins with 'stage\.'; next: --to stage\.rehearsal"
    ):
        Replay("r", topic="rehearsal").require_shadow(event.topic, "stage.sluice.ledger", "stage.")
