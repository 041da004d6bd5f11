"""A wrong `ui_hosts` is refused, and there is a warning about an address that others can reach."""

import pytest

from pipelines.webserver.authority import Authority, parse_hosts
from pipelines.webserver.exposure import exposure_warning
from resources.settings import SettingsError


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST.", "::1", "127.0.0.9", "[::1]"])
def test_nothing_is_said_of_loopback(host: str) -> None:
    assert exposure_warning(host, False) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.5", "sluice.internal", "::ffff:10.0.0.5"])
def test_any_other_address_is_warned_about(host: str) -> None:
    warning = exposure_warning(host, False) or ""
    assert "whoever reaches the port can launch" in warning and "--read-only" in warning
    assert (host or "all addresses") in warning
    assert "launch" not in (exposure_warning(host, True) or "launch")


def test_hosts_stand_between_commas_with_or_without_a_port() -> None:
    assert parse_hosts(" Sluice.Example. , 10.0.0.5:8080,[fd00::1]:80,fd00:0::2,") == {
        Authority("sluice.example", None),
        Authority("10.0.0.5", 8080),
        Authority("fd00::1", 80),
        Authority("fd00::2", None),
    }
    assert parse_hosts("") == frozenset()


@pytest.mark.parametrize(
    "text", ["https://sluice.example", "*", "*.example", "a b", "a:port", "a/b", "ok, x:99999"]
)
def test_a_value_that_is_no_host_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match=r"ui_hosts: '.*' is not a host; allowed: host names"):
        parse_hosts(text)
