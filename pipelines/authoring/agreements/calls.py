"""Calls of authoring names:
a misspelt or missing argument is reported together with the call's other mistakes."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, ParamSpec, TypeVar

from pipelines.authoring.problems import (
    DeclarationError,
    DeclarationProblem,
    collecting,
    current_collector,
    listing,
    near_miss,
)

P = ParamSpec("P")
T = TypeVar("T")

_AUTHORING = "pipelines.authoring."


class Mistake(NamedTuple):
    """What is wrong in one call, what is allowed, and what to write instead."""

    problem: str
    allowed: str | None = None
    next_step: str | None = None


def report(mistakes: Iterable[Mistake]) -> None:
    """Reports the mistakes at the author's line:
    to the catalogue that is being loaded, otherwise as one DeclarationError."""
    caller = sys._getframe(1)
    while str(caller.f_globals.get("__name__")).startswith(_AUTHORING) and caller.f_back is not None:
        caller = caller.f_back
    problems = [
        DeclarationProblem(caller.f_code.co_filename, caller.f_lineno, *mistake) for mistake in mistakes
    ]
    if not problems:
        return
    collector = current_collector()
    if collector is None:
        raise DeclarationError(problems)
    collector.problems.extend(problems)


def all_mistakes_of_a_call(called: Callable[P, T]) -> Callable[P, T]:
    """Reports unknown and surplus arguments together with the mistakes that `called` itself reports.

    Each argument of `called` must have a default value; an argument that is not given has this value.
    """
    name = called.__name__
    parameters = inspect.signature(called).parameters
    unnamed = [one for one, is_ in parameters.items() if is_.kind is is_.POSITIONAL_OR_KEYWORD]

    @functools.wraps(called)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        mistakes = []
        given: dict[str, Any] = dict(kwargs)
        for unknown in [one for one in given if one not in parameters]:
            del given[unknown]
            near = near_miss(unknown, [one for one in parameters if one not in given])
            mistakes.append(Mistake(f"{name}() knows no argument {unknown!r}", listing(parameters), near))
        if len(args) > len(unnamed):
            allowed = listing(f"{one}=" for one in parameters if one not in unnamed)
            mistakes.append(Mistake(f"{name}() has {len(args)} arguments without a name", allowed))
        for one, value in zip(unnamed, args, strict=False):
            if one in given:
                mistakes.append(Mistake(f"{name}() has {one} twice", f"{one} once"))
            given[one] = value
        with collecting() as own:
            value = called(**given)  # type: ignore[call-arg]
        report([*mistakes, *(Mistake(one.problem, one.allowed, one.next_step) for one in own.problems)])
        return value

    return checked


def is_whole(value: object, least: int, most: int) -> bool:
    """Whether `value` is a whole number from `least` to `most`; True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= int.__int__(value) <= most
