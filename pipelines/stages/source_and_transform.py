"""Steps 1 and 2 in one pass: rows are transformed while they are stored, so they need not be read back."""

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import TypeVar

import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.stages.source import source_window
from pipelines.stages.transform import Transformed, TransformPass, make_current, transform_window
from resources.platform import Platform
from resources.process.interruption import interruption
from resources.process.memory import give_back
from resources.snapshots import Snapshot, read_as_written

T = TypeVar("T")


def source_and_transform(
    event: Event,
    window: Window,
    platform: Platform,
    *,
    run_id: str,
    read: Callable[[int], None] = lambda _: None,
) -> tuple[Snapshot, Callable[[], Transformed]]:
    """Returns what `source_window` returns, and a function that does what `transform_window` does: it makes
    the transformed snapshot current, or raises the error of the transform.

    Both snapshots are byte for byte those of the two steps one after the other. `read` is that of
    `source_window`. Raises as `source_window` does; then nothing of the window is current.
    """
    with closing(_Transforming(event, window, platform, run_id)) as beside:
        source = source_window(event, window, platform, run_id=run_id, beside=beside, read=read)
        outcome = beside.outcome(source)
    give_back(source.rows)
    return source, outcome


class _Transforming:
    """Runs the transform beside the sourcing. An error of the transform is kept until the rows are stored:
    the rows are valid, and a fixed module can use them without a second query."""

    def __init__(self, event: Event, window: Window, platform: Platform, run_id: str) -> None:
        self._event, self._window, self._platform, self._run_id = event, window, platform, run_id
        self._trying: TransformPass | None = None
        self._error: Exception | None = None

    def begin(self, schema: pa.Schema) -> None:
        """See Beside."""
        self.close()
        self._error = None
        # Otherwise the transform would see other types than it sees when the snapshot is read.
        if read_as_written(schema):
            self._trying = self._kept(
                lambda: TransformPass(self._event, self._window, self._platform, schema, run_id=self._run_id)
            )

    def take(self, batch: pa.RecordBatch, chosen: Sequence[int] | None) -> None:
        """See Beside."""
        if self._trying is not None and self._error is None:
            self._kept(partial(self._trying.take, batch, chosen))

    def outcome(self, source: Snapshot) -> Callable[[], Transformed]:
        """A function that makes the result of the transform for `source` current and
        returns it, or raises its error."""
        event, window, platform = self._event, self._window, self._platform
        trying = self._trying
        done = (
            self._kept(lambda: trying.finish(source)) if trying is not None and self._error is None else None
        )
        if done is None and self._error is None:
            return partial(transform_window, event, window, platform, run_id=self._run_id)
        error = self._error

        def current() -> Transformed:
            if done is None:
                assert error is not None
                raise error
            make_current(event, window, platform, done)
            return done

        return current

    def close(self) -> None:
        """Drop what is not finished."""
        if self._trying is not None:
            self._trying.close()
            self._trying = None

    def _kept(self, step: Callable[[], T]) -> T | None:
        try:
            return step()
        except Exception as error:
            if interruption(error):
                raise
            self._error = error
            return None
