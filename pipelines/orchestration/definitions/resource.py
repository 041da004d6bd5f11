"""The platform as a Dagster resource. It has no fields: Dagster shows a resource's configuration in its UI,
and connection settings contain secrets, so they are read from the environment of the run."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg

from pipelines.orchestration.keys import HEARTBEAT
from pipelines.orchestration.liveness.heartbeat import heartbeat
from resources.settings import load_settings

if TYPE_CHECKING:
    from resources.platform import Platform


class PlatformResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Opens the platform for one run; settings come from `SLUICE_…` and `sluice.toml` at that moment."""

    def open(self, say: Callable[[str], None]) -> "Platform":
        """A platform that reports its waits to `say`."""
        from resources.platform import Platform

        return Platform(load_settings(), say=say)


def run_resources() -> dict[str, object]:
    """The resources that the op of every event needs."""
    return {"platform": PlatformResource(), HEARTBEAT: heartbeat}
