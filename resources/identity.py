"""What this process writes to, and for whom: ids of what it is connected to, for comparison with the ids in
the ledger; and the person or service that runs it."""

import getpass
import socket
from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """The ids of the Kafka cluster and the snapshot store, and the code location, which is part of every
    transactional id. None: not known; then it is not compared."""

    cluster_id: str | None
    store_id: str | None
    code_location: str | None


def this_user() -> str:
    """The person or service that runs this process, for the ledger and the journal: `user@host`."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # in a container, the user may have no name
        return socket.gethostname()
