"""SIGKILL of the only broker in the middle of a publication, and its restart with the same data.

A lone broker that dies in the milliseconds between the acknowledgement of a commit and its markers restarts
with the markers unwritten, and blocks readers before that transaction forever (see `ServerHandle.kill`). A
publisher cannot repair this fault of a single broker. So the launch is paused with a transaction open, and
the broker dies when everything before can be read. Deaths during a commit are left to the scenario with three
brokers.
"""

import signal
import time

from tests.chaos import stages
from tests.chaos.arena import Arena, close, relaunched, settle
from tests.chaos.ground import Ground, Size
from tests.chaos.outcome import Outcome
from tests.chaos.processes import Launched
from tests.chaos.witness import Asked

NAME = "broker-kills"
PROMISE = "a broker that dies and comes back while a window is published costs time, and no event"


def run(arena: Arena) -> Outcome:
    """One window for each point."""
    outcome = Outcome(NAME, PROMISE)
    size = Size(windows=max(arena.dose.broker_kills, (arena.only or 0) + 1), rows=200)
    ground = arena.ground(NAME, size)
    stories, again, seconds = {}, 0, []
    for point in arena.points(arena.dose.broker_kills):
        chance = arena.chance(NAME, point)
        launched = ground.launch(point)
        launched.reach(stages.SETTLING, chance.randrange(1, 9))
        launched.send(signal.SIGSTOP)
        if not _readable(ground, launched, point):
            outcome.failures.append(f"commits could not be read after 20 s [{arena.replay(NAME, point)}]")
        began = time.monotonic()
        arena.kafka.kill()
        launched.send(signal.SIGCONT)
        time.sleep(chance.uniform(0, 2))
        arena.kafka.restart()
        again += relaunched(outcome, launched, lambda n=point: ground.launch(n), arena.replay(NAME, point))  # type: ignore[misc]
        seconds.append(time.monotonic() - began)
        stories[point] = [Asked(ground.rows(point))]
    settle(outcome, ground, stories, lambda n: arena.replay(NAME, n))
    outcome.facts = {
        "broker killed and restarted": len(seconds),
        "launches that it ended, and said so": again,
        "seconds from the kill to a published window": ", ".join(f"{s:.0f}" for s in seconds),
    }
    close(outcome, ground)
    return outcome


def _readable(ground: Ground, launched: Launched, point: int) -> bool:
    """Wait until a consumer sees what the paused launch has committed."""
    launched.drain()
    committed = launched.count(stages.COMMITTED)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        seen = [r for r in ground.witness.visible() if (r.key or b"").startswith(f"{point:04d}-".encode())]
        if len(seen) >= committed * int(ground.environ["SLUICE_TRANSACTION_ROWS"]):
            return True
        time.sleep(0.1)
    return False
