"""`sluice tail` shows every record of a topic, also those of other producers that cannot be decoded here."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import pipelines
from pipelines.authoring.loading.discovery import load_catalogue
from pipelines.cli.options.replay import Selected
from pipelines.cli.root import sluice
from tests.fixtures_servers import KafkaServer, RegistryServer
from tests.pipelines.publishing.conftest import World
from tests.pipelines.publishing.stale.test_stale_writes import Foreigner

ROWS = [(f"k{n}", n, n) for n in range(5)]


@pytest.fixture
def world(
    embedded_broker: KafkaServer,
    embedded_registry: RegistryServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    with closing(World(tmp_path, embedded_broker.bootstrap, embedded_registry.url)) as made:
        for name, value in made.environ.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def tail(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    world.deliver(ROWS)
    catalogue = load_catalogue(world.folder / "assets")
    monkeypatch.setattr(pipelines, "load_catalogue", lambda **_: catalogue)
    return lambda *words: CliRunner().invoke(sluice, ("tail", "happened", *words), catch_exceptions=False)


def hostile(world: World) -> int:
    """Records in no wire format, with an unknown schema, and too short or too long for theirs."""
    other = Foreigner(world)
    wrong = [
        b"",
        b"not Avro",
        b"\x00\x7f\xff\xff\xffabc",
        b"\x00" + other._id.to_bytes(4, "big") + b"\xff" * 20,
    ]
    wrong.append(b"\x00" + other._id.to_bytes(4, "big") + b"\x02a")
    for number, value in enumerate(wrong):
        other.raw(f"w{number}", value)
    return len(wrong)


@pytest.mark.parametrize("words", [("--from-beginning",), ("-n", "100")])
def test_what_cannot_be_decoded_is_named_counted_and_passed(
    world: World, tail: Callable[..., Result], words: tuple[str, ...]
) -> None:
    told = tail(*words)
    assert (told.exit_code, len(told.stdout.splitlines())) == (0, 5)
    wrong = hostile(world)
    told = tail(*words)
    assert told.exit_code == 1
    assert len(told.stdout.splitlines()) == 5 + wrong
    assert told.stdout.count("cannot be decoded (partition ") == wrong
    assert f"{wrong} of {5 + wrong} records cannot be decoded" in told.stderr
    assert all(f'"amount": {n}' in told.stdout for _, _, n in ROWS)


def test_programs_get_the_problem_beside_the_place(world: World, tail: Callable[..., Result]) -> None:
    wrong = hostile(world)
    told = tail("--from-beginning", "--json")
    lines: list[dict[str, Any]] = [json.loads(line) for line in told.stdout.splitlines()]
    assert told.exit_code == 1
    assert [one["value"] is None for one in lines].count(True) == wrong
    assert all(("problem" in one) == (one["value"] is None) for one in lines)


def test_a_carriage_return_alone_ends_no_key_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_bytes(b"\xef\xbb\xbfa\rb\r\nc\n\n d \n\x85e\xe2\x80\xa8f".replace(b"\x85", "\x85".encode()))
    config = Selected((), str(file), None, None, False, None, False).config()
    assert config["keys"] == ["a\rb", "c", " d ", "\x85e\u2028f"]
