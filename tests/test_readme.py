"""README.md as a newcomer follows it: its commands exist, and its event is a valid event."""

import re
import subprocess
from pathlib import Path

import click
import pytest

from pipelines import load_catalogue
from pipelines.cli.root import sluice
from tests.documents import PAGES, ROOT, blocks, commands

pytestmark = pytest.mark.slow

README = ROOT / "README.md"
# Commands of a shell or of another project.
_OTHERS = {"git", "cd", "source", "export", "pip", "dagster-daemon"}
COMMANDS = [(page.relative_to(ROOT).as_posix(), words) for page in PAGES for words in commands(page)]
MAKE_TARGETS = sorted({words[1] for _, words in COMMANDS if words[0] == "make"})
SLUICE = [(page, words) for page, words in COMMANDS if words[0] == "sluice"]


def test_the_first_screen_has_the_three_commands() -> None:
    first = [" ".join(words) for words in commands(README)][:5]
    assert first[2:] == ["make demo", "make test", "make ui"]


def test_every_command_is_one_of_ours_or_a_shells() -> None:
    assert {words[0] for _, words in COMMANDS} <= {"make", "sluice", "python", *_OTHERS}
    for page, words in COMMANDS:
        if words[0] == "python":
            module = ROOT / (words[2].replace(".", "/") if words[1] == "-m" else words[1].removesuffix(".py"))
            there = module.with_suffix(".py").is_file() or (module / "__main__.py").is_file()
            assert there, f"{page} names {' '.join(words)}"


@pytest.mark.parametrize("target", MAKE_TARGETS)
def test_a_make_target_is_there(target: str) -> None:
    tried = subprocess.run(
        ["make", "--dry-run", "-C", str(ROOT), target], capture_output=True, text=True, check=False
    )
    assert tried.returncode == 0, tried.stderr


@pytest.mark.parametrize(("page", "words"), SLUICE, ids=[" ".join(words) for _, words in SLUICE])
def test_a_sluice_command_is_there_with_these_arguments(page: str, words: list[str]) -> None:
    context = click.Context(sluice)
    command = sluice.get_command(context, words[1])
    assert command is not None, f"{page}: there is no `sluice {words[1]}`"
    # Parses the arguments as the command line does, and stops before the command runs.
    command.make_context(words[1], words[2:], parent=context)


def test_every_sluice_command_is_shown_in_some_page() -> None:
    shown = {words[1] for _, words in SLUICE} | {
        name for page in PAGES for name in re.findall(r"`sluice ([a-z-]+)", page.read_text())
    }
    assert set(sluice.list_commands(click.Context(sluice))) <= shown


def test_commands_in_running_text_exist() -> None:
    known = set(sluice.list_commands(click.Context(sluice)))
    for page in PAGES:
        named = set(re.findall(r"`sluice ([a-z-]+)", page.read_text()))
        assert named <= known, f"{page.name} names {named - known}"


def _written(folder: Path) -> Path:
    """The README's two files, in an `assets/` tree."""
    (module,) = blocks(README, "python")
    (contract,) = blocks(README, "json")
    domain = folder / "assets" / "flights"
    domain.mkdir(parents=True)
    (domain / "flight_delayed.py").write_text(module.text)
    (domain / "flight_delayed.avsc").write_text(contract.text)
    return folder / "assets"


def test_the_event_of_the_readme_is_an_event(tmp_path: Path) -> None:
    event = load_catalogue(_written(tmp_path)).find("flight_delayed")
    assert (event.topic, event.key) == ("flights.flight-delayed.v1", "flight_id")


def test_the_event_of_the_readme_gives_the_events_it_shows(tmp_path: Path) -> None:
    from pipelines.stages.source import source_window
    from pipelines.stages.transform import transform_window
    from resources.dev.sample import build_sample_warehouse
    from resources.platform import Platform
    from resources.settings import load_settings

    event = load_catalogue(_written(tmp_path)).find("flight_delayed")
    sample = build_sample_warehouse(tmp_path / "sample.duckdb")
    with Platform(
        load_settings({"SLUICE_HOME": str(tmp_path), "SLUICE_WAREHOUSE_DEFAULT": f"duckdb://{sample}"})
    ) as platform:
        counts = []
        for window in event.windows.parse("2013-01-01..2013-01-03"):
            source_window(event, window, platform, run_id="readme")
            done = transform_window(event, window, platform, run_id="readme")
            assert done.passed, done.verdict
            counts.append((window.key, done.snapshot.rows))
    shown = re.findall(r"^(2013-01-\d\d) +backfill +([\d,]+)", README.read_text(), re.MULTILINE)
    assert counts == [(key, int(rows.replace(",", ""))) for key, rows in shown]
