"""The platform as a Dagster resource. It has no fields: Dagster shows a resource's configuration in its UI,
and connection settings hold secrets, so they are read from the environment where the run is."""

from collections.abc import Callable

import dagster as dg

from resources.platform import Platform
from resources.settings import load_settings


class PlatformResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Opens the platform for one run; settings come from `SLUICE_…` and `sluice.toml` at that moment."""

    def open(self, say: Callable[[str], None]) -> Platform:
        """A platform whose waits are told to `say`."""
        return Platform(load_settings(), say=say)
