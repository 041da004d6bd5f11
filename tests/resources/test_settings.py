"""Settings: where each comes from, what is refused, and that no secret can be printed."""

import json
import logging
import re
from pathlib import Path

import pytest

from resources.security.secrets import hide
from resources.settings import ROOT, Settings, SettingsError, load_settings


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


@pytest.mark.parametrize("environment", ["", "stage"])
def test_an_empty_variable_of_a_connection_counts_as_not_set(tmp_path: Path, environment: str) -> None:
    own = f"[env.{environment}]\n" if environment else ""
    toml = (
        f'home = "/there"\n[kafka]\n"sasl.password" = "p"\n[registry]\nurl = "http://r"\n[warehouse]\n'
        f'default = "duckdb:///w"\n{own}'
    )
    names = (
        "HOME",
        "KAFKA_SASL_PASSWORD",
        "KAFKA_SASL_PASSWORD_FILE",
        "KAFKA_BOOTSTRAP_SERVERS",
        "REGISTRY_URL",
        "WAREHOUSE_DEFAULT",
    )
    environ = {"SLUICE_TOML": str(tmp_path / "sluice.toml")} | {f"SLUICE_{name}": "" for name in names}
    if environment:
        environ |= {f"SLUICE_STAGE_{name}": "" for name in names} | {"SLUICE_ENV": environment}
    (tmp_path / "sluice.toml").write_text(toml)
    found = load_settings(environ)
    assert found.home == Path("/there/environments/stage" if environment else "/there")
    assert (found.kafka, found.registry) == ({"sasl.password": "p"}, {"url": "http://r"})
    assert found.warehouses == {"default": "duckdb:///w"}
    assert found.origin("warehouse.default").kind == "settings file"


def test_another_empty_variable_is_a_value(tmp_path: Path) -> None:
    assert settings(tmp_path, 'topic_prefix = "x."', SLUICE_TOPIC_PREFIX="").topic_prefix == ""
    with pytest.raises(SettingsError):
        settings(tmp_path, SLUICE_BATCH_ROWS="")


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
        ("", {"SLUICE_BATCH_ROWS": "2147483648"}, "is too large; allowed: at most 2,147,483,647"),
        ("", {"SLUICE_TOPIC_PARTITIONS": "2147483648"}, "is too large; allowed: at most 2,147,483,647"),
        ("", {"SLUICE_LEDGER_PARTITIONS": "9" * 20}, "is too large"),
        ("", {"SLUICE_REPLICATION_FACTOR": "32768"}, "is too large; allowed: at most 32,767"),
        (
            "",
            {"SLUICE_MAX_ROWS_PER_SECOND": "9" * 5_000},
            "SLUICE_MAX_ROWS_PER_SECOND='99999999999999999999...' is too large",
        ),
        ("", {"SLUICE_LEDGER_TOPIC": ""}, "cannot be used; allowed: at most 249 letters"),
        ("", {"SLUICE_LEDGER_TOPIC": ".."}, "cannot be used"),
        ("", {"SLUICE_LEDGER_TOPIC": "a b"}, "cannot be used"),
        ("", {"SLUICE_LEDGER_TOPIC": "x" * 250}, "cannot be used"),
        (
            "",
            {"SLUICE_CODE_LOCATION": "a\nb"},
            "cannot be used; allowed: at most 1,000 characters in one line",
        ),
        (
            "batch_rows = [1]",
            {},
            "batch_rows is a list, and not one value; next: write one value: batch_rows = …",
        ),
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
    # Nothing else is hidden: an operator must see where data goes.
    rows = found.printable()
    assert rows["registry.url"] == "https://********@registry:8081"
    assert rows["warehouse.default"] == "postgresql://********@db/sales"
    assert rows["warehouse.second"].endswith("@db/sales")


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


def _started(home: Path, kind: str | None = "embedded", **addresses: str) -> None:
    home.mkdir(exist_ok=True)
    servers = {} if kind is None else {"registry": {"kind": kind}}
    addresses = addresses or {"bootstrap_servers": "127.0.0.1:1", "registry_url": "http://127.0.0.1:2"}
    (home / "servers.json").write_text(json.dumps({**addresses, "servers": servers}))


def test_the_registry_is_the_embedded_one_with_any_kafka(tmp_path: Path) -> None:
    _started(tmp_path / "home")
    assert settings(tmp_path).registry_is_embedded
    own_kafka = {"SLUICE_KAFKA_BOOTSTRAP_SERVERS": "prod:9092"}
    for url in (
        "http://127.0.0.1:2",
        "http://localhost:2/",
        "HTTP://LOCALHOST:2",
        "http://ann:secret@127.0.0.1:2",
    ):
        assert settings(tmp_path, SLUICE_REGISTRY_URL=url, **own_kafka).registry_is_embedded, url
    assert not settings(tmp_path, **own_kafka).registry_is_embedded, "none is named"
    _started(tmp_path / "home", registry_url="http://127.0.0.1:2")
    alone = settings(tmp_path, SLUICE_REGISTRY_URL="http://127.0.0.1:2", **own_kafka)
    assert alone.registry_is_embedded and not alone.embedded


