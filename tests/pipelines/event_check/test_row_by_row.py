"""Transforms whose events depend on the other rows of a frame, on the clock, on chance or on earlier calls."""

from typing import Any

import pytest

from tests.pipelines.event_check.conftest import FIELDS, Made, failed, level

NULLABLE: dict[str, Any] = {**FIELDS, "maybe": ["null", "long"]}

# name: (transform, the column that is named, further arguments of `made`)
DEPENDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "mean of the frame": ('return rows.assign(n=(rows["n"] - rows["n"].mean()).round().astype(int))', "n", {}),
    "rank": ('return rows.assign(n=rows["n"].rank().astype(int))', "n", {}),
    "rank in groups": (
        'return rows.assign(n=rows.groupby("g")["n"].rank().astype(int)).drop(columns="g")', "n",
        {"columns": "id, happened_at, n, g"},
    ),
    "running sum": ('return rows.assign(n=rows["n"].cumsum())', "n", {}),
    "row before": ('return rows.assign(n=rows["n"].shift(fill_value=0))', "n", {}),
    "difference": ('return rows.assign(n=rows["n"].diff().fillna(0))', "n", {}),
    "number of rows": ('return rows.assign(n=len(rows))', "n", {}),
    "place in the frame": ('return rows.assign(n=range(len(rows)))', "n", {}),
    "share of the sum": (
        'return rows.assign(n=(rows["n"] * 1000 // rows["n"].sum()).fillna(0).astype(int))', "n", {},
    ),
    "extreme": ('return rows.assign(n=rows["n"].max())', "n", {}),
    "first row": ('return rows.assign(n=rows["n"].iloc[0])', "n", {}),
    "filled with the mean": (
        'return rows.assign(maybe=rows["maybe"].fillna(int(rows["maybe"].fillna(0).mean())))', "maybe",
        {"fields": NULLABLE, "columns": "id, happened_at, n, maybe"},
    ),
    "filled from the row before": (
        'return rows.assign(maybe=rows["maybe"].ffill())', "maybe",
        {"fields": NULLABLE, "columns": "id, happened_at, n, maybe"},
    ),
    "duplicates of a frame": (
        'return rows.drop_duplicates("n")', "the number of events", {"columns": "id, happened_at, g AS n"},
    ),
    "neighbouring duplicates": (
        'return rows.drop_duplicates("n")', "the number of events", {"columns": "id, happened_at, n // 2 AS n"},
    ),
    "the latest of each": (
        'return rows.groupby("n").tail(1)', "the number of events", {"columns": "id, happened_at, g AS n"},
    ),
    "quantile": ('return rows[rows["n"] <= rows["n"].quantile(0.9)]', "the number of events", {}),
    "a type that depends on the frame": (
        'known = rows["maybe"].notna()\nif known.all():\n    return rows\n'
        'return rows.assign(maybe=[None if missing else float(n) + 0.5 for n, missing in zip(rows["n"], ~known)])',
        "maybe", {"fields": {**FIELDS, "maybe": ["null", "double"]}, "columns": "id, happened_at, n, maybe::DOUBLE AS maybe"},
    ),
    "only few rows": ("if len(rows) < 5:\n    raise ValueError('too few')\nreturn rows", "the number of events", {}),
    "rows matched by place": (
        'other = pd.DataFrame({"n": rows["n"].to_numpy(), "twice": rows["n"].to_numpy() * 2})\n'
        'return rows.assign(n=rows.merge(other, on="n")["twice"])',
        "n", {},
    ),
    "a merge that loses the index": (
        'sums = rows.groupby("g", as_index=False)["n"].sum().rename(columns={"n": "s"})\n'
        'return rows.merge(sums, on="g").assign(n=lambda t: t["s"]).drop(columns=["g", "s"])',
        "n", {"columns": "id, happened_at, n, g"},
    ),
    "chance with a seed": (
        'return rows.assign(n=np.random.default_rng(7).integers(0, 10**9, len(rows)))', "n",
        {"imports": "import numpy as np"},
    ),
}  # fmt: skip

