"""Why a publication does not go on just now."""

from dataclasses import dataclass

from resources.errors import SluiceError


@dataclass(frozen=True)
class Hold:
    """A reason to wait with no transaction open.

    `cause` sums up the time waited (`operator`, `consumer_lag`, `rate`). `text` is told; "" for waits too short to
    speak of. After `seconds` it is worth looking again.
    """

    cause: str
    text: str
    seconds: float


class Cancelled(SluiceError):
    """An operator has ended the run; what is committed stands, and nothing is half done."""

    def __init__(self, by: str, done: str) -> None:
        self.by = by
        super().__init__(
            f"cancelled by operator {by}",
            f"{done}; what is committed stays",
            next_step="launch the windows again when they shall be published: they go on where this run stopped",
        )
