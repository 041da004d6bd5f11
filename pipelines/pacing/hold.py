"""The reason why a publication waits."""

from dataclasses import dataclass

from pipelines.run_events import Cause
from resources.errors import SluiceError


@dataclass(frozen=True)
class Hold:
    """A reason to wait while no transaction is open.

    `cause`: waited time is summed up by it (`operator`, `consumer_lag`, `rate`, `storage`). `text` is
    reported; "" for waits that are too short to report. `seconds`: check again after this time. For an
    operator's pause, `by` says who paused, and `run_id` which run.
    """

    cause: Cause
    text: str
    seconds: float
    by: str = ""
    run_id: str = ""


class Cancelled(SluiceError):
    """An operator has cancelled the run.
    What is committed stays committed, and no transaction is half done."""

    def __init__(self, by: str, done: str) -> None:
        self.by = by
        super().__init__(
            f"cancelled by operator {by}",
            f"{done}; what is committed stays",
            next_step="launch the windows again when they shall be published: they go on where this run stopped",
        )


class RunEnded(Cancelled):
    """The run is recorded as ended while its process still works: it was considered dead, or its end was
    forced.

    `status`: the recorded status.
    """

    def __init__(self, run_id: str, status: str) -> None:
        self.status = status
        SluiceError.__init__(
            self,
            f"run {run_id[:8]}",
            f"is recorded as ended ({status}) although its process still works: its heartbeat was not seen, or somebody forced "
            "its end; another run may have taken over",
            next_step="look at the newest run of the event; what this run committed stays, and it sends nothing more",
        )
