"""Host names and ports, as in the headers Host and Origin (RFC 9110 7.2, RFC 6454)."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from resources.settings import SettingsError

_DEFAULT_PORTS = {"http": 80, "https": 443}
# A name, an IPv4 address, or an IPv6 address in brackets;
# nothing else, so a user name or a path is not a host.
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?")


@dataclass(frozen=True)
class Authority:
    """A host in its normal form (lower case, no final dot,
    shortest form of IP addresses) and its port, if one is written."""

    host: str
    port: int | None

    def port_for(self, scheme: str) -> int | None:
        """The port, or the default port of `scheme`."""
        return self.port or _DEFAULT_PORTS.get(scheme)


def parse_authority(text: str) -> Authority | None:
    """The authority of `host` or `host:port`; None for anything else."""
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        return None
    host = normal_host(found[1])
    port = int(found[2]) if found[2] else None
    if not host or (port is not None and not 0 < port < 65536):
        return None
    return Authority(host, port)


def parse_origin(text: str) -> tuple[str, Authority] | None:
    """Scheme and authority of an Origin header; None for `null` and for anything else."""
    scheme, separator, rest = text.partition("://")
    authority = parse_authority(rest) if separator else None
    return (scheme.lower(), authority) if authority and scheme.lower() in _DEFAULT_PORTS else None


def normal_host(host: str) -> str:
    """`host` in its normal form; an empty string if it is not a host."""
    bracketed = host.startswith("[")
    name = host.strip("[]").lower().removesuffix(".")
    try:
        address = ip_address(name)
    except ValueError:
        return "" if bracketed or ":" in name or ".." in name else name
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(address)


def is_loopback(host: str) -> bool:
    """True if only this machine can reach `host`, a name or an address in its normal form."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_hosts(text: str) -> frozenset[Authority]:
    """The hosts of the setting `ui_hosts`: with or without a port, between commas. Raises SettingsError."""
    found = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        # An IPv6 address may be written without brackets if no port follows.
        authority = parse_authority(f"[{part}]" if part.count(":") > 1 and "[" not in part else part)
        if authority is None:
            raise SettingsError(
                "ui_hosts",
                f"{part!r} is not a host",
                allowed="host names or addresses, with or without a port, between commas: sluice.example.com, 10.0.0.5:8080",
            )
        found.add(authority)
    return frozenset(found)
