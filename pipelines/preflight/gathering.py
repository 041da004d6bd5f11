"""Reads from Kafka, the registry, the ledger and the disk what the rules need.
Creates and registers nothing."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window, WindowError
from pipelines.contract import ContractError, parse_contract
from pipelines.encoding import kafka_partitions
from pipelines.encoding.keys import key_bytes
from pipelines.ledger.entry import LedgerDamaged, LedgerEntry, ledger_key, read_entry
from pipelines.ledger.identity import LedgerOfElsewhere, require_here
from pipelines.ledger.topic_identity import last_offsets, remade
from pipelines.preflight.facts import ContractState, Disk, Facts, History, IdInUse, Moved, Record
from pipelines.preflight.rules.contract import subject_of
from pipelines.preflight.rules.ledger import ledger_findings
from pipelines.preflight.rules.topic import topic_config, topic_partitions
from resources.errors import SluiceError, TransientError
from resources.kafka.topics.cluster import ClusterState, TopicState, describe
from resources.kafka.topics.topics import Topic
from resources.platform import Platform
from resources.registry.errors import SchemaUnknown
from resources.security.masking import mask
from resources.settings import Settings
from resources.snapshots import Snapshot, SnapshotError, SnapshotStore

T = TypeVar("T")

# The history is worth less than a long wait: another run's transaction may hide the end of the ledger.
_PATIENCE_SECONDS = 0.5
_WINDOWS_SAMPLED = 6
_WINDOWS_LOOKED_UP = 400
_IDS_LOOKED_UP = 5
_KEYS_SAMPLED = 2000

# Topic setting -> the broker's names for its default;
# the first one that is set wins (Kafka, "Topic configs").
_DEFAULTS: Mapping[str, Sequence[tuple[str, int]]] = {
    "retention.ms": (
        ("log.retention.ms", 1),
        ("log.retention.minutes", 60_000),
        ("log.retention.hours", 3_600_000),
    ),
    "retention.bytes": (("log.retention.bytes", 1),),
    "cleanup.policy": (("log.cleanup.policy", 1),),
    "max.message.bytes": (("message.max.bytes", 1),),
    "message.timestamp.type": (("log.message.timestamp.type", 1),),
    "message.timestamp.before.max.ms": (("log.message.timestamp.before.max.ms", 1),),
    "message.timestamp.after.max.ms": (("log.message.timestamp.after.max.ms", 1),),
    "delete.retention.ms": (("log.cleaner.delete.retention.ms", 1),),
}


def gather(
    event: Event,
    platform: Platform,
    windows: Sequence[Window],
    *,
    topic: str | None = None,
    publishing: bool = False,
) -> Facts:
    """The facts for publishing `windows`, in time order.
    If something cannot be looked up, its error is in its place."""
    settings, name = platform.settings, topic or event.topic
    facts = Facts(
        event,
        name,
        settings,
        windows,
        datetime.now(UTC),
        cluster=_or_error(lambda: _cluster(event, settings, name)),
        contract=_or_error(lambda: _contract(event, platform)),
        disk=_disk(settings),
        publishing=publishing,
    )
    return replace(facts, history=_history(facts, platform))


def _or_error(ask: Callable[[], T]) -> T | SluiceError:
    try:
        return ask()
    except SluiceError as error:
        return error


def _cluster(event: Event, settings: Settings, topic: str) -> ClusterState:
    found = describe(settings, [topic, settings.ledger_topic])
    state = found.topics[topic]
    if state.presence == "missing" and settings.create_topics:
        made = _as_created(event, settings, found, state)
        return replace(found, topics={**found.topics, topic: made})
    return found


def _as_created(event: Event, settings: Settings, cluster: ClusterState, state: TopicState) -> TopicState:
    """The topic as the brokers would create it; without settings if the brokers' defaults may not be read."""
    config = {}
    for name, places in _DEFAULTS.items():
        for broker_name, factor in places:
            if told := cluster.config.get(broker_name):
                config[name] = str(int(told) * factor) if factor > 1 else told
                break
    if config:
        config |= topic_config(event)
    replicas = settings.replication_factor or int(cluster.config.get("default.replication.factor", "1"))
    return replace(state, topic=Topic(state.name, topic_partitions(event, settings), replicas, config))


def _contract(event: Event, platform: Platform) -> ContractState:
    subject, text = subject_of(event.topic), event.contract.text
    known = platform.registry.lookup(subject, text)
    if known is not None:
        return ContractState(known)
    problems = platform.registry.check_compatible(subject, text)
    return ContractState(None, problems, not problems and platform.registry.latest(subject) is None)


def _disk(settings: Settings) -> Disk:
    temporary = Path(tempfile.gettempdir())
    spill = shutil.disk_usage(temporary).free
    if "://" in settings.snapshots:
        return Disk(mask("snapshots", settings.snapshots), None, str(temporary), spill)
    there = Path(settings.snapshots)
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    return Disk(str(there), free, str(temporary), spill, there.stat().st_dev == temporary.stat().st_dev)


