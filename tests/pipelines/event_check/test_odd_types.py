"""A column whose type cannot be read exactly: `check` refuses it in the words of a run."""

import pyarrow as pa
import pytest

from pipelines.cli.actions.preview import preview
from pipelines.event_check.plain_row import plain_row
from resources.errors import SluiceError
from tests.pipelines.event_check.conftest import Made, failed


@pytest.mark.parametrize(
    ("expression", "told", "instead"),
    [
        ("union_value(num := 2)", "UNION(num INTEGER)", "n::JSON"),
        ("[1::BIGNUM]", "BIGNUM[]", "n::VARCHAR[]"),
        ("INTERVAL 1 DAY", "INTERVAL", "n::VARCHAR"),
        ("get_type(1)", "TYPE", "n::VARCHAR"),
        ("TIMETZ '12:30:00+02'", "TIME WITH TIME ZONE", "n::TIME"),
    ],
)
@pytest.mark.parametrize("body", [None, "return rows[rows['n'].notna()]"], ids=["plain", "transform"])
def test_check_and_preview_refuse_the_type_in_the_same_words(
    made: Made, expression: str, told: str, instead: str, body: str | None
) -> None:
    columns = f"id, happened_at, {expression} AS n"
    world = made(*([body] if body else []), columns=columns)
    found = failed(world.check(), "query")
    assert f"column n: values of the type {told} cannot be read exactly" in found
    with pytest.raises(SluiceError) as refused:
        preview(world.event, world.event.windows.parse("2024-01-01")[0], world.platform, rows=10, shown=1)
    assert f"values of the type {told} cannot be read exactly" in refused.value.problem
    assert f"{instead} AS n" in str(refused.value.next_step)


def test_a_plain_row_has_a_value_in_a_list_of_fixed_size() -> None:
    schema = pa.schema([("x", pa.list_(pa.int32(), 2))])
    assert plain_row(schema).column("x").to_pylist() == [[0, 0]]
