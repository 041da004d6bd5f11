"""Settings: where each comes from, what is refused, and that no secret can be printed."""

import logging
from pathlib import Path

import pytest

from resources.settings import ROOT, Settings, SettingsError, load_settings, mask


def settings(tmp_path: Path, toml: str = "", **environ: str) -> Settings:
    file = tmp_path / "sluice.toml"
    file.write_text(toml, encoding="utf-8")
    return load_settings({"SLUICE_TOML": str(file), "SLUICE_HOME": str(tmp_path / "home"), **environ})


def test_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    toml = 'batch_rows = 7\ntransaction_rows = 8\n[kafka]\n"linger.ms" = 5\n"acks.x" = true\n'
    found = settings(tmp_path, toml, SLUICE_BATCH_ROWS="9", SLUICE_KAFKA_LINGER_MS="50")

    assert (found.batch_rows, found.transaction_rows, found.ledger_partitions) == (9, 8, 16)
    assert found.kafka == {"linger.ms": "50", "acks.x": "true"}


def test_tables_of_the_file_may_be_nested_as_toml_likes_them(tmp_path: Path) -> None:
    found = settings(tmp_path, '[kafka]\nbootstrap.servers = "k:9092"\nsasl.mechanism = "PLAIN"\n')
    assert found.kafka == {"bootstrap.servers": "k:9092", "sasl.mechanism": "PLAIN"}


def test_warehouse_names_keep_their_underscores(tmp_path: Path) -> None:
    found = settings(tmp_path, SLUICE_WAREHOUSE_SALES_EU="duckdb:///sales.duckdb")
    assert found.warehouses["sales_eu"] == "duckdb:///sales.duckdb"


