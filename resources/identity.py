"""Where this process writes: ids of what it is connected to, to be compared with those that the ledger names."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """The Kafka cluster's id, the snapshot store's, and the code location, which is part of every transactional id.
    None: not known, and then nothing is compared."""

    cluster_id: str | None
    store_id: str | None
    code_location: str | None
