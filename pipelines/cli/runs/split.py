"""Publications that may run in parallel:
which windows each process gets, and why some events cannot be divided."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import dagster as dg

from pipelines.authoring.event import Event
from pipelines.authoring.limits import Limits
from pipelines.authoring.windows import Window
from pipelines.orchestration.config import RunConfig
from pipelines.orchestration.keys import topic_pool, warehouse_pool
from pipelines.orchestration.worker_runs import places
from resources.errors import SluiceError
from resources.settings import Settings
from resources.wording import counted


@dataclass(frozen=True)
class Part:
    """Contiguous windows of one event, published in their order by one run in its own process."""

    event: Event
    windows: Sequence[Window]
    config: Mapping[str, Any] = field(default_factory=dict)
    run_id: str = field(default_factory=lambda: str(uuid4()))

    @property
    def name(self) -> str:
        """The event and its first and last window, as a user writes them."""
        first, last = self.windows[0].key, self.windows[-1].key
        return f"{self.event.full_name} {first if first == last else f'{first}..{last}'}"


def cut(windows: Sequence[Window], parts: int) -> list[Sequence[Window]]:
    """`windows` in `parts` contiguous parts, or in as many as there are windows;
    their lengths differ by one at most."""
    count = min(parts, len(windows))
    edges = [len(windows) * number // count for number in range(count + 1)]
    return [windows[first:last] for first, last in itertools.pairwise(edges)]


def divided(
    event: Event,
    windows: Sequence[Window],
    processes: int,
    *,
    config: Mapping[str, Any],
    settings: Settings,
    instance: dg.DagsterInstance,
) -> list[Part]:
    """One event's windows for `processes` processes; its limits are divided among them.

    Raises SluiceError if that would do harm (the event carries state) or be useless (a pool allows too few
    runs at a time).
    """
    chosen = cut(windows, processes)
    if len(chosen) > 1:
        _require_stateless(event, processes)
        _require_places(event, len(chosen), instance)
        limits = RunConfig(**config).limits(event, settings)
        shared = _shared(event, limits, len(chosen))
        # If this run switches off the limit of a group, it stays off.
        lag = {**config.get("max_lag", {}), **shared.pop("max_lag", {})}
        config = {**config, **shared, **({"max_lag": lag} if lag else {})}
    return [Part(event, part, config) for part in chosen]


def _require_stateless(event: Event, processes: int) -> None:
    declared = "tombstones=True" if event.tombstones else 'stale_writes="skip"'
    if event.carries_state:
        raise SluiceError(
            f"{event.full_name} --processes {processes}",
            f"the event carries state ({declared}): the newest event of a key must come last on the topic, and windows "
            "that are published side by side overtake each other",
            allowed="its windows in order, in one process; several such events side by side, with --all",
            next_step="leave --processes out",
        )


def require_uncompacted(event: Event, cleanup_policy: str | None, processes: int) -> None:
    """Raise SluiceError if the topic keeps only the newest event of a key. None: the policy is not known."""
    if "compact" in (cleanup_policy or ""):
        raise SluiceError(
            f"{event.full_name} --processes {processes}",
            f"its topic {event.topic} is compacted (cleanup.policy={cleanup_policy}): what stays of a key is what was "
            "published last, and windows that are published side by side overtake each other",
            allowed="its windows in order, in one process",
            next_step="leave --processes out, or give the topic cleanup.policy=delete",
        )


def _require_places(event: Event, parts: int, instance: dg.DagsterInstance) -> None:
    for pool, holds in (
        (topic_pool(event), "publish to its topic"),
        (warehouse_pool(event.warehouse), "query its warehouse"),
    ):
        limit = places(instance, pool)
        if limit is not None and limit < parts:
            raise SluiceError(
                f"{event.full_name} --processes {parts}",
                f"pool {pool} lets {counted(limit, 'run')} at a time {holds}: the others would only wait",
                allowed=f"--processes {limit}"
                if limit > 1
                else f"a limit of at least {parts}, or one process",
                next_step=f"raise the limit in the UI under Deployment, Concurrency, or with "
                f"`DAGSTER_HOME={instance.root_directory} dagster instance concurrency set {pool} {parts}`. "
                "Events of one key may then come in another order than their windows",
            )


def _shared(event: Event, limits: Limits, parts: int) -> dict[str, Any]:
    """Run configuration that gives each of `parts` runs its share: together the runs keep to `limits`, the
    limits of one run."""
    shares: dict[str, Any] = {}
    rates = {
        "max_rows_per_second": limits.rows_per_second,
        "max_bytes_per_second": limits.bytes_per_second,
    }
    for name, limit in rates.items():
        if limit:
            shares[name] = _share(event, f"{name}: {limit:,}", limit, parts)
    if limits.lag:
        # Between two checks of a group,
        # each run sends at most as many records as its own threshold still allows.
        shares["max_lag"] = {
            group: _share(event, f"max_lag: {group}={limit.pause_above:,}", limit.pause_above, parts)
            for group, limit in limits.lag.items()
        }
    return shares


def _share(event: Event, told: str, limit: int, parts: int) -> int:
    if limit < parts:
        raise SluiceError(
            f"{event.full_name} --processes {parts}",
            f"a limit cannot be shared by {counted(parts, 'process', 'processes')} ({told})",
            allowed=f"at most {counted(limit, 'process', 'processes')}, or a limit of at least {parts}",
            next_step="leave --processes out",
        )
    return limit // parts
