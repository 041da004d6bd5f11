"""The largest record of a few rows: its bytes as the brokers would store them."""

from typing import TYPE_CHECKING

import pytest

from pipelines.event_check.findings import check_rows
from pipelines.preflight.largest_record import LargestRecord

if TYPE_CHECKING:
    from tests.pipelines.event_check.conftest import Made


@pytest.mark.parametrize(
    ("settings", "compressed"),
    [
        ({}, True),
        ({"SLUICE_KAFKA_COMPRESSION_TYPE": "zstd"}, True),
        ({"SLUICE_KAFKA_COMPRESSION_TYPE": "none"}, False),
        ({"SLUICE_KAFKA_COMPRESSION_CODEC": "none"}, False),
    ],
)
def test_its_stored_bytes_are_compressed_where_records_are(
    made: "Made", settings: dict[str, str], compressed: bool
) -> None:
    world = made("return rows.assign(id='x' * 50_000)", **settings)
    looking = check_rows(world.event, world.platform, world.event.windows.parse("2024-01-02"))
    largest: LargestRecord | None = None
    while True:
        try:
            next(looking)
        except StopIteration as end:
            largest = end.value
            break
    assert largest is not None and largest.bytes > 100_000
    assert (largest.compressed_bytes < 1_000) == compressed
    assert compressed or largest.compressed_bytes == largest.bytes
