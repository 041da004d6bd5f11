"""The schema registry is down before a launch, or ends during one."""

from tests.chaos import stages
from tests.chaos.arena import Arena, close, relaunched, settle
from tests.chaos.ground import Size
from tests.chaos.launch import PASSING
from tests.chaos.outcome import Outcome
from tests.chaos.witness import Asked

NAME = "registry-losses"
PROMISE = (
    "without its registry a launch ends in plain words, or does not need it any more; nothing is half done"
)

_AIMS = (stages.SOURCING, stages.CLAIMING, stages.SENDING, stages.COMMITTING, stages.RECONCILING)


def run(arena: Arena) -> Outcome:
    """The first point has no registry from the beginning; the others lose it during the launch."""
    outcome = Outcome(NAME, PROMISE)
    count = arena.dose.registry_losses
    ground = arena.ground(NAME, Size(windows=max(count, (arena.only or 0) + 1)))
    stories, again = {}, 0
    for point in arena.points(count):
        replay = arena.replay(NAME, point)
        since = ground.witness.written()
        if point == 0:
            arena.registry.kill()
        launched = ground.launch(point)
        if point:
            launched.reach(arena.chance(NAME, point).choice(_AIMS))
            arena.registry.kill()
        code = launched.wait()
        arena.registry.restart()
        if point == 0:
            if code != PASSING or "registry" not in launched.said:
                outcome.failures.append(
                    f"a launch without a registry ended with {code}: {launched.said} [{replay}]"
                )
            if ground.witness.written() != since:
                outcome.failures.append(f"a launch without a registry wrote to the topic [{replay}]")
        again += relaunched(outcome, launched, lambda n=point: ground.launch(n), replay)  # type: ignore[misc]
        stories[point] = [Asked(ground.rows(point))]
    settle(outcome, ground, stories, lambda n: arena.replay(NAME, n))
    outcome.facts = {"launches that ended for want of a registry, and said so": again}
    close(outcome, ground)
    return outcome
