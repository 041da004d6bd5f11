"""The connection to the warehouse lost in the middle of the rows: of a first publication, and of a correction.

The warehouse is a DuckDB file, which has no connection to lose; a double of its stream returns some batches
and then raises what a driver's adapter raises.
"""

from tests.chaos.arena import Arena, close, settle
from tests.chaos.ground import Size
from tests.chaos.launch import PASSING
from tests.chaos.outcome import Outcome
from tests.chaos.witness import Asked

NAME = "warehouse-losses"
PROMISE = "rows that stopped coming are never taken for all rows: nothing is published of them"


def run(arena: Arena) -> Outcome:
    """Every second point loses the rows of a correction."""
    outcome = Outcome(NAME, PROMISE)
    size = Size(windows=max(arena.dose.warehouse_losses, (arena.only or 0) + 1), states=2)
    ground = arena.ground(NAME, size)
    batches = -(-size.rows // int(ground.environ["SLUICE_BATCH_ROWS"]))
    stories = {}
    for point in arena.points(arena.dose.warehouse_losses):
        chance, replay = arena.chance(NAME, point), arena.replay(NAME, point)
        states = [0, 1] if point % 2 else [0]
        for state in states[:-1]:
            ground.launch(point, state).wait()
        before = ground.witness.written()
        lost = ground.launch(point, states[-1], lost_after=chance.randrange(batches))
        if lost.wait() != PASSING or "the connection was lost" not in lost.said:
            outcome.failures.append(
                f"a launch that lost its rows ended with {lost.code}: {lost.said} [{replay}]"
            )
        if ground.witness.written() != before:
            outcome.failures.append(f"something was published of a part of the rows [{replay}]")
        again = ground.launch(point, states[-1])
        if again.wait() != 0:
            outcome.failures.append(f"the next launch ended with {again.code}: {again.said} [{replay}]")
        stories[point] = [Asked(ground.rows(point, state)) for state in states]
    settle(outcome, ground, stories, lambda n: arena.replay(NAME, n))
    close(outcome, ground)
    return outcome
