"""The servers that `sluice up` started."""

import json
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit


def started_servers(home: Path) -> dict[str, str]:
    """Addresses of the servers `sluice up` started and nobody stopped: `bootstrap_servers`, `registry_url`, and the latter
    as `embedded_registry_url` if the registry is the embedded one."""
    try:
        state = json.loads((home / "servers.json").read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(state, dict):
        return {}
    found = {name: state[name] for name in ("bootstrap_servers", "registry_url") if state.get(name)}
    with suppress(KeyError, TypeError):  # of a server that was never started
        if state["servers"]["registry"]["kind"] == "embedded":
            found["embedded_registry_url"] = found["registry_url"]
    return found


def comparable_address(url: str) -> tuple[str, str, int | None, str] | str:
    """Scheme, host, port and path of a URL: the same however one writes this machine. A URL without them as it is."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return url
    loopback = host == "localhost" or host == "::1"
    return parts.scheme.lower(), "127.0.0.1" if loopback else host, port, parts.path.rstrip("/")
