"""A file that is not a plan file is refused in words, whatever it contains."""

from pathlib import Path

import pytest

from pipelines.dry_run.plan import PlanUnreadable, read_plan


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "the text ends there"),
        (b'{"a": 1,}', "line 1, column 9 is not JSON, there is a ',' before '}'"),
        (b"[]", "a JSON object with 'sluice_plan' is expected"),
        (b"7", "a JSON object with 'sluice_plan' is expected"),
        (b"{}", "it has no entry 'sluice_plan'"),
        (b'{"sluice_plan": 0}', "written by another version"),
        (b"9" * 5000, "more than 4,300 digits"),
        (b"[" * 50_000, "nested too deep"),
        (b"\xff", "is no plan that this version understands"),
        (b'{"\\ud800": 1}', "it has no entry 'sluice_plan'"),
    ],
)
def test_what_is_no_plan_is_said(tmp_path: Path, data: bytes, told: str) -> None:
    file = tmp_path / "plan.json"
    file.write_bytes(data)
    with pytest.raises(PlanUnreadable) as caught:
        read_plan(str(file))
    assert told in str(caught.value)
    assert "sluice plan EVENT WINDOWS --out FILE makes one" in str(caught.value)
