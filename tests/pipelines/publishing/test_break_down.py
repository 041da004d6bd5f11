"""A publication that fails leaves no thread behind."""

import threading
from typing import TYPE_CHECKING

import pytest

from pipelines.publishing.publisher import Publisher
from resources.kafka.transactions import TransactionalProducer

if TYPE_CHECKING:
    from tests.pipelines.publishing.conftest import World

WINDOW = "2013-01-01"


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "sluice-ahead"]


@pytest.mark.parametrize("error", [RuntimeError("lost"), KeyboardInterrupt()])
def test_a_publication_that_breaks_down_leaves_no_thread(
    world: "World", monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    rows = [(f"k{n % 7}", n, n) for n in range(300)]
    world.rows(rows)
    platform = world.platform(batch_rows=10, transaction_rows=20)
    world.prepare(platform)
    seen = []

    def commit(_: TransactionalProducer) -> None:
        seen.extend(threads())
        raise error

    with monkeypatch.context() as patched, pytest.raises(type(error)) as caught:
        patched.setattr(TransactionalProducer, "commit", commit)
        Publisher(world.event, platform, run_id="first").publish(WINDOW)
    assert seen, "the records were encoded by the thread that sends them"
    # The exception is still referenced, and with it its frames.
    assert caught.value is error
    assert threads() == []
    assert world.publish(platform, run_id="second").published == 300
    assert threads() == []
