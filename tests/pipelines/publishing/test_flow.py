"""If a quota throttles a producer,
its transactions become small enough to end in time, and then grow again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.publishing.sending.flow import Flow
from resources.kafka.errors import ProducerThrottled
from tests.hearing import into


def slow(records: int = 1_000, seconds: float = 4.0) -> ProducerThrottled:
    return ProducerThrottled("t", records, seconds, "a client quota (throttle time 700 ms)")


def test_it_is_unlimited_until_a_quota_throttles_and_says_so_once() -> None:
    said: list[str] = []
    flow = Flow(into(said))
    flow.committed(10**9, 100.0)
    assert flow.most_bytes is None
    flow.slowed(slow(), 800_000, "2024-01-01")
    assert flow.most_bytes == 800_000
    flow.committed(800_000, 4.0)
    flow.say("2024-01-02", "waiting")
    flow.slowed(slow(), 400_000, "2024-01-02")
    assert flow.most_bytes == 400_000
    assert len(said) == 1
    assert "quota" in said[0] and "--max-bytes-per-second" in said[0]


def test_it_grows_back_to_unlimited() -> None:
    flow = Flow(lambda _: None)
    flow.slowed(slow(), 1_000_000, "w")
    sizes = []
    while flow.most_bytes is not None:
        sizes.append(flow.most_bytes)
        flow.committed(flow.most_bytes, 0.1)
    assert sizes == [1_000_000 * 2**n for n in range(len(sizes))]
    assert sizes[-1] < 64 << 20


def test_small_windows_say_nothing_of_what_a_full_transaction_would_do() -> None:
    flow = Flow(lambda _: None)
    flow.slowed(slow(), 1_000_000, "w")
    flow.committed(10, 0.01)
    assert flow.most_bytes == 1_000_000


def test_it_ends_with_the_reason_where_nothing_helps() -> None:
    flow = Flow(lambda _: None)
    with pytest.raises(ProducerThrottled):
        for _ in range(100):
            flow.slowed(slow(records=0), 0, "w")
    assert flow.most_bytes == 16 << 10


@given(st.integers(1_000, 10_000_000))
def test_at_any_quota_it_settles_where_a_transaction_ends_in_time(bytes_per_second: int) -> None:
    flow = Flow(lambda _: None)
    flow.slowed(slow(seconds=4.0), 4 * bytes_per_second, "w")
    for _ in range(50):
        if flow.most_bytes is None:
            return
        flow.committed(flow.most_bytes, flow.most_bytes / bytes_per_second)
    assert flow.most_bytes is not None
    assert flow.most_bytes == 16 << 10 or 1.0 <= flow.most_bytes / bytes_per_second <= 9.0