AGAIN: dict[str, tuple[str, str, dict[str, Any]]] = {
    "clock": (
        'return rows.assign(n=datetime.now(UTC).timestamp_ns() if False else time.perf_counter_ns())', "n",
        {"imports": "import time\nfrom datetime import UTC, datetime"},
    ),
    "chance": ('return rows.assign(n=np.random.randint(0, 10**9, len(rows)))', "n", {"imports": "import numpy as np"}),
    "a new uuid": (
        'return rows.assign(id=[str(uuid.uuid4()) for _ in range(len(rows))])', "id", {"imports": "import uuid"},
    ),
    "a counter": (
        'global CALLS\nCALLS += 1\nreturn rows.assign(n=rows["n"] + CALLS)', "n", {"before": "CALLS = 0"},
    ),
    "rows seen before": (
        'new = rows[~rows["id"].isin(SEEN)]\nSEEN.update(rows["id"])\nreturn new', "the number of events",
        {"before": "SEEN = set()"},
    ),
    "a generator of numbers": (
        'return rows.assign(n=[next(NUMBERS) for _ in range(len(rows))])', "n",
        {"imports": "import itertools", "before": "NUMBERS = itertools.count()"},
    ),
    "the order of a set": (
        'return rows.assign(n=[id(object()) % 7 + CHANCE.randint(0, 9**9) for _ in range(len(rows))])', "n",
        {"imports": "import random", "before": "CHANCE = random.Random()"},
    ),
}  # fmt: skip

# What the first call leaves behind: each later call finds it, so the same frame gives the same events again.
REMEMBERS: dict[str, tuple[str, dict[str, Any]]] = {
    "the first value of each group": (
        'return rows.assign(n=[FIRST.setdefault(g, n) for g, n in zip(rows["g"], rows["n"])]).drop(columns="g")',
        {"columns": "id, happened_at, n, g", "before": "FIRST = {}"},
    ),
    "a base of the first frame": (
        'global BASE\nif BASE is None:\n    BASE = rows["n"].iloc[0]\nreturn rows.assign(n=rows["n"] - BASE)',
        {"before": "BASE = None"},
    ),
    "a table that grows": (
        'for one in rows["n"]:\n    if len(TABLE) < 10:\n        TABLE.append(int(one))\nreturn rows.assign(n=max(TABLE))',
        {"before": "TABLE = []"},
    ),
    "a cached function that looks at the frame": (
        'SOURCE[:] = [int(rows["n"].iloc[0])]\nreturn rows.assign(n=[base(int(n) % 2) for n in rows["n"]])',
        {"imports": "import functools", "before": "SOURCE = []\n\n@functools.cache\ndef base(n):\n    return SOURCE[0]"},
    ),
    "chance when it is imported": (
        'return rows.assign(n=SALT)', {"imports": "import random", "before": "SALT = random.randint(0, 10**12)"},
    ),
}  # fmt: skip

GOOD: dict[str, tuple[str, dict[str, Any]]] = {
    "arithmetic": ('return rows.assign(n=rows["n"] * 2)', {}),
    "in place": ('rows["n"] = rows["n"] * 2\nreturn rows', {}),
    "in place, by location": ('rows.loc[rows["n"] > 3, "n"] = 3\nreturn rows', {}),
    "nulls filled with a constant": (
        'return rows.assign(maybe=rows["maybe"].fillna(0))', {"fields": NULLABLE, "columns": "id, happened_at, n, maybe"},
    ),
    "a sort that keeps the index": ('return rows.sort_values("n", ascending=False)', {}),
    "python for each row": ('return rows.assign(n=[int(n) + 1 for n in rows["n"]])', {}),
    "several events of a row": ('return pd.concat([rows, rows.assign(n=rows["n"] + 1)])', {}),
    "NaN": (
        'return rows.assign(x=rows["n"] * 0.1)', {"fields": {**FIELDS, "x": "double"}},
    ),
    "a cache of what rows alone decide": (
        'return rows.assign(n=[twice(int(n)) for n in rows["n"]])',
        {"imports": "import functools", "before": "@functools.cache\ndef twice(n):\n    return 2 * n"},
    ),
    "calls that are counted": (
        'global CALLS\nCALLS += 1\nreturn rows.assign(n=rows["n"] + 1)', {"before": "CALLS = 0"},
    ),
    "a look-up": ('return rows.assign(n=rows["n"].map({k: k % 3 for k in range(40)}))', {}),
}  # fmt: skip


