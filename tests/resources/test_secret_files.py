"""Settings in files: what is read, what is refused,
and a secret that is rotated during the life of a process."""

import base64
import http.server
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from resources.platform import Platform
from resources.registry import RegistryRefused
from resources.security.secrets import hide
from resources.settings import Settings, SettingsError, load_settings

PASSWORD = "SLUICE_KAFKA_SASL_PASSWORD_FILE"


def settings(tmp_path: Path, toml: str = "", **environ: str) -> Settings:
    (tmp_path / "sluice.toml").write_text(toml, encoding="utf-8")
    return load_settings(
        {"SLUICE_TOML": str(tmp_path / "sluice.toml"), "SLUICE_HOME": str(tmp_path / "home"), **environ}
    )


@pytest.mark.parametrize("content", ["zebra ball ", "zebra ball \n", "zebra ball \r\n", "zebra ball \n\n"])
def test_the_content_is_the_value_without_the_lines_end(tmp_path: Path, content: str) -> None:
    (tmp_path / "pw").write_bytes(content.encode())
    found = settings(tmp_path, **{PASSWORD: str(tmp_path / "pw")})
    assert found.kafka["sasl.password"] == "zebra ball "
    assert str(found.origin("kafka.sasl.password")) == f"{tmp_path}/pw ({PASSWORD})"
    assert found.printable()["kafka.sasl.password"] == "********"
    assert "zebra ball" not in hide("a zebra ball b") and "zebra" not in repr([found, found.kafka])


def test_the_settings_file_and_an_environment_name_files_too(tmp_path: Path) -> None:
    for name in ("one", "two", "url"):
        (tmp_path / name).write_text(f"secret-{name}")
    (tmp_path / "url").write_text("postgresql://me:hunter2@db/sales")
    toml = '[kafka]\n"sasl.password_file" = "one"\n[warehouse]\nerp_file = "url"\nx_file = "duckdb:///x.db"\n'
    toml += '[env.prod.kafka]\nsasl.password_file = "two"\n'
    assert settings(tmp_path, toml).kafka["sasl.password"] == "secret-one"
    found = settings(tmp_path, toml, SLUICE_ENV="prod")
    assert found.kafka["sasl.password"] == "secret-two"
    assert found.warehouses["erp"] == "postgresql://me:hunter2@db/sales"
    assert found.warehouses["x_file"] == "duckdb:///x.db", "a warehouse of that name"
    direct = settings(tmp_path, toml, SLUICE_ENV="prod", SLUICE_PROD_KAFKA_SASL_PASSWORD="direct")
    assert direct.kafka["sasl.password"] == "direct", "a variable wins over the file's table"


def test_a_property_of_the_client_that_ends_in_file_is_that_property(tmp_path: Path) -> None:
    found = settings(tmp_path, SLUICE_KAFKA_SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_FILE="/keys/a.pem")
    assert found.kafka == {"sasl.oauthbearer.assertion.private.key.file": "/keys/a.pem"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "there is no such file; next: mount the secret there"),
        (b"", "is empty; next: write the value into the file"),
        (b"\n", "is empty"),
        (b"\xff", "is not UTF-8 text (byte 0)"),
        (b"a\0b", "holds a zero byte"),
        (b"x" * 1_000_001, "has 1,000,001 bytes, too many for a value"),
    ],
)
def test_a_file_that_holds_no_value_is_named(tmp_path: Path, content: bytes | None, told: str) -> None:
    if content is not None:
        (tmp_path / "pw").write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        settings(tmp_path, **{PASSWORD: str(tmp_path / "pw")})
    assert str(caught.value).startswith(f"{PASSWORD}={tmp_path}/pw: ") and told in str(caught.value)


def test_what_cannot_be_read_repeatedly_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(SettingsError, match="is not a regular file"):
            settings(tmp_path, **{PASSWORD: str(tmp_path / name)})


