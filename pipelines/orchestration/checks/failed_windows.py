"""Windows that a run leaves blocked or failed: reported on the page of the published asset, and noted for
every command.

Without this, the page shows only what was published before, and nothing of the run that did not publish.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import dagster as dg

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.ledger.unfinished_windows import Unfinished, note, unfinished
from pipelines.orchestration.checks.reconciled import NotReconciled
from pipelines.orchestration.keys import RECONCILED, asset_key
from pipelines.publishing.next_generation.validated_snapshot import NotValidated
from pipelines.stages.transform import Blocked
from resources.errors import SluiceError, readable
from resources.platform import Platform

# If a run started none of its windows, at most this many are noted, one by one.
MOST_NOTED = 100


class UnfinishedWindows:
    """The unfinished windows of one run.
    `publishes`: the run has selected the published asset, for the event's own topic."""

    def __init__(self, event: Event, platform: Platform, run_id: str, *, publishes: bool) -> None:
        self._event, self._store, self._run_id = event, platform.snapshots, run_id
        self._publishes = publishes
        self._known: dict[str, Unfinished] = {}
        self._first: tuple[Window, str] | None = None

    def begin(self) -> None:
        """Read once what earlier runs noted. After that, a window without a note costs nothing."""
        with suppress(SluiceError):
            self._known = {one.window: one for one in unfinished(self._store, [self._event.full_name])}

    def ended(self, window: Window, error: Exception, told: str) -> Iterator[object]:
        """The window ended with `error`; `told` is the run's text about it. Yields what Dagster records."""
        done = getattr(error, "transformed", None)
        blocked = isinstance(error, Blocked | NotValidated)
        if not blocked and not self._publishes:
            return
        one = Unfinished(
            self._event.full_name,
            window.key,
            "blocked" if blocked else "failed",
            done.verdict if done is not None else self._reason(error, told),
            self._run_id,
            datetime.now(UTC).isoformat(timespec="seconds"),
            rows_in=done.rows_in if done is not None else None,
            dead=done.dead if done is not None else None,
            advice=error.next_step if isinstance(error, SluiceError) else None,
            relaunch=error.relaunch if isinstance(error, SluiceError) else None,
        )
        # A fault of the store is reported where the store is needed.
        # Here the fault of the window itself counts.
        with suppress(SluiceError):
            note(self._store, one)
        if not self._publishes:
            return
        metadata: dict[str, str | int] = {
            "action": one.state,
            "because": one.reason,
            "next_step": one.next_step,
            **({"rows_read": one.rows_in} if one.rows_in is not None else {}),
            **({"rows_dead": one.dead} if one.dead is not None else {}),
        }
        published = asset_key(self._event, "published")
        yield dg.AssetObservation(published, partition=window.key, metadata=metadata, description=str(one))
        self._first = self._first or (window, str(one))
        if not isinstance(error, NotReconciled):  # otherwise the check has its evaluation already
            yield self._check(window, passed=False, told=str(one))

    def at_end(self) -> Iterator[object]:
        """Evaluate the check of the first unfinished window once more, after those of the good windows: the
        asset's page shows only the newest evaluation."""
        if self._first is not None:
            window, told = self._first
            yield self._check(window, passed=False, told=told)

    def _reason(self, error: Exception, told: str) -> str:
        """What is wrong, and where, unless that is only the event itself."""
        if not isinstance(error, SluiceError):
            return readable(told)
        return error.problem if self._event.full_name in error.where else f"{error.where}: {error.problem}"

    def done(self, window: Window, *, checked: bool) -> Iterator[object]:
        """The window is as it should be. `checked`: the run has evaluated the check of its topic."""
        before = self._known.get(window.key)
        if before is None or not (self._publishes or before.state == "blocked"):
            return
        with suppress(SluiceError):  # the next run of the window tries again
            self._store.set_finished(self._event.full_name, window.key)
        if self._publishes and not checked:
            yield self._check(window, passed=True, told=f"complete; before, it was {before.told}")

    def noted(self) -> list[str]:
        """Windows that an earlier run left unfinished; at most the last hundred."""
        return sorted(self._known)[-MOST_NOTED:]

    def again(self, window: str) -> dg.AssetCheckEvaluation | None:
        """The check of a window that an earlier run left unfinished: it fails again.
        None if there is no such note."""
        one = self._known.get(window)
        return None if one is None else self._check(window, passed=False, told=str(one))

    def _check(self, window: Window | str, *, passed: bool, told: str) -> dg.AssetCheckEvaluation:
        return dg.AssetCheckEvaluation(
            asset_key=asset_key(self._event, "published"),
            check_name=RECONCILED,
            passed=passed,
            partition=str(window),
            severity=dg.AssetCheckSeverity.ERROR,
            description=told,
        )
