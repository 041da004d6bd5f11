"""What is shown of a setting: nothing of a password, however malformed the value is, and all that an operator
needs."""

import ctypes
from pathlib import Path

import pytest
from confluent_kafka import cimpl
from hypothesis import example, given
from hypothesis import strategies as st

from resources.security.masking import STARS, is_shown, malformed_login, mask, mask_logins, secrets_of

PASSWORDS = st.text(st.sampled_from("Zy/@:?#%&= '\"\\[]é.,;+-"), min_size=4, max_size=20).map(
    lambda text: f"xQ{text}Qx"
)
FORMS = (
    "postgresql://sluice:{}@localhost:1/x",
    "https://sluice:{}@registry:8081/path",
    "s3://KEY:{}@bucket/prefix",
    "postgresql:sluice:{}@localhost/x",
    "postgresql//sluice:{}@localhost/x",
    "sluice:{}@localhost:5432/x",
    "host=db user=sluice password={} dbname=x",
    "http://a:8081,http://sluice:{}@b:8081",
)


@given(PASSWORDS, st.sampled_from(FORMS), st.sampled_from(("warehouse.erp", "registry.url", "snapshots")))
@example("xQ:://Qx", "postgresql:sluice:{}@localhost/x", "warehouse.erp")
def test_nothing_of_a_password_is_shown_however_malformed_the_value_is(
    password: str, form: str, name: str
) -> None:
    shown = mask(name, form.format(password))
    assert STARS in shown
    # The letters of the marks are in none of the forms.
    assert "xQ" not in shown and "Qx" not in shown and "Zy" not in shown


@given(PASSWORDS, st.sampled_from(FORMS))
@example("xQ: y=Qx", "host=db user=sluice password={} dbname=x")
@example("xQ:://Qx", "postgresql:sluice:{}@localhost/x")
@example("xQ,Z://Qx", "postgresql://sluice:{}@localhost:1/x")
def test_a_password_is_known_as_a_secret_wherever_it_stands(password: str, form: str) -> None:
    known = [secret.text for secret in secrets_of("warehouse.erp", form.format(password))]
    assert any("xQ" in text and "Qx" in text for text in known)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("warehouse.erp", "postgresql://me:pw@db:5432/x?sslmode=require", f"postgresql://{STARS}@db:5432/x?sslmode=require"),
        ("warehouse.erp", "postgresql://me:a@b@db/x", f"postgresql://{STARS}@db/x"),
        ("warehouse.erp", "postgresql://db/x?password=hunter2&host=h", f"postgresql://db/x?password={STARS}&host=h"),
        ("warehouse.erp", "postgresql://db/x?pasword=hunter2", f"postgresql://db/x?pasword={STARS}"),
        ("warehouse.erp", "postgresql://me:hunter2", f"postgresql://me:{STARS}"),
        ("warehouse.erp", "host=db password=hunter2", STARS),
        ("warehouse.erp", "duckdb:///data/team@home/x.duckdb", "duckdb:///data/team@home/x.duckdb"),
        ("warehouse.erp", "duckdb://me:hunter2@x/y", f"duckdb://{STARS}@x/y"),
        ("warehouse.erp", "postgresql://[::1]:5432,h2:5433/x", "postgresql://[::1]:5432,h2:5433/x"),
        ("snapshots", "/data/part=1/a:b@c", "/data/part=1/a:b@c"),
        ("snapshots", "s3://bucket/x?sig=hunter2", f"s3://bucket/x?sig={STARS}"),
        ("snapshots", "s3://bucket#hunter2", f"s3://bucket#{STARS}"),
        ("registry.url", "http://u:a@h1,http://h2", f"http://{STARS}@h1,http://h2"),
        ("registry.basic.auth.user.info", "me:hunter2", STARS),
        ("kafka.bootstrap.servers", "a:9092,b:9092", "a:9092,b:9092"),
        ("kafka.bootstrap.servers", "me:hunter2@a:9092", f"{STARS}@a:9092"),
        ("kafka.sasl.username", "me@REALM", "me@REALM"),
        ("kafka.sasl.pasword", "hunter2", STARS),
        ("kafka.no.such.property", "hunter2", STARS),
        ("kafka.sasl.kerberos.kinit.cmd", "echo hunter2 | kinit", STARS),
        ("kafka.client.id", "password=hunter2", STARS),
        ("kafka.ssl.key.location", "/etc/key.pem", "/etc/key.pem"),
        ("kafka.sasl.oauthbearer.token.endpoint.url", "https://login/token", "https://login/token"),
        ("ui_hosts", "https://me:hunter2@host", f"https://{STARS}@host"),
        ("batch_rows", "7", "7"),
        ("kafka.sasl.password", "", ""),
    ],
)  # fmt: skip
def test_what_is_shown(name: str, value: str, shown: str) -> None:
    assert mask(name, value) == shown


def test_every_shown_property_of_kafka_is_one_of_the_clients_and_holds_no_secret(tmp_path: Path) -> None:
    libc, library = ctypes.CDLL(None), ctypes.CDLL(cimpl.__file__)
    libc.fopen.restype = ctypes.c_void_p
    libc.fclose.argtypes = library.rd_kafka_conf_properties_show.argtypes = [ctypes.c_void_p]
    stream = libc.fopen(str(tmp_path / "properties").encode(), b"w")
    library.rd_kafka_conf_properties_show(stream)
    libc.fclose(stream)
    rows = [line.split("|") for line in (tmp_path / "properties").read_text().splitlines() if "|" in line]
    names = {row[0].strip() for row in rows if len(row) > 4}
    masked = {name for name in names if name.islower() and not is_shown(f"kafka.{name}")}
    assert len(names) > 150
    # Callbacks and pointers are left out: no setting can be one.
    assert {name for name in masked if not name.endswith("_cb") and "." in name} == {
        "https.ca.pem",
        "sasl.kerberos.kinit.cmd",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.assertion.private.key.pem",
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.extensions",
        "sasl.password",
        "ssl.ca.pem",
        "ssl.certificate.pem",
        "ssl.key.password",
        "ssl.key.pem",
        "ssl.keystore.password",
    }


@pytest.mark.parametrize(
    ("url", "malformed"),
    [
        ("postgresql://me:a%40b@db/x", False),
        ("postgresql://me:a:b!$&'()*+,;=@db/x", False),
        ("postgresql://db/x", False),
        *((f"postgresql://me:a{cut}b@db/x", True) for cut in "/@?#[] \\%"),
    ],
)
def test_a_login_that_is_not_percent_encoded_is_known_as_malformed(url: str, malformed: bool) -> None:
    assert malformed_login(url) is malformed


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x postgresql://u:a/b@c@host:1/d y", f"x postgresql://{STARS}@host:1/d y"),
        ("('postgresql://u:a@b@h/d','x@y')", f"('postgresql://{STARS}@h/d','x@y')"),
        ("postgresql://u:a'b\"c@h", f"postgresql://{STARS}@h"),
        ("postgresql://u:a@h/d, mail me@x", f"postgresql://{STARS}@h/d, mail me@x"),
        ('{"url":"http://h:80/x","by":"me@y"}', '{"url":"http://h:80/x","by":"me@y"}'),
    ],
)
def test_a_login_in_a_text_of_others_ends_at_its_urls_last_at(text: str, shown: str) -> None:
    assert mask_logins(text) == shown
