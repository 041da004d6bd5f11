"""What a user reads when something is wrong."""

from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner, Result

from pipelines.authoring.problems import DeclarationProblem
from pipelines.cli.output.errors import Stopped, lines_of, when_stopped
from pipelines.cli.root import _Commands
from resources.errors import Problem, SluiceError


class _SeveralError(SluiceError):
    def __init__(self, *problems: DeclarationProblem) -> None:
        self.several = tuple(Problem(p.where, p.problem, p.allowed, p.next_step) for p in problems)
        super().__init__("assets", "2 mistakes")


def _run(fails: Callable[[], object]) -> Result:
    class One(_Commands):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:  # noqa: ARG002
            return click.Command(cmd_name, callback=fails)

    return CliRunner().invoke(One("sluice"), ["list"])


def _raise(error: BaseException) -> Callable[[], object]:
    def fails() -> object:
        raise error

    return fails


def test_an_error_says_where_what_is_allowed_and_the_next_step_on_lines_of_their_own() -> None:
    told = _run(_raise(SluiceError("topic x", "is missing", allowed="a topic", next_step="create it")))
    assert told.exit_code == 1
    assert told.stderr == "Error: topic x: is missing\n  allowed: a topic\n  next:    create it\n"
    assert told.stdout == ""


def test_an_error_of_several_problems_lists_each() -> None:
    told = _run(
        _raise(
            _SeveralError(
                DeclarationProblem("a.py", 3, "wrong"), DeclarationProblem("b.py", None, "bad", "good")
            )
        )
    )
    assert told.exit_code == 1
    assert told.stderr == "Error: a.py:3: wrong\n\nError: b.py: bad\n  allowed: good\n"


def test_problems_that_are_plain_sentences_are_told_once() -> None:
    error = SluiceError("subject s", "is not compatible: no default")
    error.problems = ["no default"]  # type: ignore[attr-defined]
    assert _run(_raise(error)).stderr == "Error: subject s: is not compatible: no default\n"


def test_ctrl_c_says_what_was_done() -> None:
    def fails() -> object:
        with when_stopped(lambda: "Stopped. 3 of 4 windows are complete."):
            raise KeyboardInterrupt

    told = _run(fails)
    assert told.exit_code == 130
    assert told.stderr.strip() == "Stopped. 3 of 4 windows are complete."


def test_ctrl_c_elsewhere_is_calm_too() -> None:
    told = _run(_raise(KeyboardInterrupt()))
    assert (told.exit_code, told.stderr.strip()) == (130, "Stopped. Nothing was changed by this command.")


def test_what_was_stopped_is_told_by_the_innermost() -> None:
    with pytest.raises(Stopped, match="inner"), when_stopped(lambda: "outer"):
        raise Stopped("inner")


def test_a_problem_that_a_run_tells_is_shown_as_lines() -> None:
    assert lines_of(Problem("x", "bad; next: a part of it", "good", "mend it")) == [
        "x: bad; next: a part of it",
        "  allowed: good",
        "  next:    mend it",
    ]


def test_the_next_step_is_no_part_of_a_list_before_it() -> None:
    error = SluiceError("x", "they differ:\n- a\n- b", allowed="c", next_step="mend it")
    assert str(error).splitlines() == ["x: they differ:", "- a", "- b", "  allowed: c", "  next: mend it"]
