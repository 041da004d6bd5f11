"""Environments: which one is selected, which one a variable belongs to,
and that no environment uses another's value."""

import ast
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from resources.settings import (
    ROOT,
    Settings,
    SettingsError,
    load_settings,
    settings_of_environments,
    shared_places,
    variable,
)
from resources.settings.environments import owner_of
from resources.settings.names import FOREIGN, GROUPS, first_words, setting_of, variable_prefix
from resources.settings.values import SCALARS

TWO = """
[env.stage.kafka]
"bootstrap.servers" = "stage:9092"
[env.prod.kafka]
"bootstrap.servers" = "prod:9092"
"""


def settings(tmp_path: Path, toml: str, env: str | None = None, **environ: str) -> Settings:
    file = tmp_path / "sluice.toml"
    file.write_text(toml, encoding="utf-8")
    chosen = {} if env is None else {"SLUICE_ENV": env}
    return load_settings(
        {"SLUICE_TOML": str(file), "SLUICE_HOME": str(tmp_path / "home"), **chosen, **environ}
    )


def refused(tmp_path: Path, toml: str, env: str | None = None, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        settings(tmp_path, toml, env, **environ)
    return str(caught.value)


def test_a_value_is_the_variables_then_the_tables_then_the_files_then_the_default(tmp_path: Path) -> None:
    toml = 'batch_rows = 1\ntransaction_rows = 2\nmax_dead_letters = 3\n[kafka]\n"linger.ms" = 4\n'
    toml += '[env.stage]\ntransaction_rows = 5\nmax_dead_letters = 6\n[env.stage.kafka]\n"linger.ms" = 7\n'
    found = settings(tmp_path, toml, "stage", SLUICE_STAGE_MAX_DEAD_LETTERS="8")

    assert (found.batch_rows, found.transaction_rows, found.max_dead_letters) == (1, 5, 8)
    assert found.kafka["linger.ms"] == "7"
    origins = {
        name: str(found.origin(name)) for name in ("batch_rows", "transaction_rows", "max_dead_letters")
    }
    assert origins == {
        "batch_rows": "sluice.toml",
        "transaction_rows": "[env.stage] of sluice.toml",
        "max_dead_letters": "SLUICE_STAGE_MAX_DEAD_LETTERS",
    }
    assert str(found.origin("reconcile")) == "default"
    assert settings(tmp_path, toml).transaction_rows == 2, "no environment is chosen"


def test_without_a_choice_the_top_of_the_file_and_plain_variables_are_in_force(tmp_path: Path) -> None:
    found = settings(tmp_path, TWO, SLUICE_KAFKA_BOOTSTRAP_SERVERS="k:9092", SLUICE_PROD_KAFKA_CLIENT_ID="p")
    assert (found.environment, found.kafka) == (None, {"bootstrap.servers": "k:9092"})
    assert found.home == tmp_path / "home"


@pytest.mark.parametrize(
    ("toml", "environ", "told"),
    [
        (TWO, {"SLUICE_ENV": "stag"}, "SLUICE_ENV=stag: there is no such environment. Did you mean 'stage'?"),
        (TWO, {"SLUICE_ENV": "Prod"}, "Did you mean 'prod'?; allowed: prod, stage"),
        ("", {"SLUICE_ENV": "prod"}, "has no [env.NAME] table; next: add a table [env.prod] to"),
        (TWO, {"SLUICE_ENV": ""}, "SLUICE_ENV: is empty; allowed: prod, stage"),
        (
            TWO,
            {"SLUICE_ENV": "prod", "SLUICE_KAFKA_SASL_PASSWORD": "x"},
            "SLUICE_KAFKA_SASL_PASSWORD carries no environment's name, so it could be meant for another one; allowed: "
            "SLUICE_PROD_KAFKA_SASL_PASSWORD",
        ),
        (TWO, {"SLUICE_ENV": "prod", "SLUICE_BATCH_ROWS": "1"}, "allowed: SLUICE_PROD_BATCH_ROWS"),
        (
            TWO,
            {"SLUICE_ENV": "prod", "SLUICE_KAFKA_SASL_PASSWORD_FILE": "x"},
            "allowed: SLUICE_PROD_KAFKA_SASL_PASSWORD_FILE",
        ),
        (
            TWO,
            {"SLUICE_STAGEE_KAFKA_CLIENT_ID": "x"},
            "there is no environment 'stagee'. Did you mean 'stage'?",
        ),
        (TWO, {"SLUICE_STAGE_KAFKAA_X": "x"}, "unknown setting SLUICE_STAGE_KAFKAA_X"),
        (TWO, {"SLUICE_STAGE_BATCH_ROW": "1"}, "Did you mean 'SLUICE_STAGE_BATCH_ROWS'?"),
        (
            TWO,
            {"SLUICE_ENV": "prod", "SLUICE_PROD_BATCH_ROWS": "x"},
            "SLUICE_PROD_BATCH_ROWS='x' is not a whole",
        ),
        (
            "[env.prod]\nbatch_row = 1",
            {},
            "[env.prod]: unknown setting batch_row. Did you mean 'batch_rows'?",
        ),
        ("[env.prod]\nkafka = 'k:9092'", {}, "properties below [env.prod.kafka]"),
        ("env = 'prod'", {}, "env is not a table; allowed: one table each: [env.NAME]"),
        ("[env]\nprod = 'x'", {}, "env.prod is not a table"),
        ("[env.Prod]", {}, "'Prod' cannot be the name of an environment; allowed: at most 40 lower-case"),
        ("[env.a_b]", {}, "'a_b' cannot be the name of an environment"),
        ("[env.kafka]", {}, "SLUICE_KAFKA_… would look like a variable of the setting kafka"),
        ("[env.ledger-2]", {}, "would look like a variable of the setting ledger_topic"),
        ("[env.env]", {}, "'env' cannot be the name of an environment"),
        ("[env.eu]\n[env.eu-kafka]", {}, "SLUICE_EU_KAFKA_… could be a variable of either"),
        ("[env.prod.env.x]", {}, "unknown setting env"),
        (
            "[env.prod]\nbatch_rows = 0",
            {"SLUICE_ENV": "prod"},
            "[env.prod]: batch_rows='0' is not a whole number",
        ),
        ("topic_prefix = 'a b'", {}, "topic_prefix='a b' cannot be used"),
        (f"topic_prefix = '{'p' * 100}'\nledger_topic = '{'l' * 150}'", {}, "has 250 characters"),
        ("policy = 'nowhere.toml'", {}, "there is no such file"),
    ],
)
def test_a_mistake_is_named_with_what_to_write(
    tmp_path: Path, toml: str, environ: dict[str, str], told: str
) -> None:
    assert told in refused(tmp_path, toml, **environ)


def test_the_values_of_other_environments_are_not_looked_at(tmp_path: Path) -> None:
    others = {
        "SLUICE_TEST_TOPIC_PARTITIONS": "x",
        "SLUICE_TEST_KAFKA_SASL_PASSWORD_FILE": "/nowhere/password",
    }
    found = settings(tmp_path, TWO + "[env.test]\nbatch_rows = 0\n", "prod", **others)
    assert found.bootstrap_servers == "prod:9092"


def test_what_is_missing_names_the_variable_of_the_environment(tmp_path: Path) -> None:
    found = settings(tmp_path, "[env.prod-eu]\n", "prod-eu")
    with pytest.raises(
        SettingsError, match=r"SLUICE_PROD_EU_KAFKA_BOOTSTRAP_SERVERS=.*\[env\.prod-eu\.kafka\]"
    ):
        _ = found.bootstrap_servers
    with pytest.raises(SettingsError, match="SLUICE_PROD_EU_REGISTRY_URL"):
        _ = found.registry_url


def test_an_environment_has_a_folder_of_its_own(tmp_path: Path) -> None:
    toml = f'home = "{tmp_path}/base"\nsnapshots = "s3://bucket/kept/"\n'
    toml += f'[env.stage]\n[env.own]\nhome = "{tmp_path}/exactly"\nsnapshots = "there"\n'
    file = tmp_path / "sluice.toml"
    file.write_text(toml)
    found = {name: load_settings({"SLUICE_TOML": str(file), "SLUICE_ENV": name}) for name in ("stage", "own")}

    assert found["stage"].home == tmp_path / "base/environments/stage"
    assert found["stage"].snapshots == "s3://bucket/kept/environments/stage"
    assert (found["own"].home, found["own"].snapshots) == (tmp_path / "exactly", str(tmp_path / "there"))
    machine = load_settings(
        {"SLUICE_TOML": str(file), "SLUICE_ENV": "stage", "SLUICE_HOME": str(tmp_path / "machine")}
    )
    assert machine.home == tmp_path / "machine/environments/stage"
    own = load_settings(
        {
            "SLUICE_TOML": str(file), "SLUICE_ENV": "stage", "SLUICE_HOME": "/m", "SLUICE_STAGE_HOME": str(tmp_path / "s"),
        }
    )  # fmt: skip
    assert own.home == tmp_path / "s"


def test_embedded_servers_never_fill_in_unless_the_environment_says_so(tmp_path: Path) -> None:
    toml = "embedded_servers = true\n[env.prod]\n[env.dev]\nembedded_servers = true\n"
    for home in ("home", "home/environments/prod", "home/environments/dev"):
        (tmp_path / home).mkdir(parents=True, exist_ok=True)
        state = {"bootstrap_servers": f"{home}:1", "registry_url": f"http://{home}:2"}
        (tmp_path / home / "servers.json").write_text(json.dumps(state))

    assert settings(tmp_path, toml).bootstrap_servers == "home:1"
    production = settings(tmp_path, toml, "prod")
    assert (dict(production.kafka), dict(production.registry), production.embedded) == ({}, {}, False)
    assert not production.create_topics
    development = settings(tmp_path, toml, "dev")
    assert (development.bootstrap_servers, development.embedded) == ("home/environments/dev:1", True)
    assert development.create_topics


def test_the_prefix_begins_the_ledgers_topic(tmp_path: Path) -> None:
    assert (
        settings(tmp_path, '[env.stage]\ntopic_prefix = "stage."', "stage").ledger_topic
        == "stage.sluice.ledger"
    )


def test_environments_that_share_a_place_are_named(tmp_path: Path) -> None:
    toml = f"""
[env.a]
topic_prefix = "x."
[env.a.kafka]
"bootstrap.servers" = "SSL://one:9092, two:9092"
[env.b]
topic_prefix = "x."
home = "{tmp_path}/same"
[env.b.kafka]
"bootstrap.servers" = "TWO:9092"
[env.c]
home = "{tmp_path}/same"
[env.c.kafka]
"bootstrap.servers" = "two:9092"
[env.d]
batch_rows = "x"
"""
    (tmp_path / "sluice.toml").write_text(toml)
    found = settings_of_environments({"SLUICE_TOML": str(tmp_path / "sluice.toml"), "SLUICE_BATCH_ROWS": "7"})
    assert isinstance(found["d"], SettingsError)
    told = [
        problem for problem, _ in shared_places({n: s for n, s in found.items() if isinstance(s, Settings)})
    ]
    assert len(told) == 3
    assert "environments a and b both use the brokers two:9092 with topic_prefix 'x.'" in told[0]
    assert "environments b and c have one home" in told[2] and "environments b and c keep" in told[1]


# Names and variables.

WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=6)
NAMES = st.lists(WORDS, min_size=1, max_size=3).map("-".join).filter(lambda name: name[0].isalpha())
PROPERTIES = st.lists(st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=6), min_size=1, max_size=4)
SETTINGS = st.one_of(
    st.sampled_from(sorted(SCALARS)),
    st.builds(
        lambda group, words: f"{group}.{'.'.join(words)}", st.sampled_from(["kafka", "registry"]), PROPERTIES
    ),
    st.builds(lambda words: f"warehouse.{'_'.join(words)}", PROPERTIES),
    st.just("kafka.log_level"),
).filter(lambda setting: not setting.endswith(".file"))


