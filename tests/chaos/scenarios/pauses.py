"""SIGSTOP of the broker while a window is published:
it is paused with every connection open, then continues."""

import time

from tests.chaos import stages
from tests.chaos.arena import Arena, close, relaunched, settle
from tests.chaos.ground import Size
from tests.chaos.outcome import Outcome
from tests.chaos.witness import Asked

NAME = "pauses"
PROMISE = "a broker that stands still delays a launch, or ends it in plain words; the next one goes on"

_AIMS = (
    stages.SETTLING,
    stages.COMMITTING,
    stages.SENDING,
    stages.CLAIMING,
    stages.LEDGER,
    stages.RECONCILING,
)


def run(arena: Arena) -> Outcome:
    """Short pauses, which a launch must survive by itself, then long ones, which may end it."""
    outcome = Outcome(NAME, PROMISE)
    short, long = arena.dose.pauses, arena.dose.long_pauses
    size = Size(windows=max(short + long, (arena.only or 0) + 1), rows=300)
    ground = arena.ground(NAME, size)
    stories, again = {}, 0
    for point in arena.points(short + long):
        chance = arena.chance(NAME, point)
        aim = _AIMS[point % len(_AIMS)]
        # After more than 9 s the broker's own session with its controller is over:
        # it is fenced and registers again.
        seconds = chance.uniform(1.5, 5) if point < short else chance.uniform(12, 25)
        launched = ground.launch(point)
        launched.reach(aim, chance.randrange(6) if aim in _AIMS[:3] else 0)
        time.sleep(chance.uniform(0, 0.01))
        arena.kafka.pause()
        try:
            time.sleep(seconds)
        finally:
            arena.kafka.resume()
        if point < short and launched.wait() != 0:
            outcome.failures.append(
                f"a pause of {seconds:.1f} s ended a launch with {launched.code}:\n{launched.said} "
                f"[{arena.replay(NAME, point)}]"
            )
        again += relaunched(outcome, launched, lambda n=point: ground.launch(n), arena.replay(NAME, point))  # type: ignore[misc]
        stories[point] = [Asked(ground.rows(point))]
    settle(outcome, ground, stories, lambda n: arena.replay(NAME, n))
    outcome.facts = {
        "pauses of 1.5-5 s, 12-25 s": f"{short}, {long}",
        "launches that a pause ended, and said so": again,
    }
    close(outcome, ground)
    return outcome
