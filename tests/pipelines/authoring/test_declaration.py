"""`@event` alone: in a unit test of a transform, there is no catalogue that gathers mistakes."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from pipelines import DeclarationError, EventDeclaration, daily, event


def declare(**changes: object) -> EventDeclaration:
    arguments: dict[str, object] = {
        "topic": "flights.flight-departed.v1",
        "key": "flight_id",
        "event_time": "departed_at",
        "windows": daily("2013-01-01"),
        "owner": "team:operations",
        "source": "SELECT 1",
    }

    @event(**{**arguments, **changes})  # type: ignore[arg-type]
    def flight_departed(rows: pd.DataFrame) -> pd.DataFrame:
        """Doubles."""
        return rows * 2

    return flight_departed


def test_a_declared_function_can_be_called() -> None:
    declared = declare()
    assert declared(pd.DataFrame({"a": [1]}))["a"].tolist() == [2]
    assert (declared.__name__, declared.__doc__) == ("flight_departed", "Doubles.")  # type: ignore[attr-defined]
    assert "flight_departed" in repr(declared)


def test_its_mistakes_are_raised_together() -> None:
    with pytest.raises(DeclarationError) as caught:
        declare(topic="x", owner="me")
    assert [problem.problem for problem in caught.value.problems] == [
        "topic='x' does not end in its version",
        "owner='me' is neither a team nor a person",
    ]
    assert all(problem.file == __file__ and problem.line for problem in caught.value.problems)
    assert str(caught.value).count("\n\n") == 1


def test_wrong_windows_are_raised_at_the_line_that_makes_them() -> None:
    with pytest.raises(DeclarationError) as caught:
        daily("2013-1-32")
    line = sys._getframe().f_lineno - 1
    assert caught.value.where == f"{__file__}:{line}"


def test_importing_the_authoring_names_stays_cheap() -> None:
    root = Path(__file__).parents[3]
    heavy = {"dagster", "duckdb", "confluent_kafka", "sqlglot", "pandas", "pyarrow", "numpy", "fastavro"}
    code = f"import sys, pipelines; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