@pytest.mark.parametrize(
    "url",
    [
        "http://registry:8081", "http://127.0.0.1:3", "https://127.0.0.1:2", "http://127.0.0.1:2/apis/ccompat/v7",
        "http://127.0.0.1:2,http://registry:8081", "http://127.0.0.1", "127.0.0.1:2", "http://127.0.0.1:x", "http://[",
    ],
)  # fmt: skip
def test_another_registry_is_not_the_embedded_one_beside_the_embedded_kafka(tmp_path: Path, url: str) -> None:
    _started(tmp_path / "home")
    found = settings(tmp_path, SLUICE_REGISTRY_URL=url)
    assert found.embedded and not found.registry_is_embedded


def test_what_else_up_may_have_started_is_not_the_embedded_registry(tmp_path: Path) -> None:
    for kind in ("apicurio", None):
        _started(tmp_path / "home", kind)
        assert not settings(tmp_path).registry_is_embedded
    (tmp_path / "home" / "servers.json").write_text("[]")
    assert not settings(tmp_path).registry_is_embedded


@pytest.mark.parametrize(
    "text",
    ["a = ", "[kafka", "[kafka]\n[kafka]\n", 'x = "\\ud800"', "x = " + "9" * 5000, "x = " + "[" * 5000],
)
def test_a_settings_file_that_is_no_toml_says_what_is_expected(tmp_path: Path, text: str) -> None:
    (tmp_path / "sluice.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"sluice\.toml: not valid TOML") as caught:
        load_settings({"SLUICE_TOML": str(tmp_path / "sluice.toml")})
    assert len(str(caught.value)) < 500


def test_a_settings_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "sluice.toml").write_bytes(b"\xef\xbb\xbftopic_partitions = 7\n")
    assert load_settings({"SLUICE_TOML": str(tmp_path / "sluice.toml")}).topic_partitions == 7


def test_log_level_is_a_property_by_its_own_name_in_the_environment_too(tmp_path: Path) -> None:
    found = load_settings(
        {"SLUICE_KAFKA_LOG_LEVEL": "6", "SLUICE_KAFKA_CLIENT_ID": "me", "SLUICE_HOME": str(tmp_path)}
    )
    assert (found.kafka.get("log_level"), found.kafka.get("client.id")) == ("6", "me")
    assert "log.level" not in found.kafka


def test_consumers_have_the_groups_of_the_settings_or_one_of_their_own_name(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(
        '[consumers]\nbilling = "billing-1"\n"token-service" = ["a b", "c"]\naudit_file = "f"\nold = "x"\nshop.web = "w"\n'
    )
    found = load_settings(
        {"SLUICE_TOML": str(file), "SLUICE_CONSUMERS_OLD": "y, z", "SLUICE_CONSUMERS_TRACKING": "t"}
    )
    assert found.groups_of("billing") == ("billing-1",) and found.groups_of("token-service") == ("a b", "c")
    assert found.groups_of("old") == ("y", "z") and found.groups_of("Tracking") == ("t",)
    assert found.groups_of("shop.web") == ("w",) and found.groups_of("audit_file") == ("f",)
    assert found.groups_of("nobody") == ("nobody",)
    assert found.printable()["consumers.token-service"] == "a b, c", "a group's id is no secret"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('consumers = "billing"', "consumers is not a table"),
        ("[consumers]\nbilling = []", "names no consumer group"),
        ('[consumers]\nbilling = [""]', "names no consumer group"),
        ('[consumers]\nbilling = "a\\nb"', "names no consumer group"),
    ],
)
def test_a_table_of_consumers_that_is_wrong_says_what_is_allowed(
    text: str, told: str, tmp_path: Path
) -> None:
    file = tmp_path / "s.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=re.escape(told)) as error:
        load_settings({"SLUICE_TOML": str(file)})
    assert error.value.allowed
    with pytest.raises(SettingsError, match="SLUICE_CONSUMERS_BILLING"):
        load_settings({"SLUICE_CONSUMERS_BILLING": " , "})


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        (
            '[kafka]\n"bootstrap.servers" = ["a", "b"]',
            r"kafka\.bootstrap\.servers is a list.*commas.*= \"a,b\"",
        ),
        ('[env.stage.kafka]\nsasl.password = ["zebra"]', r"\[env\.stage\]: kafka\.sasl\.password is a list"),
        ('[kafka]\n"sasl.password" = [{ zebra = "zebra" }]', r"kafka\.sasl\.password is a list"),
        ('[warehouse]\nerp = ["a"]', r"warehouse\.erp is a list"),
        ('home = ["a"]', r"home is a list, and not one value; next: write one value: home = …"),
        ('home.a = "b"', r"home is a table"),
        ('[consumers]\nbilling = ["a", ["zebra"]]', r"consumers\.billing is a list"),
        (
            '[kafka]\n"bootstrap.servers" = "zebra"\nbootstrap.servers = "b"',
            r"kafka\.bootstrap\.servers is written in two spellings.*remove one of the two lines",
        ),
        (
            '[env.stage.kafka]\nsasl.password = "zebra"\n"sasl.password" = "b"',
            r"\[env\.stage\]: kafka\.sasl\.password is written in two spellings",
        ),
    ],
)
def test_a_value_is_one_text_and_is_written_once(tmp_path: Path, toml: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told) as caught:
        settings(tmp_path, toml, **({"SLUICE_ENV": "stage"} if "stage" in toml else {}))
    assert "zebra" not in str(caught.value)


def test_a_secret_in_two_spellings_is_hidden_in_both(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        settings(tmp_path, '[kafka]\nsasl.password = "giraffe-one"\n"sasl.password" = "giraffe-two"')
    assert "giraffe" not in hide("giraffe-one giraffe-two")