@given(NAMES | st.just(""), SETTINGS, st.sampled_from(["", "_file"]))
def test_a_setting_and_its_variable_name_each_other(name: str, setting: str, suffix: str) -> None:
    assume(name.partition("-")[0] not in first_words())
    written = variable(f"{setting}{suffix}", name)
    assert setting_of(written.removeprefix(variable_prefix(name))) == f"{setting}{suffix}"
    assert owner_of(written, [name] if name else []) == name


def test_no_setting_is_another_one_behind_a_word() -> None:
    """Otherwise `SLUICE_EU_X_Y` could be `x_y` of `eu` and `y` of `eu-x`."""
    for setting in SCALARS:
        words = setting.split("_")
        for count in range(1, len(words)):
            rest = "_".join(words[count:])
            assert rest not in SCALARS and words[count] not in GROUPS, setting
    assert not {name.removeprefix("SLUICE_").lower() for name in FOREIGN} & {*SCALARS, *GROUPS}


VALUES = st.text("abcdefghijklmnopqrstuvwxyz", min_size=8, max_size=12)


@given(
    st.lists(NAMES, min_size=2, max_size=4, unique=True),
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["table", "variable"]), SETTINGS, VALUES), max_size=12
    ),
)
def test_no_value_of_one_environment_appears_in_another(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], values: list[tuple[int, str, str, str]]
) -> None:
    assume(all(name.partition("-")[0] not in first_words() for name in names))
    free = ("code_location", "ledger_topic", "memory_limit", "producing", "ui_hosts", "snapshots", "home")
    folder = tmp_path_factory.mktemp("environments")
    tables: dict[str, dict[str, str]] = {name: {} for name in names}
    environ = {"SLUICE_TOML": str(folder / "sluice.toml"), "SLUICE_HOME": str(folder)}
    owned: dict[str, set[str]] = {name: set() for name in names}
    for place, where, setting, text in values:
        if setting in SCALARS and setting not in free:
            continue
        name = names[place % len(names)]
        value = f"{text}-{name}-"
        if where == "table":
            tables[name][setting] = value
        else:
            environ[variable(setting, name)] = value
        owned[name].add(value)
    lines = []
    for name, table in tables.items():
        lines.append(f"[env.{name}]")
        lines += [f'{key} = "{value}"' for key, value in table.items() if "." not in key]
        for group in GROUPS:
            inner = {key.partition(".")[2]: v for key, v in table.items() if key.partition(".")[0] == group}
            lines += [f"[env.{name}.{group}]", *(f'"{key}" = "{value}"' for key, value in inner.items())]
    (folder / "sluice.toml").write_text("\n".join(lines))
    try:
        found = {name: load_settings({**environ, "SLUICE_ENV": name}) for name in names}
    except SettingsError as error:
        assert "could be a variable of either" in str(error)
        return
    for name, one in found.items():
        text = "\n".join(
            map(str, [one, one.snapshots, *one.kafka.items(), *one.registry.items(), *one.warehouses.items()])
        )
        others = {value for other in names if other != name for value in owned[other]} - owned[name]
        assert not [value for value in others if value in text]


