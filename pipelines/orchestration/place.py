"""Where the runs of one Dagster publish to. It is stored in Dagster's own storage, which all of its workers
share.

A worker that lost its environment falls back to defaults: to an embedded broker that somebody started in its
tree, to another ledger topic, to a snapshot folder of its own. Its run is refused before the first byte.
"""

import json
from collections.abc import Mapping
from contextlib import suppress

import dagster as dg

from pipelines.dagster_private import (
    ConsolidatedSqliteEventLogStorage,
    DefaultRunLauncher,
    SqliteEventLogStorage,
)
from pipelines.ledger.identity import Part
from resources.errors import SluiceError
from resources.platform import Platform
from resources.settings import variable

_KEY = "sluice/publishes_to"
_NO_LEDGER = "none (there is no such topic)"
_TOLD = {
    "cluster_id": ("Kafka cluster", "kafka.bootstrap.servers", "cluster"),
    "ledger_topic": ("ledger topic", "ledger_topic", "cluster"),
    "ledger_id": ("ledger of topic id", "ledger_topic", "cluster"),
    "store_id": ("snapshot store", "snapshots", "store"),
    "code_location": ("code location", "code_location", "location"),
}
PLACES: Mapping[str, str] = {name: what for name, (what, _, _) in _TOLD.items()} | {"at": "brokers at"}
"""The stored parts of a place, by their stored names, with a name for people."""
_LOCAL = (SqliteEventLogStorage, ConsolidatedSqliteEventLogStorage)


class NotThisPlace(SluiceError):
    """The settings of this run lead to another place than those of the runs before
    it. Nothing was written."""

    relaunch = False


def require_place(instance: dg.DagsterInstance, platform: Platform) -> None:
    """Store where this run publishes to, or raise NotThisPlace if earlier runs published elsewhere.

    The change from the servers of `sluice up` to others is possible once, without anybody's decision; never
    back.
    """
    own = platform.settings.embedded
    if own and (shared := _shared(instance)):
        raise NotThisPlace(
            "settings",
            f"no Kafka is set, so this run would publish to the broker that `sluice up` started on "
            f"{platform.settings.bootstrap_servers}; but {shared}",
            next_step=f"give this worker its environment: {variable('kafka.bootstrap.servers')} and the other settings "
            "(docs/operating.md#where-the-ledger-is-valid); for a first look use `sluice publish` or `sluice ui`",
        )
    now, before = _here(platform), _remembered(instance)
    if now["ledger_id"] == _NO_LEDGER and not (before or {}).get("ledger_id"):
        # Create the ledger topic here, as the run would do. Otherwise only the next run could see that it was
        # deleted. If it cannot be created, the preflight reports why.
        with suppress(SluiceError):
            now["ledger_id"] = platform.ledger.topic_id
    if before is None or before.get("own"):
        _remember(instance, now)
        return
    if own:
        raise NotThisPlace(
            "settings",
            f"runs of this Dagster publish to {before.get('at')} (Kafka cluster {before.get('cluster_id')}), and in this "
            f"run no Kafka is set, so it would publish to the broker that `sluice up` started on {now['at']}",
            next_step=f"give this worker its environment: {variable('kafka.bootstrap.servers')} and the other settings "
            "(docs/operating.md#where-the-ledger-is-valid)",
        )
    for name, (what, setting, part) in _TOLD.items():
        recorded, found = before.get(name), now.get(name)
        if recorded and found and recorded != found:
            raise NotThisPlace(
                "settings",
                f"runs of this Dagster publish with {what} {recorded}, and this run's settings lead to {what} {found}",
                next_step=f"give this worker its environment ({variable(setting)}); where the other one took its place: sluice "
                f'ledger accept-{part} --all --reason "…" (docs/operating.md#where-the-ledger-is-valid)',
            )
    # Keep what was stored, and add what was not known then: the first run creates the ledger,
    # and older versions stored fewer parts.
    _remember(instance, now | {name: told for name, told in before.items() if told is not None})


def accept_place(instance: dg.DagsterInstance, platform: Platform, part: Part) -> None:
    """From now on runs of this Dagster publish to where the present settings lead. Only `part` changes:
    somebody who accepts a store may have lost the setting of the cluster."""
    before = _remembered(instance)
    if before is not None:
        _remember(
            instance,
            before | {name: now for name, (_, now) in place_changes(instance, platform, part).items()},
        )


def place_changes(
    instance: dg.DagsterInstance, platform: Platform, part: Part
) -> dict[str, tuple[object, object]]:
    """What `accept_place` would change, by name: the stored value, and the new one."""
    before, now = _remembered(instance), _here(platform)
    if before is None:
        return {}
    names = [name for name, (_, _, accepts) in _TOLD.items() if accepts == part]
    if part == "cluster":
        names += ["own", "at"]
    return {name: (before.get(name), now[name]) for name in names if before.get(name) != now[name]}


def _here(platform: Platform) -> dict[str, object]:
    store_id = platform.snapshots.store_id(make=True)
    here = platform.identity
    return {
        "cluster_id": here.cluster_id,
        "ledger_topic": platform.settings.ledger_topic,
        "ledger_id": _ledger_id(platform),
        "store_id": store_id,
        "code_location": here.code_location,
        "own": platform.settings.embedded,
        "at": platform.settings.bootstrap_servers,
    }


def _ledger_id(platform: Platform) -> str | None:
    """The id of the ledger's topic; None if the brokers give none. If the ledger does not exist, a text for
    that: every window would count as never published, so it matters that a ledger existed before."""
    ledger = platform.watch.now(platform.settings.ledger_topic)
    return ledger.topic_id if ledger.partitions else _NO_LEDGER


def _shared(instance: dg.DagsterInstance) -> str | None:
    """Why workers of this Dagster may be on other machines; None if nothing shows it."""
    if instance.is_ephemeral:
        return "Dagster keeps nothing of this run (DAGSTER_HOME is not set), and so does not know where others publish to"
    if not isinstance(instance.event_log_storage, _LOCAL):
        return "Dagster's storage is no local SQLite, so its workers are not all on this machine"
    launcher = type(instance.run_launcher)
    if not issubclass(launcher, DefaultRunLauncher) and not launcher.__name__.startswith("Sync"):
        return f"runs are launched by {launcher.__name__}, so its workers are not all on this machine"
    return None


def _remembered(instance: dg.DagsterInstance) -> dict[str, object] | None:
    told = instance.daemon_cursor_storage.get_cursor_values({_KEY}).get(_KEY)
    if not told:
        return None
    found: dict[str, object] = json.loads(told)
    return found


def _remember(instance: dg.DagsterInstance, place: Mapping[str, object]) -> None:
    told = json.dumps(
        {name: None if value == _NO_LEDGER else value for name, value in place.items()}, sort_keys=True
    )
    if instance.daemon_cursor_storage.get_cursor_values({_KEY}).get(_KEY) != told:
        instance.daemon_cursor_storage.set_cursor_values({_KEY: told})
