"""Queries the warehouse again for rows that it has just streamed,
for the independent judge, in bounded time."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any, TypeVar

from pipelines.independent_judge.budget import Budget
from pipelines.independent_judge.errors import NotJudged
from pipelines.independent_judge.source_rows import Places, Row, SourceJudge
from resources.platform import Platform
from resources.warehouse import TookTooLong, Warehouse, WarehouseError, beside_parameters

T = TypeVar("T")

# Queries up to this time run for every window: chosen rows usually take two or three milliseconds.
_FREE_SECONDS = 0.02


class Asking:
    """Queries the warehouse for the rows of one window that was just streamed, in bounded time."""

    def __init__(
        self,
        warehouse: Warehouse,
        sql: str,
        parameters: Mapping[str, datetime],
        reading_seconds: float,
        platform: Platform,
    ) -> None:
        self._warehouse, self._sql, self._parameters = warehouse, sql, parameters
        self._reading_seconds, self._budgets = reading_seconds, platform.judging

    def judged(self, judge: SourceJudge) -> dict[str, Any]:
        """The result of the independent judge, as facts of the snapshot: how many rows were judged, whether
        their extremes were judged, or why nothing was judged, and the columns for which the query gives
        another answer each time. Raises Misjudged."""
        facts: dict[str, Any] = {"judged": 0}
        rows = self._bounded("rows", _FREE_SECONDS, lambda: judge.judge(self._rows, self._rows_in_full))
        if isinstance(rows, str):
            return {**facts, "not_judged": rows}
        whole = self._bounded(
            "whole", 0.0, lambda: judge.judge_whole(rows.unsteady, self._whole, self._rows_in_full)
        )
        unsteady = rows.unsteady if isinstance(whole, str) else whole
        facts = {"judged": rows.rows, "extremes_judged": not isinstance(whole, str)}
        return {**facts, "unsteady": list(unsteady)} if unsteady else facts

    def _bounded(self, what: str, free_seconds: float, step: Callable[[], T]) -> T | str:
        """The result of the step, or why it was not completed."""
        budget = self._budgets.setdefault(f"{what} of {self._sql}", Budget(free_seconds))
        seconds = budget.seconds(self._reading_seconds)
        if seconds is None:
            return "asking for its rows again takes too long to do it for each window"
        started = time.monotonic()
        self._seconds = seconds
        try:
            found = step()
        except TookTooLong:
            budget.spent(time.monotonic() - started, in_vain=True)
            return f"asking for its rows again takes more than {seconds:.1f} s"
        except NotJudged as why:
            return str(why)
        except WarehouseError as error:  # the rows themselves were read
            return f"the warehouse refused to be asked for its rows again: {error.problem}"
        budget.spent(time.monotonic() - started)
        return found

    def _rows(self, places: Places, most_rows: int) -> list[Row]:
        with self._warehouse.within(self._seconds):
            return self._warehouse.plain_rows(self._sql, self._parameters, places, most_rows=most_rows)

    def _rows_in_full(self, places: Places, most_rows: int) -> list[Row]:
        return self._warehouse.plain_rows(
            self._sql, self._parameters, places, most_rows=most_rows, in_full=True
        )

    def _whole(self, expressions: Sequence[str], in_full: bool) -> Row:
        shown = ", ".join(f"{expression} AS a{n}" for n, expression in enumerate(expressions))
        if self._parameters:
            shown = beside_parameters(shown, self._warehouse.parameter_style)
        sql = f"SELECT {shown} FROM (\n{self._sql}\n) AS source"
        with nullcontext() if in_full else self._warehouse.within(self._seconds):
            return self._warehouse.plain_rows(sql, self._parameters, {}, most_rows=1, in_full=in_full)[0]
