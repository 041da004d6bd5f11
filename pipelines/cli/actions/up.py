"""The embedded servers and the sample warehouse, as `up` and `demo` start them."""

from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from resources.dev.servers import Servers
    from resources.settings import Settings


def start_servers(settings: "Settings", kind: Literal["embedded", "apache"], *, sample: bool) -> "Servers":
    """Start broker and registry, and build the sample warehouse if the default setting for it is in use.

    Raises SettingsError if an environment is selected that does not use these servers.
    """
    from pipelines.cli.output.errors import when_stopped
    from resources.dev.servers import up

    _require_used(settings)
    with when_stopped(
        lambda: (
            "Stopped while starting. `sluice doctor` shows what runs, `sluice down` stops it; "
            "`sluice up` goes on from here."
        )
    ):
        servers = up(settings.home, kind, progress=lambda told: click.echo(f"  {told}", err=True))
        if sample and settings.uses_sample_warehouse:
            build_sample(settings)
    return servers


def _require_used(settings: "Settings") -> None:
    from resources.settings import SettingsError

    if settings.environment and not settings.embedded_servers:
        name = settings.environment.name
        raise SettingsError(
            f"environment {name}",
            "does not use the embedded servers of `sluice up`",
            allowed=f"embedded_servers = true below [env.{name}] in {settings.file}",
            next_step="choose another environment, or none",
        )


def build_sample(settings: "Settings") -> None:
    """Build the sample warehouse if it does not exist or has an older layout."""
    from resources.dev.sample import build_sample_warehouse

    path = settings.home / "sample.duckdb"
    if not path.exists():
        click.echo("  building the sample warehouse: 336,776 flights of 2013", err=True)
    build_sample_warehouse(path)