def _history(facts: Facts, platform: Platform) -> History:
    # Everything here only adds details to findings. Whatever is wrong with it has a finding of its own.
    history = History()
    if not facts.windows:
        return history
    with suppress(SluiceError):
        history = _snapshot_sizes(facts, platform.snapshots)
    if isinstance(facts.cluster, SluiceError):
        return history
    if facts.ledger.presence != "there":
        with suppress(SluiceError):
            return _with_lost(facts, platform, history, _evenly(facts.windows))
        return history
    # Reading a damaged ledger would only make the reader wait.
    if any(not finding.ok for finding in ledger_findings(facts.settings, facts.kafka)):
        return history
    with suppress(SluiceError):
        return _published(facts, platform, history)
    return history


def _snapshot_sizes(facts: Facts, store: SnapshotStore) -> History:
    name = facts.event.full_name

    unread: list[SluiceError] = []

    def stages(window: Window) -> list[Snapshot]:
        try:
            found = [store.current(name, window.key, stage) for stage in ("sourced", "transformed")]
        except SluiceError as error:
            unread.append(error)
            return []
        return [snapshot for snapshot in found if snapshot is not None]

    sizes, taken, apart, rows, stored, at_most = [], 0, 0, 0, 0, False
    sampled = _evenly(facts.windows)
    for window in [*sampled, *_around(facts)]:
        if found := stages(window):
            # The present version's result shows which rows a transform leaves unchanged. For another
            # version's result nothing is known.
            known = all(one.facts.get("code_version") == facts.event.code_version for one in found)
            room, each = _room(found, store), sum(snapshot.bytes for snapshot in found)
            sizes.append(room if known else each)
            at_most |= not known
            taken, apart = max(taken, room), max(apart, each)
            rows = max(rows, *(snapshot.rows for snapshot in found))
            stored += window in sampled
    if not sizes:
        return History(unread=unread)
    return History(
        unread=unread,
        snapshot_bytes=sum(sizes) / len(sizes),
        largest_snapshot_bytes=taken,
        largest_apart_bytes=apart,
        at_most=at_most,
        largest_rows=rows,
        stored=round(len(facts.windows) * stored / len(sampled)),
    )


def _room(snapshots: Sequence[Snapshot], store: SnapshotStore) -> int:
    """Bytes on the disk: if the transform changed no row, both snapshots are one file with two names."""
    files = {_file(store.url_of(snapshot.files[0])): snapshot.bytes for snapshot in snapshots}
    return sum(files.values())


def _file(at: str) -> object:
    """A value that is equal for two names of one file."""
    with suppress(OSError):
        there = Path(at).stat()
        return there.st_dev, there.st_ino
    return at


