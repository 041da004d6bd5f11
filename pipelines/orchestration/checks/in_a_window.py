"""The check `in_a_window`: counts rows of the warehouse that no window takes,
so that nobody gets an event of them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from pipelines.authoring.event import Event
from pipelines.orchestration.keys import IN_A_WINDOW, asset_key
from pipelines.run_events import Tell, Warned
from pipelines.stages.unwindowed_rows import Unwindowed, count_unwindowed
from resources.errors import SluiceError
from resources.platform import Platform

# The check queries the whole table: a schedule that ticks every hour must not do this every hour.
_AGAIN_AFTER = timedelta(hours=20)
_NOTE = "in-a-window"


class InAWindowCheck:
    """Evaluates the check once in a run, and at most about once a day for one definition of the event. `tell`
    gets a warning about rows that cannot be right."""

    def __init__(self, event: Event, platform: Platform, *, tell: Tell) -> None:
        self._event, self._platform, self._tell = event, platform, tell

    def evaluations(self, *, again: bool = False) -> Iterator[dg.AssetCheckEvaluation]:
        """The evaluation; none if the check ran recently, unless `again`. It never fails a run: what it
        cannot find out is unknown."""
        now = datetime.now(UTC)
        try:
            if not again and self._asked_lately(now):
                return
            found = count_unwindowed(self._event, self._platform.warehouse(self._event.warehouse), now=now)
        except SluiceError as error:
            found = Unwindowed(self._event.source.tables, unknown=str(error))
        else:
            self._note(now)
        if found.suspicious:
            self._tell(Warned(text=f"{self._event.full_name}: {found}"))
        yield dg.AssetCheckEvaluation(
            asset_key=asset_key(self._event, "sourced"),
            check_name=IN_A_WINDOW,
            passed=not found.suspicious,
            severity=dg.AssetCheckSeverity.WARN,
            description=found.sentence,
            metadata=_figures(found),
        )

    def _note(self, now: datetime) -> None:
        note = {"asked_at": now.isoformat(), **self._definition()}
        try:
            self._platform.snapshots.set_note(self._event.full_name, _NOTE, note)
        except SluiceError as error:
            self._tell(
                Warned(
                    text=f"{self._event.full_name}: its rows will be counted again by the next run: {error}"
                )
            )

    def _definition(self) -> dict[str, str]:
        return {"code_version": self._event.code_version, "windows": str(self._event.windows)}

    def _asked_lately(self, now: datetime) -> bool:
        try:
            note = self._platform.snapshots.note(self._event.full_name, _NOTE) or {}
        except SluiceError as error:
            self._tell(
                Warned(text=f"{self._event.full_name}: when its rows were last counted is unknown: {error}")
            )
            return False
        try:
            asked_at = datetime.fromisoformat(str(note.get("asked_at")))
            lately = timedelta(0) <= now - asked_at < _AGAIN_AFTER
        except (ValueError, TypeError):  # a note of another version
            return False
        return lately and all(note.get(name) == value for name, value in self._definition().items())


def _figures(found: Unwindowed) -> dict[str, Any]:
    if found.unknown is not None:
        return {"unknown": found.unknown}
    return {
        "rows": found.rows,
        "rows_in_no_window": found.count,
        "rows_without_a_time": found.no_time,
        "rows_before": found.before,
        "rows_after": found.after,
        "rows_left_out_by_another_condition": found.apart,
        "rows_more_than_a_year_ahead": found.ahead,
        "other_conditions_not_counted": found.further,
        "stand_ins": dg.MetadataValue.json(dict(found.stand_ins)),
    }
