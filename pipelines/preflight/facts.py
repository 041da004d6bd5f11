"""The facts of a preflight.
They are gathered first and judged afterwards, so that every rule can be tested without a server."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.preflight.largest_record import LargestRecord
from resources.errors import SluiceError
from resources.kafka.topics.cluster import ClusterState, TopicState
from resources.settings import Settings


@dataclass(frozen=True)
class ContractState:
    """What the registry says about the contract: its id, why it cannot be registered, or neither.
    `first_of_subject`: it can be registered, and its subject has no contract yet."""

    schema_id: int | None
    problems: Sequence[str] = ()
    first_of_subject: bool = False


@dataclass(frozen=True)
class Moved:
    """Keys of a published window that would go to other Kafka partitions now. `named`: the Kafka partitions
    that the ledger names; `now`: those that the keys have now."""

    window: str
    named: frozenset[int]
    now: frozenset[int]


@dataclass(frozen=True)
class IdInUse:
    """A schema id of published windows; `window` is the newest of them. `problem`: what is wrong with the
    registry's answer for the id, None if the registry knows the id as the contract of the publication."""

    schema_id: int
    window: str
    problem: str | None


@dataclass(frozen=True)
class Record:
    """The ledger's record of a published window. `remade`: what shows that its topic was created again;
    None if nothing does."""

    window: str
    remade: str | None


@dataclass(frozen=True)
class History:
    """What the ledger and the snapshots say about windows that were published before; empty if there are
    none.

    `newest`: of the sampled windows, the one whose complete backfill was published last. `bytes_per_window`
    and `bytes_per_record`: what was sent, before compression. `stored`: about how many of the requested
    windows have snapshots. `snapshot_bytes`: the mean disk space of a window's sourced and transformed
    snapshot. A file that both snapshots share counts once, unless `at_most`: another version of the module
    made some snapshots, and it is not known whether the present version's snapshots will share a file.
    `largest_snapshot_bytes` and `largest_apart_bytes`: the disk space of the largest window, as it is stored
    and with each snapshot counted separately. `records` are of requested windows, `around` of others.
    `refused`: errors for ledger records of either that cannot be read, or are about another place than this
    one. `lost`: requested windows that were published and read back before, as the snapshot store notes, and
    for which the ledger has no record; `ends` is then where the topic's Kafka partitions end. `ids`: schema
    ids in use. `unread`: errors for files of the snapshot store that could not be read, so that their content
    is missing from the rest.
    """

    newest: str | None = None
    bytes_per_window: float | None = None
    bytes_per_record: float | None = None
    moved: Moved | None = None
    snapshot_bytes: float | None = None
    largest_snapshot_bytes: int = 0
    largest_apart_bytes: int = 0
    at_most: bool = False
    largest_rows: int = 0
    stored: int = 0
    records: Sequence[Record] = ()
    around: Sequence[Record] = ()
    refused: Sequence[SluiceError] = ()
    lost: Sequence[str] = ()
    ends: Sequence[int] = ()
    ids: Sequence[IdInUse] = ()
    unread: Sequence[SluiceError] = ()


@dataclass(frozen=True)
class Disk:
    """Free bytes; None if a place cannot report them. `shared`: both places are on one file system."""

    snapshots: str
    snapshots_free: int | None
    temporary: str
    temporary_free: int | None
    shared: bool = False


@dataclass(frozen=True)
class Facts:
    """Everything that the rules read. If something could not be looked up, its error is in its place.

    `publishing`: a run is about to publish, so what it cannot do by itself fails now. `replays_whole`: it
    publishes the windows again, whatever the topic holds of them.
    """

    event: Event
    topic: str
    settings: Settings
    windows: Sequence[Window]
    now: datetime
    cluster: ClusterState | SluiceError
    contract: ContractState | SluiceError
    disk: Disk
    history: History = field(default_factory=History)
    publishing: bool = False
    replays_whole: bool = False
    largest: LargestRecord | None = None

    @property
    def kafka(self) -> ClusterState:
        """The cluster; only for rules that run if it answered."""
        assert isinstance(self.cluster, ClusterState)
        return self.cluster

    @property
    def target_has_records(self) -> bool:
        """Whether anybody has ever published to the topic, by `history.ends`."""
        return any(self.history.ends)

    @property
    def target(self) -> TopicState:
        """The topic to publish to. If publishing would create it, the topic as it would be created."""
        return self.kafka.topics[self.topic]

    @property
    def ledger(self) -> TopicState:
        """The ledger's topic."""
        return self.kafka.topics[self.settings.ledger_topic]

    @property
    def carries_state(self) -> bool:
        """See `Event.carries_state`."""
        return self.event.carries_state
