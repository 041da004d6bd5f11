"""Each module breaks one thing. `run(arena)` returns its Outcome."""

from collections.abc import Callable

from tests.chaos.arena import Arena
from tests.chaos.outcome import Outcome
from tests.chaos.scenarios import (
    broker_kills,
    broker_losses,
    command_kills,
    dead_runs,
    full_disks,
    kills,
    large_ledger,
    launches,
    lost_connections,
    pauses,
    raising_rows,
    registry_losses,
    warehouse_losses,
)

_MODULES = (
    kills,
    command_kills,
    dead_runs,
    launches,
    lost_connections,
    pauses,
    broker_kills,
    registry_losses,
    warehouse_losses,
    lost_connections,
    full_disks,
    raising_rows,
    large_ledger,
    broker_losses,
)

SCENARIOS: dict[str, Callable[[Arena], Outcome]] = {module.NAME: module.run for module in _MODULES}
