"""The pages of docs/ agree with the code: links have a target, tables agree, examples run."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.authoring.arguments import Arguments
from pipelines.cli.commands.demo import command as demo
from pipelines.contract import parse_contract
from pipelines.encoding import RecordEncoder, publication_headers, split_frame
from pipelines.encoding.headers import cloudevents_headers
from pipelines.orchestration.config import CONFIG
from pipelines.transform import Reason
from resources.kafka.factory import _OURS
from resources.settings import load_settings
from resources.settings.values import SCALARS
from tests.documents import PAGES, ROOT, anchors, blocks, links, table

DOCS = ROOT / "docs"
_NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=_NAMES)
def test_links_and_anchors_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def test_pages_that_the_code_names_are_there() -> None:
    for folder in ("pipelines", "resources", "assets", "benchmarks"):
        for module in (ROOT / folder).rglob("*.py"):
            for path, anchor in re.findall(r"(docs/[\w/.-]+\.md)(?:#([\w-]+))?", module.read_text()):
                assert (ROOT / path).is_file(), f"{module.name} names {path}"
                assert not anchor or anchor in anchors(ROOT / path), f"{module.name} names {path}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=_NAMES)
def test_files_that_the_pages_name_are_there(page: Path) -> None:
    named = re.findall(r"`((?:pipelines|resources|tests|benchmarks)/[\w/.-]+)`", page.read_text())
    for path in named:
        assert (ROOT / path).exists(), f"{page.name} names {path}"


def test_every_setting_stands_in_its_page_with_its_default() -> None:
    rows = {cells[0].strip("`"): cells[1].strip("`") for cells in table(DOCS / "settings.md", "Setting")}
    assert list(rows) == list(SCALARS)
    for name, (default, _) in SCALARS.items():
        if name in ("home", "assets", "snapshots"):  # a place, described in words
            continue
        assert rows[name] == (str(default).lower() if isinstance(default, bool) else str(default)), name


def test_properties_that_are_the_platforms_stand_in_their_page() -> None:
    (paragraph,) = re.findall(
        r"^Some properties are the platform's.*?\n\n", _text("settings.md"), re.M | re.S
    )
    assert set(re.findall(r"`([\w.]+)`", paragraph)) - {"lz4", "compression.type"} == set(_OURS)


def test_the_logins_of_the_settings_page_are_settings() -> None:
    (shell,) = blocks(DOCS / "settings.md", "sh")
    for part in shell.text.split("\n\n"):
        variables = dict(line.split("=", 1) for line in part.splitlines() if not line.startswith("#"))
        assert load_settings(variables).kafka or load_settings(variables).registry


def test_the_toml_of_the_settings_page_is_read(tmp_path: Path) -> None:
    plain, environments = blocks(DOCS / "settings.md", "toml")
    (tmp_path / "sluice.toml").write_text(plain.text)
    settings = load_settings({"SLUICE_TOML": str(tmp_path / "sluice.toml")})
    assert settings.replication_factor == 3
    assert settings.bootstrap_servers == "kafka-1:9093,kafka-2:9093"
    assert settings.registry_url == "https://registry:8081"

    (tmp_path / "sluice.toml").write_text(environments.text)
    found = {
        name: load_settings({"SLUICE_TOML": str(tmp_path / "sluice.toml"), "SLUICE_ENV": name})
        for name in ("stage", "prod")
    }
    assert found["stage"].ledger_topic == "stage.sluice.ledger"
    assert found["prod"].snapshots == "s3://data-events/snapshots/environments/prod"
    assert {one.replication_factor for one in found.values()} == {3}


def test_every_argument_of_the_decorator_stands_in_its_page() -> None:
    named = [cells[0].strip("`") for cells in table(DOCS / "authoring.md", "Argument")]
    assert sorted(named) == sorted(Arguments.__dataclass_fields__)


def test_every_reason_of_a_dead_letter_stands_in_its_page() -> None:
    assert [cells[0].strip("`") for cells in table(DOCS / "authoring.md", "Reason")] == list(Reason)


def test_the_windows_of_the_authoring_page_are_windows() -> None:
    (example,) = (block for block in blocks(DOCS / "authoring.md", "python") if "hourly(" in block.text)
    exec(compile(example.text, "authoring.md", "exec"), {})


_AVRO: dict[str, Any] = {
    "fixed(n)": {"type": "fixed", "name": "F", "size": 7},
    "enum": {"type": "enum", "name": "E", "symbols": ["A"]},
    "array": {"type": "array", "items": "long"},
    "map": {"type": "map", "values": "long"},
    "record": {"type": "record", "name": "R", "fields": [{"name": "a", "type": "long"}]},
}


def _avro_of(cell: str) -> list[Any]:
    """The Avro types that a first cell such as "`uuid` on `string` or `fixed(16)`" means."""
    names = re.findall(r"`([^`]+)`", cell)
    if " on " not in cell:
        return [_AVRO.get(names[0], names[0])]
    found = []
    for base in names[1:]:
        logical = {"logicalType": names[0].partition("(")[0]}
        if logical["logicalType"] == "decimal":
            logical |= {"precision": 9, "scale": 2}
        fixed = {"type": "fixed", "name": "F", "size": 16}
        found.append((fixed if base.startswith("fixed") else {"type": base}) | logical)
    return found


@pytest.mark.parametrize("cells", table(DOCS / "contracts.md", "Avro")[:-1], ids=lambda cells: cells[0])
def test_a_type_of_the_contracts_page_has_the_arrow_type_it_says(cells: list[str]) -> None:
    said = cells[1].strip("`").replace("[n]", "[7]").replace("(p, s)", "(9, 2)").replace("T>", "int64>")
    for avro in _avro_of(cells[0]):
        schema = {"type": "record", "name": "X", "fields": [{"name": "x", "type": avro}]}
        found = str(parse_contract(json.dumps(schema), Path("x.avsc")).fields[0].arrow_type)
        found = re.sub(r"\[element: (\w+)\]", r"<element: \1>", found).replace(" not null", "")
        assert re.fullmatch(re.escape(said).replace(r"\.\.\.", ".*"), found), found


def test_every_type_stands_in_the_contracts_page() -> None:
    from pipelines.contract.arrow_mapping import _BY_KIND, _BY_LOGICAL

    named = {re.findall(r"`([\w-]+)", cells[0])[0] for cells in table(DOCS / "contracts.md", "Avro")[:-1]}
    assert named == {*_BY_KIND, *_BY_LOGICAL, "decimal", "fixed", "array", "map", "record"}


def test_the_id_can_be_computed_as_the_consuming_page_says() -> None:
    found: dict[str, Any] = {}
    exec(blocks(DOCS / "consuming.md", "python")[0].text, found)
    contract = parse_contract((ROOT / "assets/flights/flight_departed.avsc").read_text(), Path("x.avsc"))
    rows = contract.without("event_id").arrow_schema
    values = [
        pa.array(
            ["a"] if f.type == pa.string() else [1], pa.string() if f.type == pa.string() else pa.int64()
        ).cast(f.type)
        for f in rows
    ]
    batch = pa.RecordBatch.from_arrays(values, schema=rows)
    topic = "flights.flight-departed.v1"
    encoder = RecordEncoder(contract, schema_id=3, topic=topic, key="flight_id", event_id="event_id")
    encoded = encoder.encode(batch)
    assert encoded.event_ids is not None
    value = encoded.values[0].as_py()
    assert split_frame(value)[0] == 3
    assert found["event_id"](topic, encoded.keys[0].as_py(), value[5 + 37 :]) == encoded.event_ids[0].as_py()


def test_every_header_stands_in_the_consuming_page() -> None:
    from datetime import UTC, datetime

    page = _text("consuming.md")
    cloud = cloudevents_headers(event_id="", source="", type="", time=datetime.now(UTC), subject="")
    for name, _ in [*cloud, *publication_headers(kind="correction", generation=2, reason="")]:
        assert f"| `{name}` |" in page
    assert "| `sluice_event_id` |" in page


def test_the_run_config_of_the_operating_page_is_one() -> None:
    import yaml

    template = next(block for block in blocks(DOCS / "operating.md", "yaml") if block.text.startswith("ops:"))
    ((op, config),) = yaml.safe_load(template.text)["ops"].items()
    assert op == "flights__flight_delayed"
    assert set(config["config"]) <= set(CONFIG)
    named = [
        name
        for cells in table(DOCS / "operating.md", "Run config")
        for name in re.findall(r"`(\w+)`", cells[0])
    ]
    assert sorted(named) == sorted(CONFIG)
    for page in PAGES:
        for block in blocks(page, "yaml"):
            if block.text.startswith("ops:"):
                (shown,) = yaml.safe_load(block.text)["ops"].values()
                assert set(shown["config"]) <= set(CONFIG), page.name


def test_the_dagster_yaml_of_the_operating_page_is_the_one_that_is_written() -> None:
    import yaml

    from pipelines.orchestration.home import _DAGSTER_YAML

    shown = next(b for b in blocks(DOCS / "operating.md", "yaml") if b.text.startswith("concurrency:"))
    assert yaml.safe_load(shown.text) == yaml.safe_load(_DAGSTER_YAML)


def test_decisions_are_numbered_and_listed() -> None:
    records = sorted(path.name for path in (DOCS / "decisions").glob("0*.md"))
    # A decision gets its number when its page is begun; a page that is not finished leaves a gap.
    assert len({name[:4] for name in records}) == len(records)
    assert links(DOCS / "decisions" / "README.md") == records


@pytest.mark.parametrize("page", PAGES, ids=_NAMES)
def test_no_page_names_a_place_of_one_machine(page: Path) -> None:
    for word in ("/work/", "/home/", "/root/", "localhost:"):
        assert word not in page.read_text(), f"{page.name} holds {word}"


def _text(name: str) -> str:
    return (DOCS / name).read_text()


def test_the_demo_tells_its_week() -> None:
    assert demo.help is not None and "first week of 2013" in demo.help
