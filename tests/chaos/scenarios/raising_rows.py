"""A transform that raises at row N: for one row, for one row that may be left out, and for every row."""

from collections.abc import Callable

from tests.chaos.arena import Arena, close, settle
from tests.chaos.ground import Ground, Size
from tests.chaos.outcome import Outcome
from tests.chaos.processes import Launched
from tests.chaos.witness import Asked

NAME = "raising-rows"
PROMISE = "a row the transform cannot bear holds its window back, or is left out as declared; mended, it goes out once"

_RAISES = """if (rows["amount"] {op} {n}).any():
        raise ValueError("cannot bear amount {n}")
    return rows"""
_TOMBSTONES = "tombstones=True,"
_ALLOWS = "tombstones=True,\n    dead_letters=0.5,"


def run(arena: Arena) -> Outcome:
    """One window for each point, in turn: blocked, left out, and a transform that raises for every row."""
    outcome = Outcome(NAME, PROMISE)
    ground = arena.ground(NAME, Size(windows=max(arena.dose.raising_rows, (arena.only or 0) + 1), rows=300))
    kinds: tuple[Callable[[_Point], list[Asked]], ...] = (_blocked, _left_out, _every_row)
    stories = {}
    for number in arena.points(arena.dose.raising_rows):
        row = arena.chance(NAME, number).randrange(300)
        point = _Point(ground, outcome, number, row, arena.replay(NAME, number))
        stories[number] = kinds[number % len(kinds)](point)
    settle(outcome, ground, stories, lambda n: arena.replay(NAME, n))
    close(outcome, ground)
    return outcome


class _Point:
    def __init__(self, ground: Ground, outcome: Outcome, number: int, row: int, replay: str) -> None:
        self.ground, self.number, self.row = ground, number, row
        self._outcome, self._replay = outcome, replay
        self.before = ground.witness.written()

    def launch(self, body: str, more: str = _TOMBSTONES, **how: object) -> Launched:
        self.ground.define(body, more=more)
        launched = self.ground.launch(self.number, **how)  # type: ignore[arg-type]
        launched.wait()
        return launched

    def expect(self, launched: Launched, code: int, *words: str) -> None:
        missing = [word for word in words if word not in launched.said]
        if launched.code != code or missing:
            self._fail(f"ended with {launched.code}, without {missing}:\n{launched.said}")

    def nothing_yet(self) -> None:
        if self.ground.witness.written() != self.before:
            self._fail("something was published of a window that is held back")

    def _fail(self, problem: str) -> None:
        self._outcome.failures.append(f"{self.ground.window(self.number)}: {problem} [{self._replay}]")


def _blocked(point: _Point) -> list[Asked]:
    point.expect(point.launch(_RAISES.format(op="==", n=point.row)), 1, "1 of 300 rows", "blocked")
    point.nothing_yet()
    point.expect(point.launch("return rows"), 0)
    return [Asked(point.ground.rows(point.number))]


def _left_out(point: _Point) -> list[Asked]:
    point.expect(point.launch(_RAISES.format(op="==", n=point.row), _ALLOWS), 0)
    # The module has changed, so publishing its new rows must be requested explicitly.
    point.expect(point.launch("return rows", _ALLOWS), 1, "--correct")
    point.expect(point.launch("return rows", _ALLOWS, correct=True), 0)
    rows = point.ground.rows(point.number)
    return [Asked([row for row in rows if row.amount != point.row]), Asked(rows)]


def _every_row(point: _Point) -> list[Asked]:
    point.expect(point.launch(_RAISES.format(op=">=", n=0)), 1, "the transform raises on every row")
    point.nothing_yet()
    point.expect(point.launch("return rows"), 0)
    return [Asked(point.ground.rows(point.number))]
