"""The warning for an operator if other machines can reach the web server."""

from pipelines.webserver.authority import is_loopback, normal_host
from resources.settings import variable


def exposure_warning(host: str, read_only: bool) -> str | None:
    """A warning if `host`, the address to listen on, is not this machine's loopback; otherwise None."""
    if is_loopback(normal_host(host)):
        return None
    can = "see every run and its metadata" if read_only else "launch, cancel and delete runs"
    return (
        f"Warning: the web server listens on {host or 'all addresses'} and has no login: whoever reaches the port can {can}. "
        "Next: listen on 127.0.0.1 behind a proxy that asks for a login, or let only trusted machines reach the port"
        f"{'' if read_only else '; --read-only refuses launches'}. "
        f"Where users open it under a name, allow that name in {variable('ui_hosts')}."
    )
