"""SIGKILL at instants of every stage of a launch: of first publications, of corrections, once and repeatedly.

A story is one window: launches that are killed, then one that runs to its end. The seed decides which stage a
kill aims at, and how far into it; where it really happened is what the process had reported before it died.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle

from tests.chaos import stages
from tests.chaos.arena import Arena, close, settle
from tests.chaos.ground import Ground, Size
from tests.chaos.outcome import Kill, Outcome
from tests.chaos.processes import Launched
from tests.chaos.witness import Asked

NAME = "kills"
PROMISE = "a launch killed at any instant, and launched again, publishes each event once"

# Any instant between the first mark and the last, whatever the stage.
ANYWHERE = "any instant"
IN_TRANSACTION = (stages.COMMITTING, stages.SETTLING, stages.SENDING, stages.COMMITTED)


@dataclass(frozen=True)
class Kind:
    """`calm`: states of the warehouse that are published first without a kill; `killed`: states whose
    launches are killed, in turn; the last of them is then launched to its end."""

    name: str
    calm: tuple[int, ...]
    killed: tuple[int, ...]


KINDS = (
    Kind("backfill", (), (0,)),
    Kind("correction", (0,), (1,)),
    Kind("backfill, then the rows change", (), (0, 1)),
    Kind("correction, then the rows change", (0,), (1, 2)),
)


def run(arena: Arena) -> Outcome:
    """All points of the dose."""
    outcome = Outcome(NAME, PROMISE)
    # There are never more stories than kills; a story may need only one.
    windows = (arena.only + 3) if arena.only is not None else arena.dose.kills * 2 + 8
    ground = arena.ground(NAME, Size(windows=windows, states=3))
    durations = _calm(ground, outcome)
    aims = _aims(arena, durations)
    stories: dict[int, list[Asked]] = {number: _asked(ground, number, (0, 1)) for number in (0, 1)}
    missed = 0
    numbers = range(windows - 2) if arena.only is None else [arena.only]
    for number in numbers:
        if len(outcome.kills) >= arena.dose.kills:
            break
        kind, stage = aims[number % len(aims)]
        story = _Story(arena, ground, outcome, number, kind, stage, durations)
        since = ground.witness.ends()
        missed += story.run()
        stories[number + 2] = story.asked()
        settle(
            outcome,
            ground,
            {number + 2: story.asked()},
            lambda _, n=number: arena.replay(NAME, n),  # type: ignore[misc]
            since=since,
        )
    # Check that later stories have not damaged earlier ones.
    again = Outcome(NAME, PROMISE)
    settle(again, ground, stories, lambda n: arena.replay(NAME, n - 2))
    outcome.failures += [failure for failure in again.failures if failure not in outcome.failures]
    outcome.facts = {"stories": len(stories) - 2, "ended before the kill": missed}
    close(outcome, ground)
    return outcome


def _calm(ground: Ground, outcome: Outcome) -> dict[str, dict[str, list[float]]]:
    """How long each stage takes without a kill, for a first publication and for a correction."""
    found = {}
    for state, kind in ((0, "backfill"), (1, "correction")):
        for number in (0, 1):
            launched = ground.launch(number, state)
            if launched.wait() != 0:
                outcome.failures.append(f"an undisturbed launch ended with {launched.code}:\n{launched.said}")
            found[kind] = launched.durations() | {ANYWHERE: [launched.seconds]}
    return found


def _aims(arena: Arena, durations: dict[str, dict[str, list[float]]]) -> list[tuple[Kind, str]]:
    """Each stage once first, so that the smallest dose includes all of them;
    then each stage for each kind."""
    backfill, correction, changed, corrected = KINDS
    all_aims = [(kind, stage) for kind in (backfill, correction) for stage in durations[kind.name]]
    all_aims += [(kind, stage) for kind in (changed, corrected) for stage in IN_TRANSACTION]
    all_aims += [(kind, stage) for kind in (backfill, correction) for stage in (stages.COMMITTING, ANYWHERE)]
    chance = arena.chance(NAME, -1)
    chance.shuffle(all_aims)
    met: set[str] = set()
    first: list[tuple[Kind, str]] = []
    for aim in all_aims:
        if aim[1] not in met:
            met.add(aim[1])
            first.append(aim)
    rest = [aim for aim in all_aims if aim not in first]
    # Every second one is within a transaction, in the smallest dose too, because the danger is there.
    inside = cycle([(kind, stage) for stage in IN_TRANSACTION for kind in KINDS])
    return [aim for one in [*first, *rest] for aim in (one, next(inside))]


def _asked(ground: Ground, number: int, states: tuple[int, ...]) -> list[Asked]:
    return [Asked(ground.rows(number, state)) for state in states]


class _Story:
    def __init__(
        self,
        arena: Arena,
        ground: Ground,
        outcome: Outcome,
        number: int,
        kind: Kind,
        stage: str,
        durations: dict[str, dict[str, list[float]]],
    ) -> None:
        self._arena, self._ground, self._outcome = arena, ground, outcome
        self._number, self._kind, self._stage, self._durations = number, kind, stage, durations
        self._chance = arena.chance(NAME, number)
        self._window = number + 2  # after those without a kill
        # Both ways to produce keep the same promise.
        self._more = {"SLUICE_PRODUCING": "public"} if number % 3 == 2 else {}
        self._unplaced: list[Kill] = []

    def run(self) -> int:
        """The whole story; returns how many launches ended before their kill."""
        missed = 0
        for state in self._kind.calm:
            self._to_the_end(state)
        for state, stage in self._plan():
            missed += not self._killed(state, stage)
        self._to_the_end(self._kind.killed[-1])
        self._outcome.kills += self._unplaced
        return missed

    def asked(self) -> list[Asked]:
        """The states in turn; a state whose launches were all killed may be published in part."""
        asked = [Asked(self._ground.rows(self._window, state)) for state in self._kind.calm]
        *given_up, last = self._kind.killed
        asked += [Asked(self._ground.rows(self._window, state), certain=False) for state in given_up]
        return [*asked, Asked(self._ground.rows(self._window, last))]

    def _plan(self) -> Iterator[tuple[int, str]]:
        """State and stage of each kill.
        The first one is at the stage that this story is for; the others are anywhere."""
        first, *later = self._kind.killed
        yield first, self._stage
        for _ in range(self._chance.choice((0, 0, 0, 1, 2))):
            yield first, self._chance.choice([*self._durations["backfill"], *IN_TRANSACTION * 3])
        for state in later:
            if self._chance.random() < 0.5:
                yield state, self._chance.choice([*self._durations["correction"], *IN_TRANSACTION * 3])

    def _killed(self, state: int, stage: str) -> bool:
        calm = self._durations["correction" if state else "backfill"].get(stage) or [0.001]
        place, delay = instant(self._chance, calm)
        launched = self._ground.launch(self._window, state, more=self._more)
        first_mark = stage == ANYWHERE
        if launched.reach(stages.SOURCING if first_mark else stage, 0 if first_mark else place):
            time.sleep(delay)
        died = launched.kill()
        self._place(launched)
        if not died:
            self._ended(launched)
            return False
        where, fell = launched.position
        transaction = transaction_of(launched, where, fell)
        self._unplaced.append(
            Kill(self._number, self._kind.name, stage, where, fell, transaction, round(delay * 1000, 2))
        )
        return True

    def _to_the_end(self, state: int) -> None:
        launched = self._ground.launch(self._window, state, more=self._more)
        launched.wait()
        self._ended(launched)
        self._place(launched)

    def _ended(self, launched: Launched) -> None:
        if launched.code != 0:
            replay = self._arena.replay(NAME, self._number)
            self._outcome.failures.append(f"a launch ended with {launched.code}: {launched.said} [{replay}]")

    def _place(self, launched: Launched) -> None:
        """Note for the kills before this launch what was committed when they happened:
        what the launch found in the ledger."""
        if launched.ledger is None:
            return
        rows, of = launched.ledger
        self._outcome.kills += [replace(kill, rows=rows, of=of) for kill in self._unplaced]
        self._unplaced.clear()


def transaction_of(launched: Launched, where: str, stage: str) -> str:
    """At which point of a transaction the kill happened."""
    if where == "in" and stage == stages.COMMITTING:
        return "inside a commit"
    begun, committed = launched.count(stages.BEGINNING), launched.count(stages.COMMITTED)
    if begun > committed:
        return "before a commit"
    return "after a commit" if committed else "before any transaction"


def instant(chance: random.Random, durations: list[float]) -> tuple[int, float]:
    """An occurrence of a stage and seconds into it."""
    place = chance.randrange(len(durations))
    return place, chance.uniform(0, durations[place] * 1.1)
