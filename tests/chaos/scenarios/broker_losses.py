"""Three brokers, three replicas, at least two in sync:
one is killed at random instants of publishing, commits included."""

import time

from resources.dev.servers.errors import ServerFailed, ServerUnavailable
from tests.chaos import stages
from tests.chaos.arena import Arena, close, relaunched, settle
from tests.chaos.ground import Size
from tests.chaos.outcome import Outcome
from tests.chaos.three_brokers import NODES, ThreeBrokers
from tests.chaos.witness import Asked

NAME = "broker-losses"
PROMISE = (
    "one of three brokers lost at any instant of publishing, a commit included, loses and repeats nothing"
)

_AIMS = (
    stages.COMMITTING,
    stages.SETTLING,
    stages.CLAIMING,
    stages.COMMITTED,
    stages.LEDGER_AGAIN,
    stages.SENDING,
)


def run(arena: Arena) -> Outcome:
    """Each of the three in turn."""
    outcome = Outcome(NAME, PROMISE)
    count = arena.dose.broker_losses
    if not count:
        outcome.left_out = "part of the full dose"
        return outcome
    try:
        with ThreeBrokers(arena.folder / "three") as brokers:
            _lose(arena, outcome, brokers, count)
    except (ServerFailed, ServerUnavailable) as missing:
        outcome.failures.append(str(missing))
    return outcome


def _lose(arena: Arena, outcome: Outcome, brokers: ThreeBrokers, count: int) -> None:
    size = Size(windows=max(count, arena.only or 0) + 1, rows=300)
    ground = arena.ground(NAME, size, bootstrap=brokers.bootstrap)
    calm = size.windows - 1
    if ground.launch(calm).wait() != 0:
        outcome.failures.append("an undisturbed launch failed")
    stories, again, seconds = {calm: [Asked(ground.rows(calm))]}, 0, []
    topics = [ground.topic, ground.witness.ledger, "__transaction_state"]
    for point in arena.points(count):
        chance, replay = arena.chance(NAME, point), arena.replay(NAME, point)
        brokers.wait_in_sync(topics)
        aim = _AIMS[point % len(_AIMS)]
        launched = ground.launch(point)
        launched.reach(aim, 0 if aim in (stages.CLAIMING, stages.LEDGER_AGAIN) else chance.randrange(15))
        time.sleep(chance.uniform(0, 0.008))
        lost = point % NODES
        began = time.monotonic()
        brokers.kill(lost)
        again += relaunched(outcome, launched, lambda n=point: ground.launch(n), replay)  # type: ignore[misc]
        seconds.append(time.monotonic() - began)
        brokers.restart(lost)
        stories[point] = [Asked(ground.rows(point))]
    brokers.wait_in_sync(topics)
    settle(outcome, ground, stories, lambda n: arena.replay(NAME, n))
    outcome.facts = {
        "brokers killed, one of three at a time": len(seconds),
        "launches that it ended, and said so": again,
        "seconds from the loss to a published window": ", ".join(f"{s:.0f}" for s in seconds),
    }
    close(outcome, ground)
