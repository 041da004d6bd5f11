"""Which windows are read: the first with rows, and the newest,
because changes of the tables are visible there."""

from typing import Any

import pytest

from tests.pipelines.event_check.conftest import FIELDS, TABLE, Made, failed, level

_DAY = "TIMESTAMPTZ '2024-01-02 00:00:00+00' + to_minutes(i * 10)"
# 144 rows a day from the second of January on; the last few rows of the last day are different.
_FULL = f"""
    CREATE TABLE things AS SELECT printf('k%04d', i) AS id, i AS n, {_DAY} AS happened_at,
        CASE WHEN i >= {{last}} THEN 'NEW' ELSE 'OLD' END AS kind,
        CASE WHEN i >= {{last}} THEN NULL ELSE i END AS maybe FROM range({{last}} + 5) AS t(i)
"""
_FEW = _FULL.replace("to_minutes(i * 10)", "to_hours(i * 4)")
_ENUM = {"type": "enum", "name": "Kind", "symbols": ["OLD"]}

LATER: dict[str, tuple[dict[str, Any], str]] = {
    "a symbol that is new": ({"columns": "id, happened_at, n, kind", "fields": {**FIELDS, "kind": _ENUM}}, "unknown_symbol 5"),
    "nulls that are new": ({"columns": "id, happened_at, n, maybe", "fields": {**FIELDS, "maybe": "long"}}, "null 5"),
    "a cast that fails of late": (
        {"columns": "id, happened_at, CASE WHEN kind = 'NEW' THEN kind ELSE '1' END::BIGINT AS n"}, "Could not convert",
    ),
    "a transform that raises of late": (
        {"columns": "id, happened_at, n, kind", "body":
            "if (rows['kind'] == 'NEW').any():\n    raise ValueError('new')\nreturn rows.drop(columns='kind')"},
        "ValueError: new",
    ),
}  # fmt: skip


@pytest.mark.parametrize("table", [_FULL.replace("{last}", "1100"), _FEW.replace("{last}", "43")])
@pytest.mark.parametrize("windows", ["10", "31"], ids=["the last has rows", "the last is empty"])
@pytest.mark.parametrize("name", LATER)
def test_what_only_the_newest_rows_show_is_found(made: Made, name: str, table: str, windows: str) -> None:
    arguments, words = LATER[name]
    world = made(**arguments, table=table, windows=f'daily("2024-01-01", "2024-01-{windows}")')
    assert words in failed(world.check(), "rows"), world.check()


def test_both_windows_are_named(made: Made) -> None:
    findings = made(table=_FULL.replace("{last}", "1100")).check()
    assert level(findings, "rows") == {"ok"}
    told = [one.told for one in findings if one.subject == "rows"]
    # The first window has no rows.
    assert told == [
        "all 144 rows of window 2024-01-05 fit the contract",
        "all 97 rows of window 2024-01-09 fit the contract",
    ]
    starts = made(table=_FULL.replace("{last}", "1100"), windows='daily("2024-01-02", "2024-01-10")').check()
    assert [one.told for one in starts if one.subject == "rows"] == [
        "all 144 rows of window 2024-01-02 fit the contract",
        "all 97 rows of window 2024-01-09 fit the contract",
    ]


def test_each_finding_about_rows_has_its_window(made: Made) -> None:
    findings = made(table=_FULL.replace("{last}", "1100")).check()
    about = [(one.subject, one.window) for one in findings if one.window]
    assert about == [("rows", "2024-01-05"), ("repeatable", "2024-01-05"), ("rows", "2024-01-09")]
    assert findings[0].as_dict()["window"] is None


def test_a_window_is_looked_at_once(made: Made) -> None:
    findings = made(table=TABLE).check()
    assert [one.told for one in findings if one.subject == "rows"] == [
        "all 40 rows of window 2024-01-02 fit the contract"
    ]


def test_a_window_that_is_named_is_the_only_one(made: Made) -> None:
    findings = made(table=_FULL.replace("{last}", "1100")).check("2024-01-03")
    assert [one.told for one in findings if one.subject == "rows"] == [
        "all 144 rows of window 2024-01-03 fit the contract"
    ]
