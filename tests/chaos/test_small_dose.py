"""The small dose of every scenario.
`make chaos` runs the full one, and docs/chaos.md says what each of them shows."""

import os
from collections.abc import Iterator

import pytest

from tests.chaos.arena import SMALL, Arena
from tests.chaos.runner import timed
from tests.chaos.scenarios import SCENARIOS
from tests.fixtures_servers import KafkaServer, RegistryServer

# With another seed the faults happen at other places: CHAOS_SEED=2 pytest tests/chaos
SEED = int(os.environ.get("CHAOS_SEED", "20130101"))


@pytest.fixture(scope="module")
def arena(
    kafka: KafkaServer, embedded_registry: RegistryServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Arena]:
    yield Arena(kafka, embedded_registry, tmp_path_factory.mktemp("chaos"), SEED, SMALL)


# Three brokers on one machine are only in the full dose.
@pytest.mark.parametrize(
    "name", [name for name in SCENARIOS if name != "broker-losses" or SMALL.broker_losses]
)
def test_it_holds(name: str, arena: Arena) -> None:
    outcome = timed(name, arena)
    if outcome.left_out:
        pytest.skip(outcome.left_out)
    assert not outcome.failures, "\n".join(outcome.failures)
    assert outcome.checked, "nothing was judged"
    if name == "kills":
        assert len(outcome.kills) >= SMALL.kills
        assert len({kill.stage for kill in outcome.kills}) >= 6, "the kills all fell in a few stages"
        in_transactions = [kill for kill in outcome.kills if kill.transaction != "before any transaction"]
        assert len(in_transactions) >= SMALL.kills // 5, "too few kills fell where it matters"