def _evenly(windows: Sequence[Window]) -> list[Window]:
    step = max(1, (len(windows) - 1) // (_WINDOWS_SAMPLED - 1)) if len(windows) > 1 else 1
    return list(dict.fromkeys([*windows[::step][:_WINDOWS_SAMPLED], windows[-1]]))


def _around(facts: Facts) -> list[Window]:
    """The window before the requested ones, and the newest complete one.
    They are probably published if the requested ones are not."""
    windows, found = facts.event.windows, []
    with suppress(WindowError):
        found.append(windows.containing(facts.windows[0].start - timedelta(microseconds=1)))
    newest = windows.last_complete(facts.now)
    return [window for window in [*found, *([newest] if newest else [])] if window not in facts.windows]


def _published(facts: Facts, platform: Platform, history: History) -> History:
    asked, around = _spread(facts.windows), _around(facts)
    keys = {window: ledger_key(facts.topic, window.key) for window in [*asked, *around]}
    values = platform.ledger.newest(keys.values(), patience_seconds=_PATIENCE_SECONDS)
    found, refused = dict[Window, LedgerEntry](), list[SluiceError]()
    here = platform.identity
    for window, key in keys.items():
        try:
            entry = read_entry(key, values[key])
            if entry is not None:
                require_here(entry, here)
                found[window] = entry
        except (LedgerDamaged, LedgerOfElsewhere) as error:
            refused.append(error)
    unknown = [window for window in _evenly(asked) if values.get(keys[window]) is None]
    history = replace(
        _with_lost(facts, platform, history, unknown),
        refused=refused,
        ids=_ids_in_use(found, platform),
        records=_records(facts, [found[window] for window in asked if window in found], platform),
        around=_records(facts, [found[window] for window in around if window in found], platform),
    )
    ends = (facts.windows[0], facts.windows[-1], *around)
    entries = [entry for window, entry in found.items() if window in ends and entry.rows_done]
    if not entries:
        return history
    sent, records = sum(entry.bytes_done for entry in entries), sum(entry.rows_done for entry in entries)
    count = facts.target.topic.partitions if facts.target.topic else 0
    whole = [entry for entry in entries if entry.kind == "backfill" and entry.complete and entry.offsets]
    looked_at = next(iter(sorted(whole, key=lambda entry: entry.written_at, reverse=True)), None)
    try:
        moved = _moved(looked_at, facts, platform.snapshots, count) if looked_at else None
    except SnapshotError as error:
        moved, history = None, replace(history, unread=[*history.unread, error])
    return replace(
        history,
        newest=looked_at.window if looked_at and facts.target.presence == "there" else None,
        bytes_per_window=sent / len(entries),
        bytes_per_record=sent / records,
        moved=moved,
    )


def _with_lost(facts: Facts, platform: Platform, history: History, unknown: Sequence[Window]) -> History:
    """`history` with the lost windows: windows of `unknown`, for which the ledger has no record, that were
    published before. The store notes what a run has read back. Only a few windows are looked up, since each
    needs one file."""
    store, name = platform.snapshots, facts.event.full_name
    notes, unread = dict[str, dict[str, Any] | None](), list(history.unread)
    for window in unknown:
        try:
            notes[window.key] = store.reconciled(name, window.key)
        except SluiceError as error:
            unread.append(error)
    history = replace(history, unread=unread)
    lost = [key for key, note in notes.items() if note and note.get("topic") == facts.topic]
    if not lost or facts.target.presence != "there" or facts.target.topic is None:
        return history
    ends = platform.watch.ends(facts.topic, range(facts.target.topic.partitions))
    return replace(history, lost=lost, ends=list(ends.values()))


def _spread(windows: Sequence[Window]) -> list[Window]:
    """All windows, or as many as may be looked up one by one."""
    step = -(-len(windows) // _WINDOWS_LOOKED_UP)
    return list(dict.fromkeys([*windows[::step], windows[-1]]))


def _records(facts: Facts, entries: Sequence[LedgerEntry], platform: Platform) -> list[Record]:
    """The ledger's records of windows, compared with the present topic."""
    if facts.target.presence == "hidden":
        return [Record(entry.window, None) for entry in entries]
    topic = facts.target.topic if facts.target.presence == "there" else None
    last = [last_offsets(entry) for entry in entries]
    places = sorted({p for one in last for p in one if topic and p < topic.partitions})
    ends = platform.watch.ends(facts.topic, places)
    told = (
        remade(
            entry,
            topic_id=topic.topic_id if topic else None,
            partitions=topic.partitions if topic else 0,
            ends=ends,
        )
        for entry in entries
    )
    return [Record(entry.window, one) for entry, one in zip(entries, told, strict=True)]


def _ids_in_use(entries: Mapping[Window, LedgerEntry], platform: Platform) -> list[IdInUse]:
    """Every schema id of the windows' newest records, each with the newest of its windows;
    at most the last few ids."""
    newest: dict[tuple[int, str], LedgerEntry] = {}
    for entry in sorted(entries.values(), key=lambda entry: entry.window):
        if entry.rows_done:
            newest[entry.schema_id, entry.contract] = entry
    found = []
    for (schema_id, contract), entry in list(newest.items())[-_IDS_LOOKED_UP:]:
        with suppress(TransientError):  # the finding about the contract reports it
            found.append(IdInUse(schema_id, entry.window, _problem_of(schema_id, contract, platform)))
    return found


def _problem_of(schema_id: int, contract: str, platform: Platform) -> str | None:
    try:
        text = platform.registry.by_id(schema_id)
        named = parse_contract(text, Path(f"schema id {schema_id}"))
    except SchemaUnknown:
        return "does not know that id"
    except ContractError:
        return "knows that id as a schema that is no contract"
    except TransientError:
        raise
    except SluiceError:
        return None  # this error has a finding of its own
    if named.fingerprint != contract:
        return f"knows that id as another schema, {named.name}"
    return None


def _moved(entry: LedgerEntry, facts: Facts, store: SnapshotStore, count: int) -> Moved | None:
    """Whether the keys of a published window would go to other Kafka partitions now. Kafka does not say how
    many partitions a topic had, but the records of an earlier time show it."""
    if facts.target.presence != "there":
        return None
    named = frozenset(map(int, entry.offsets))
    if max(named) >= count:
        return Moved(entry.window, named, frozenset(range(count)))
    snapshot = store.find(entry.event, entry.window, "transformed", entry.snapshot)
    if snapshot is None:
        return None
    first = next(iter(store.read(snapshot, batch_rows=_KEYS_SAMPLED)), None)
    if first is None or facts.event.key not in first.schema.names:
        return None
    keys = key_bytes(first.column(facts.event.key))
    now = frozenset(map(int, set(kafka_partitions(keys, count))))
    if now <= named:
        return None
    # A damaged key would also go to another partition.
    store.verify(snapshot)
    return Moved(entry.window, named, now)
