"""The same rows in a file with another layout, as after an upgrade: another hash, and nothing to publish."""

from typing import TYPE_CHECKING, Any

import pytest

from resources.snapshots import writer

if TYPE_CHECKING:
    from tests.pipelines.publishing.conftest import World


def test_the_same_rows_laid_out_otherwise_are_published_once(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    world.rows([(f"k{n}", n % 1440, n) for n in range(2000)])

    def as_once(*_: object) -> dict[str, Any]:
        return {"compression": "zstd", "compression_level": 1}

    with monkeypatch.context() as patched:
        patched.setattr(writer, "layout", as_once)
        before = world.prepare()
        first = world.publish()
    assert first.published == 2000
    again = world.prepare()
    assert again.snapshot.sha256 != before.snapshot.sha256
    second = world.publish()
    assert (second.published, second.skipped) == (0, 2000)
    third = world.publish()
    assert third.published == 0 and third.snapshot == second.snapshot
    assert len(world.seen()) == 2000
