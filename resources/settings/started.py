"""The servers that `sluice up` started."""

import json
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit


def started_servers(home: Path) -> dict[str, str]:
    """The addresses of servers that `sluice up` started and nobody stopped: `bootstrap_servers`,
    `registry_url`, and the latter also as `embedded_registry_url` if the registry is the embedded one."""
    try:
        state = json.loads((home / "servers.json").read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(state, dict):
        return {}
    found = {name: state[name] for name in ("bootstrap_servers", "registry_url") if state.get(name)}
    with suppress(KeyError, TypeError):  # the registry was never started
        if state["servers"]["registry"]["kind"] == "embedded":
            found["embedded_registry_url"] = found["registry_url"]
    return found


def comparable_address(url: str) -> tuple[str, str, int | None, str] | str:
    """The scheme, host, port and path of a URL, with one form for all names of this machine. A URL that
    cannot be parsed is returned unchanged."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return url
    loopback = host == "localhost" or host == "::1"
    return parts.scheme.lower(), "127.0.0.1" if loopback else host, port, parts.path.rstrip("/")
