"""Two and three launches of one window at once, from processes that know nothing about each other."""

import time

from tests.chaos.arena import Arena, close, settle
from tests.chaos.ground import Size
from tests.chaos.launch import TOLD
from tests.chaos.outcome import Outcome
from tests.chaos.witness import Asked

NAME = "launches"
PROMISE = "of several launches of one window at once, each event is published once; the others say who has it"

_TOLD = "another run has taken over this window"


def run(arena: Arena) -> Outcome:
    """Half of the points with two launches, half with three; every third point launches a correction."""
    outcome = Outcome(NAME, PROMISE)
    count = arena.dose.launches * 2
    size = Size(windows=max(count, (arena.only or 0) + 1), rows=400, states=2)
    ground = arena.ground(NAME, size, environ={"SLUICE_TRANSACTION_ROWS": "5"})
    fenced, stories = 0, {}
    for point in arena.points(count):
        chance = arena.chance(NAME, point)
        states = [0, 1] if point % 3 == 2 else [0]
        if len(states) > 1:
            ground.launch(point, 0).wait()
        runs = []
        for _ in range(2 + point % 2):
            runs.append(ground.launch(point, states[-1]))
            time.sleep(chance.choice((0.0, chance.uniform(0, 0.2), chance.uniform(0, 1.0))))
        codes = [run.wait() for run in runs]
        # The launch that claimed the window last cannot lose it to another.
        if 0 not in codes:
            outcome.failures.append(f"no launch came to its end: {codes} [{arena.replay(NAME, point)}]")
        for launched in runs:
            if launched.code and (launched.code != TOLD or _TOLD not in launched.said):
                outcome.failures.append(
                    f"a launch ended with {launched.code}, saying:\n{launched.said} [{arena.replay(NAME, point)}]"
                )
            fenced += launched.code == TOLD
        stories[point] = [Asked(ground.rows(point, state)) for state in states]
    settle(outcome, ground, stories, lambda n: arena.replay(NAME, n))
    if arena.only is None and not fenced:
        outcome.failures.append("no launch was ever taken over, so nothing was shown")
    outcome.facts = {"launches that were taken over, and said so": fenced}
    close(outcome, ground)
    return outcome
