"""The kinds of journal records, each with its details as typed fields."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields

from pipelines.ledger import record_validation as record

_MOST_NAMES = 1_000


@dataclass(frozen=True)
class Checked:
    """`sluice check` passed, with Kafka and the registry, for the first time with this version of the
    code."""

    code_version: str
    contract: str

    def __str__(self) -> str:
        return f"code version {self.code_version[:12]}"


@dataclass(frozen=True)
class Registered:
    """The event's contract got its schema id. `during`: the command, `register` or `publish`."""

    subject: str
    schema_id: int
    contract: str
    during: str

    def __str__(self) -> str:
        return f"{self.subject} has schema id {self.schema_id:,} (sluice {self.during})"


@dataclass(frozen=True)
class Promoted:
    """The event was promoted from one environment to another, at the version `commit`."""

    source: str
    target: str
    commit: str
    code_version: str
    contract: str

    def __str__(self) -> str:
        return f"from {self.source} to {self.target}, commit {self.commit[:12]}"


@dataclass(frozen=True)
class Accepted:
    """A person accepted something new in place of something known: `what` is a topic, a cluster, a store, a
    location, or a changed definition. The decision covers `windows` windows of the event, from `first_window`
    to `last_window`."""

    what: str
    was: tuple[str, ...]
    now: tuple[str, ...]
    windows: int
    first_window: str | None = None
    last_window: str | None = None

    def __str__(self) -> str:
        return f"{self.what} {_listed(self.now)} in the place of {_listed(self.was)}"


@dataclass(frozen=True)
class Waived:
    """A person exempted the event from a rule of the policy, until `expires` (a date)."""

    rule: str
    expires: str | None = None

    def __str__(self) -> str:
        return f"rule {self.rule}" + (f" until {self.expires}" if self.expires else "")


@dataclass(frozen=True)
class Revealed:
    """A person displayed masked fields with `command`. Has the names of the fields, never their values."""

    command: str
    fields: tuple[str, ...]

    def __str__(self) -> str:
        return f"{_listed(self.fields)} by sluice {self.command}"


@dataclass(frozen=True)
class Retired:
    """A step of the event's retirement was done: of its schedule, topic, subject or ledger."""

    step: str

    def __str__(self) -> str:
        return self.step


@dataclass(frozen=True)
class FirstConsumption:
    """A declared consumer's group had a committed offset
    after the event's first record in one Kafka partition.

    `committed` is that offset, `first` the first record's offset. `topic_id` says which topic with this name
    it was; None if the brokers give no ids. `generation` is the earliest generation that the ledger knew
    then. The time of the record is when this was seen, which is after it happened.
    """

    service: str
    group: str
    kafka_partition: int
    committed: int
    first: int
    topic_id: str | None
    generation: str

    def __str__(self) -> str:
        return (
            f"by {self.service}, seen at this time: group {self.group} has committed offset {self.committed:,} of partition "
            f"{self.kafka_partition}, whose first event has offset {self.first:,}"
        )


Details = Checked | Registered | Promoted | Accepted | Waived | Revealed | Retired | FirstConsumption


@dataclass(frozen=True)
class Kind:
    """A kind's name, the type of its details, a rule for each of their fields, and the fields that make two
    records the same happening. `decision`: a person decided it, at an instant and with a reason, which are
    then also part of the identity."""

    name: str
    details: type[Details]
    rules: Mapping[str, record.Rule]
    identity: tuple[str, ...] = ()
    decision: bool = False
    required: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = tuple(one.name for one in fields(self.details) if one.default is MISSING)
        object.__setattr__(self, "required", names)


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > _MOST_NAMES:
        raise ValueError(f"is not a list of at most {_MOST_NAMES:,} names")
    return tuple(map(record.SHORT, value))


_HEX = record.matching("[0-9a-f]{8,64}", "a hash in hex")
_OFFSET = record.whole(0, 2**63 - 1)
_DATE = record.matching(r"\d{4}-\d\d-\d\d", "a date such as 2024-12-31")

_ALL = (
    Kind(
        "checked",
        Checked,
        {"code_version": _HEX, "contract": _HEX},
        identity=("code_version",),
    ),
    Kind(
        "registered",
        Registered,
        {
            "subject": record.SHORT,
            "schema_id": record.whole(0, 2**31 - 1),
            "contract": _HEX,
            "during": record.SHORT,
        },
        identity=("subject", "schema_id", "contract"),
    ),
    Kind(
        "promoted",
        Promoted,
        {
            **dict.fromkeys(("source", "target", "commit"), record.SHORT),
            **dict.fromkeys(("code_version", "contract"), _HEX),
        },
        identity=("source", "target", "commit", "code_version", "contract"),
    ),
    Kind(
        "accepted",
        Accepted,
        {
            "what": record.SHORT,
            "was": _names,
            "now": _names,
            "windows": record.whole(0, 2**53),
            **dict.fromkeys(("first_window", "last_window"), record.optional(record.SHORT)),
        },
        identity=("what",),
        decision=True,
    ),
    Kind(
        "waived",
        Waived,
        {"rule": record.SHORT, "expires": record.optional(_DATE)},
        identity=("rule", "expires"),
        decision=True,
    ),
    Kind(
        "revealed",
        Revealed,
        {"command": record.SHORT, "fields": _names},
        identity=("command", "fields"),
        decision=True,
    ),
    Kind("retired", Retired, {"step": record.SHORT}, identity=("step",), decision=True),
    Kind(
        "first_consumption",
        FirstConsumption,
        {
            **dict.fromkeys(("service", "group", "generation"), record.SHORT),
            "kafka_partition": record.whole(0, 1_000_000),
            **dict.fromkeys(("committed", "first"), _OFFSET),
            "topic_id": record.optional(record.SHORT),
        },
        # Without an id, the first generation says which topic with this name it is.
        identity=("service", "topic_id", "generation"),
    ),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}
_BY_DETAILS: Mapping[type, Kind] = {kind.details: kind for kind in _ALL}


def kind_of(details: Details) -> Kind:
    """The kind whose details have this type."""
    return _BY_DETAILS[type(details)]


def identity_of(details: Details) -> dict[str, object]:
    """The fields that make two records of the kind the same happening."""
    found = {name: getattr(details, name) for name in kind_of(details).identity}
    if isinstance(details, FirstConsumption) and details.topic_id:
        del found["generation"]
    return found


def _listed(names: tuple[str, ...], most: int = 3) -> str:
    if not names:
        return "nothing"
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