def test_a_secret_of_another_environment_is_hidden_too(tmp_path: Path) -> None:
    from resources.security.secrets import hide

    toml = TWO + '"sasl.password" = "zebra-in-prod"\n'
    environ = {
        "SLUICE_STAGE_KAFKA_SASL_PASSWORD": "zebra-in-stage",
        "SLUICE_NOWHERE_KAFKA_SASL_PASSWORD": "zebra-x",
    }
    with pytest.raises(SettingsError):
        settings(tmp_path, toml, **environ)
    assert "zebra" not in hide("zebra-in-prod zebra-in-stage zebra-x")


def test_the_choice_of_the_option_is_known_to_children(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from resources.errors import SluiceError
    from resources.settings.environments import choose

    monkeypatch.setenv("SLUICE_ENV", "x")
    monkeypatch.setenv("SLUICE_ENV_CHOSEN_BY", "x")
    choose("prod")
    error = SluiceError("a", "b", next_step="sluice register x, then `sluice publish x`; not sluice.ledger")
    assert error.next_step == (
        "sluice --env prod register x, then `sluice --env prod publish x`; not sluice.ledger"
    )
    found = settings(
        tmp_path, TWO, **{name: os.environ[name] for name in ("SLUICE_ENV", "SLUICE_ENV_CHOSEN_BY")}
    )
    assert found.environment is not None and found.environment.chosen_by == "--env"
    # Somebody selects another one for a child process.
    monkeypatch.setenv("SLUICE_ENV", "stage")
    assert SluiceError("a", "b", next_step="sluice list").next_step == "sluice list"


def test_messages_name_the_variable_of_the_environment_in_force() -> None:
    """With `variable(setting)`: a variable name that is written in a text belongs to no environment."""
    of_the_machine = {"home", "assets"}
    for package in ("pipelines", "resources"):
        for module in (ROOT / package).rglob("*.py"):
            tree = ast.parse(module.read_text())
            docstrings = {
                id(node.body[0].value)
                for node in ast.walk(tree)
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
                and node.body
                and isinstance(node.body[0], ast.Expr)
            }
            for node in ast.walk(tree):
                if (
                    isinstance(node, ast.Constant)
                    and isinstance(node.value, str)
                    and id(node) not in docstrings
                ):
                    for rest in re.findall(r"SLUICE_([A-Z_]+)", node.value):
                        assert (setting_of(rest) or "home") in of_the_machine, (
                            f"{module}:{node.lineno}: SLUICE_{rest}"
                        )
