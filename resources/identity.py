"""Where this process writes, and for whom: ids of what it is connected to, to be compared with those that the ledger
names; and the person or service at work."""

import getpass
import socket
from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """The Kafka cluster's id, the snapshot store's, and the code location, which is part of every transactional id.
    None: not known, and then nothing is compared."""

    cluster_id: str | None
    store_id: str | None
    code_location: str | None


def this_user() -> str:
    """The person or service at work here, for the ledger and the journal: `user@host`."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a container's user may have no name
        return socket.gethostname()