@pytest.mark.parametrize("name", DEPENDS)
def test_what_depends_on_the_frame_is_named_by_column_and_row(made: Made, name: str) -> None:
    body, column, more = DEPENDS[name]
    findings = made(body, **more).check()
    told = failed(findings, "row by row")
    place = "" if name == "a merge that loses the index" else "source row "
    shown = column if column.startswith("the number") else f"column {column!r}"
    assert f"{shown} of {place or 'event '}" in told, findings
    (step,) = {one.next_step for one in findings if one.subject == "row by row" and not one.ok}
    assert step and "SQL" in step and "whole_window=True" in step


@pytest.mark.parametrize("name", AGAIN)
def test_what_changes_with_every_call_is_named_by_its_column(made: Made, name: str) -> None:
    body, column, more = AGAIN[name]
    findings = made(body, **more).check()
    told = failed(findings, "row by row")
    shown = column if column.startswith("the number") else f"column {column!r}"
    assert f"{shown} of source row" in told and "called again" in told, findings


@pytest.mark.parametrize("name", AGAIN)
def test_a_whole_window_is_called_twice_too(made: Made, name: str) -> None:
    body, _, more = AGAIN[name]
    assert "called again" in failed(made(body, **more | {"more": "whole_window=True,"}).check(), "row by row")


@pytest.mark.parametrize(
    "name", sorted(set(DEPENDS) - {"only few rows", "a merge that loses the index", "quantile"})
)
def test_a_whole_window_may_depend_on_its_frame(made: Made, name: str) -> None:
    body, _, more = DEPENDS[name]
    findings = made(body, **more | {"more": "whole_window=True,"}).check()
    assert level(findings, "row by row") == {"ok"}, findings


@pytest.mark.parametrize("more", ["", "whole_window=True,"])
@pytest.mark.parametrize("name", REMEMBERS)
def test_what_the_first_call_leaves_behind_is_named_by_its_column(made: Made, name: str, more: str) -> None:
    body, arguments = REMEMBERS[name]
    findings = made(body, **arguments | {"more": more}).check()
    told = failed(findings, "row by row")
    assert "column 'n' of source row 0 has another value" in told, findings
    assert "fresh copy of the module" in told or not more


@pytest.mark.parametrize("more", ["", "whole_window=True,"])
def test_the_number_of_a_row_in_its_window_is_no_value(made: Made, more: str) -> None:
    told = failed(made("return rows.assign(n=rows.index)", more=more).check(), "row by row")
    # The rows of a whole window may be numbered.
    assert bool(more) != ("column 'n' of source row 0" in told and "another place in their window" in told)


@pytest.mark.parametrize("name", GOOD)
def test_what_is_row_by_row_passes(made: Made, name: str) -> None:
    body, more = GOOD[name]
    findings = made(body, **more).check()
    assert [one for one in findings if one.level != "ok"] == []
    assert "40 rows give the same events as one frame, twice, as halves, and alone (32 of them)" in str(
        findings
    )


def test_no_value_is_shown_of_what_differs(made: Made) -> None:
    told = made('return rows.assign(id=rows["id"].iloc[0] + "-secret")').check()
    assert "k000" not in str([one for one in told if one.subject == "row by row"])
    assert "secret" not in str(told)


def test_a_lost_index_is_a_warning(made: Made) -> None:
    findings = made('return rows.merge(pd.DataFrame({"n": range(40)}), on="n")').check()
    assert level(findings, "row by row") == {"ok", "warning"}
    assert any("loses the index" in one.told for one in findings)


def test_one_row_is_little_and_no_fault(made: Made) -> None:
    table = (
        "CREATE TABLE things AS SELECT 'a' AS id, TIMESTAMPTZ '2024-01-02 00:00:00+00' AS happened_at, 1 AS n"
    )
    findings = made('return rows.assign(n=rows["n"] + 1)', table=table).check()
    assert all(one.level == "ok" for one in findings), findings


def test_halves_show_what_single_rows_do_not(made: Made) -> None:
    body = 'return rows.assign(n=rows["n"] + (1 if len(rows) == 20 else 0))'
    told = failed(made(body).check(), "row by row")
    assert (
        "column 'n' of source row 0 has another value when the transform gets halves of the same 40 rows"
        in told
    )