def test_a_value_and_a_file_for_it_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("zebra ball")
    with pytest.raises(SettingsError, match=r"SLUICE_KAFKA_SASL_PASSWORD and .*_FILE are both set"):
        settings(tmp_path, **{PASSWORD: str(tmp_path / "pw"), "SLUICE_KAFKA_SASL_PASSWORD": "x"})
    with pytest.raises(SettingsError, match=r"sasl\.password and kafka\.sasl\.password_file are both set"):
        settings(tmp_path, '[kafka]\n"sasl.password" = "x"\n"sasl.password_file" = "pw"\n')


def test_a_rotated_secret_is_the_value_from_then_on(tmp_path: Path) -> None:
    file = tmp_path / "pw"
    file.write_text("zebra before\n")
    found = settings(tmp_path, **{PASSWORD: str(file)})
    before = found.secrets_fingerprint()
    assert found.secrets_fingerprint() == before
    file.write_text("zebra behind\n")
    assert dict(found.kafka) == {"sasl.password": "zebra behind"}
    assert found.secrets_fingerprint() != before
    assert "zebra" not in hide("zebra behind, zebra before")
    # While the file is being replaced, the last value is used.
    file.unlink()
    assert found.kafka["sasl.password"] == "zebra behind"


def test_a_byte_order_mark_is_not_part_of_the_value(tmp_path: Path) -> None:
    (tmp_path / "pw").write_bytes(b"\xef\xbb\xbfzebra ball\r\n")
    assert settings(tmp_path, **{PASSWORD: str(tmp_path / "pw")}).kafka["sasl.password"] == "zebra ball"
    (tmp_path / "pw").write_bytes(b"\xef\xbb\xbf\n")
    with pytest.raises(SettingsError, match="is empty"):
        settings(tmp_path, **{PASSWORD: str(tmp_path / "pw")})


def test_a_warehouse_in_a_file_is_relative_to_the_place_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the file is read again, in a process that has changed its working directory."""
    (tmp_path / "url").write_text("duckdb://wh.duckdb\n")
    monkeypatch.chdir(tmp_path)
    by_key = settings(tmp_path, '[warehouse]\ndefault_file = "url"\n')
    by_variable = settings(tmp_path, SLUICE_WAREHOUSE_DEFAULT_FILE="url")
    monkeypatch.chdir("/")
    for found in (by_key, by_variable):
        assert found.warehouses["default"] == f"duckdb://{tmp_path}/wh.duckdb"
    (tmp_path / "url").write_text("duckdb://other.duckdb\n")
    for found in (by_key, by_variable):
        assert found.warehouses["default"] == f"duckdb://{tmp_path}/other.duckdb"


class _Registry(http.server.BaseHTTPRequestHandler):
    """Knows no subject, and only accepts a login with the current password."""

    password = ""

    def do_GET(self) -> None:
        login = base64.b64encode(f"ann:{self.password}".encode()).decode()
        good = self.headers.get("Authorization") == f"Basic {login}"
        body = b'{"error_code": 40401, "message": "Subject not found."}' if good else b'{"error_code": 401}'
        self.send_response(404 if good else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Registry) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_platform_logs_in_with_the_rotated_secret(
    tmp_path: Path, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "login"
    file.write_text("ann:zebra-before\n")
    monkeypatch.setattr(_Registry, "password", "zebra-before")
    found = settings(
        tmp_path, SLUICE_REGISTRY_URL=registry, SLUICE_REGISTRY_BASIC_AUTH_USER_INFO_FILE=str(file)
    )
    with closing(Platform(found)) as platform:
        assert platform.registry.latest("topic-value") is None
        assert not platform.renew(), "nothing has changed"
        file.write_text("ann:zebra-behind\n")
        monkeypatch.setattr(_Registry, "password", "zebra-behind")
        with pytest.raises(RegistryRefused):
            platform.registry.latest("topic-value")
        assert platform.renew()
        assert platform.registry.latest("topic-value") is None
        assert not platform.renew()