@pytest.mark.parametrize(
    ("toml", "environ", "told"),
    [
        ("batch_row = 1", {}, "Did you mean 'batch_rows'"),
        ("", {"SLUICE_BATCH_ROW": "1"}, "Did you mean 'SLUICE_BATCH_ROWS'"),
        ("", {"SLUICE_BATCH_ROWS": "0"}, "SLUICE_BATCH_ROWS='0' is not a whole number above 0"),
        ("", {"SLUICE_BATCH_ROWS": "²"}, "is not a whole number above 0"),
        ("", {"SLUICE_BATCH_ROWS": "-3"}, "is not a whole number above 0"),
        ("batch_rows = [1]", {}, "is not a whole number above 0"),
        ("", {"SLUICE_CREATE_TOPICS": "maybe"}, "allowed: true or false"),
        ("kafka = 'k:9092'", {}, "kafka is not a table"),
        ("this is not toml", {}, "not valid TOML"),
        ("", {"SLUICE_TOML": "/nowhere/sluice.toml"}, "there is no such file"),
        ("", {"SLUICE_KAFKA": "k:9092"}, "unknown setting SLUICE_KAFKA"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, toml: str, environ: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(tmp_path, toml, **environ)
    assert told in str(caught.value)


def test_a_file_in_another_encoding_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "sluice.toml"
    file.write_bytes(b'home = "\xe9"')
    with pytest.raises(SettingsError, match="not valid TOML"):
        load_settings({"SLUICE_TOML": str(file)})


def test_what_is_missing_says_how_to_get_it(tmp_path: Path) -> None:
    found = settings(tmp_path)
    with pytest.raises(SettingsError, match=r"SLUICE_KAFKA_BOOTSTRAP_SERVERS.*sluice up"):
        _ = found.bootstrap_servers
    with pytest.raises(SettingsError, match=r"SLUICE_REGISTRY_URL.*sluice up"):
        _ = found.registry_url


SECRETS = {
    "SLUICE_KAFKA_SASL_PASSWORD": "hunter2",
    "SLUICE_KAFKA_SSL_KEY_PEM": "-----BEGIN hunter2",
    "SLUICE_KAFKA_SSL_KEY_PASSWORD": "hunter2",
    "SLUICE_KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET": "hunter2",
    "SLUICE_KAFKA_SASL_OAUTHBEARER_CONFIG": "principal=me secret=hunter2",
    "SLUICE_KAFKA_SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_PASSPHRASE": "hunter2",
    "SLUICE_REGISTRY_BASIC_AUTH_USER_INFO": "me:hunter2",
    "SLUICE_REGISTRY_BEARER_AUTH_TOKEN": "hunter2",
    "SLUICE_REGISTRY_URL": "https://me:hunter2@registry:8081",
    "SLUICE_WAREHOUSE_DEFAULT": "postgresql://me:hunter2@db/sales",
    "SLUICE_WAREHOUSE_SECOND": "postgresql://me:hunter2@with@db/sales",
    "SLUICE_WAREHOUSE_THIRD": "postgresql://db/sales?user=me&password=hunter2",
    "SLUICE_WAREHOUSE_FOURTH": "postgresql://:hunter2@db/sales",
    "SLUICE_SNAPSHOTS": "s3://AKIA:hunter2@bucket/snapshots",
}


def test_no_secret_is_ever_printed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = settings(tmp_path, **SECRETS)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").warning("%s %r", found, found)
    shown = [repr(found), str(found), caplog.text, *found.printable().values()]

    assert not [text for text in shown if "hunter2" in text]
    # Nothing else is hidden: an operator must be able to see where things go.
    rows = found.printable()
    assert rows["registry.url"] == "https://me:********@registry:8081"
    assert rows["warehouse.default"] == "postgresql://me:********@db/sales"
    assert rows["warehouse.second"].endswith("@db/sales")


def test_what_is_no_secret_is_shown() -> None:
    assert mask("sasl.username", "me") == "me"
    assert mask("sasl.oauthbearer.token.endpoint.url", "https://login/token") == "https://login/token"
    assert mask("ssl.ca.location", "/etc/ca.pem") == "/etc/ca.pem"
    assert mask("bootstrap.servers", "a:9092,b:9092") == "a:9092,b:9092"


def test_relative_places_are_meant_from_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    file = tmp_path / "etc" / "sluice.toml"
    file.write_text('home = "state"\nsnapshots = "kept"\n[warehouse]\ndefault = "duckdb://dwh.duckdb"\n')
    monkeypatch.chdir("/")
    found = load_settings({"SLUICE_TOML": str(file)})

    assert found.home == tmp_path / "etc" / "state"
    assert found.snapshots == str(tmp_path / "etc" / "kept")
    assert found.warehouses["default"] == f"duckdb://{tmp_path}/etc/dwh.duckdb"


def test_relative_places_of_the_environment_survive_a_change_of_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = load_settings({"SLUICE_HOME": "state"})

    assert found.home == tmp_path / "state"
    assert found.snapshots == str(tmp_path / "state" / "snapshots")
    assert found.warehouses["default"] == f"duckdb:///{tmp_path}/state/sample.duckdb"
    assert load_settings({}).home == ROOT / ".sluice"


def test_embedded_servers_serve_whoever_names_no_others(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    state = '{"bootstrap_servers": "127.0.0.1:1", "registry_url": "http://127.0.0.1:2"}'
    (home / "servers.json").write_text(state)

    ours = settings(tmp_path)
    assert (ours.bootstrap_servers, ours.registry_url) == ("127.0.0.1:1", "http://127.0.0.1:2")
    assert ours.embedded and ours.create_topics and ours.register_contracts

    theirs = settings(tmp_path, SLUICE_KAFKA_BOOTSTRAP_SERVERS="prod:9092")
    assert theirs.bootstrap_servers == "prod:9092"
    assert not (theirs.embedded or theirs.create_topics or theirs.register_contracts)
    assert "url" not in theirs.registry

    strict = settings(tmp_path, SLUICE_CREATE_TOPICS="false")
    assert not strict.create_topics and strict.register_contracts
