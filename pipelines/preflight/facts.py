"""What a preflight knows: gathered first, judged afterwards, so that every rule can be tried without a server."""

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
    """What the registry says of the contract: its id, or why it cannot be registered, or neither."""

    schema_id: int | None
    problems: Sequence[str] = ()
    first_of_subject: bool = False


@dataclass(frozen=True)
class Moved:
    """Keys of a published window that would land on other Kafka partitions now."""

    window: str
    named: frozenset[int]
    now: frozenset[int]


@dataclass(frozen=True)
class IdInUse:
    """A schema id with which windows were published, the newest of them `window`; and what the registry says of it that
    it should not, None where it knows the id as the contract of then."""

    schema_id: int
    window: str
    problem: str | None


@dataclass(frozen=True)
class Record:
    """What the ledger says of a window that was published; `remade`: what says that the topic is not the one of then."""

    window: str
    remade: str | None


@dataclass(frozen=True)
class History:
    """What the ledger and the snapshots say of windows published before; empty where there are none.

    `bytes_per_window` is what was sent, before compression. `stored` is how many of the windows asked about have
    snapshots. `snapshot_bytes` is the room of a window's sourced and transformed snapshot, in the mean: a file that they
    share counts once, unless `at_most`: another version of the module made them, and whether the present one's share it
    is not known. Of the largest window it is `largest_snapshot_bytes`, as it is stored, and `largest_apart_bytes` with
    each snapshot counted for itself. `records` are of windows asked about, `around` of others; `refused` says which ledger
    records of either cannot be read, or are about another place than this. `lost`: windows, of those asked about, that were
    published and read back before, as the snapshot store notes, and that the ledger has no record of; then `ends` is where
    the topic's Kafka partitions end. `ids` are schema ids in use.
    `unread`: files of the snapshot store that could not be read, so that what they say is missing from the rest.
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
    """Free bytes; None where a place cannot be asked. `shared`: both are one file system."""

    snapshots: str
    snapshots_free: int | None
    temporary: str
    temporary_free: int | None
    shared: bool = False


@dataclass(frozen=True)
class Facts:
    """Everything the rules look at. An error stands where something could not be asked.

    `publishing`: a run is about to publish, so what it cannot do by itself is wrong now, not later. `replays_whole`: it
    publishes the windows again, whatever of them is on the topic.
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
        """The cluster; only for rules that are asked when it answered."""
        assert isinstance(self.cluster, ClusterState)
        return self.cluster

    @property
    def target_has_records(self) -> bool:
        """Whether anybody has ever published to the topic."""
        return any(self.history.ends)

    @property
    def target(self) -> TopicState:
        """The event's topic; one that publishing would create is as it would be made."""
        return self.kafka.topics[self.topic]

    @property
    def ledger(self) -> TopicState:
        """The ledger's topic."""
        return self.kafka.topics[self.settings.ledger_topic]

    @property
    def carries_state(self) -> bool:
        """As the event's."""
        return self.event.carries_state
