"""First on the path of a command under test: puts an additional word before every sentence that Sluice makes.

The words are added where sentences are made, when each of these modules is loaded: errors and their parts, a
run's events, findings, decisions and their reasons, notes of unfinished windows, log records, and what a
command prints to stderr.
"""

import logging
import sys
from functools import wraps
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

WORD = "§"


def reworded(text: Any) -> Any:
    return f"{WORD} {text}" if isinstance(text, str) and text else text


def _errors(module: ModuleType) -> None:
    made = module.SluiceError.__init__

    @wraps(made)
    def init(self: Any, where: str, problem: str, **more: str | None) -> None:
        made(self, where, reworded(problem), **{name: reworded(text) for name, text in more.items()})

    module.SluiceError.__init__ = init
    whole = module.Problem.__str__
    module.Problem.__str__ = lambda self: reworded(whole(self))


def _run_events(module: ModuleType) -> None:
    told = module._told
    module._told = lambda event: reworded(told(event))  # type: ignore[attr-defined]
    sentence = module.sentence
    module.sentence = lambda event: reworded(sentence(event))  # type: ignore[attr-defined]


def _fields(name: str, *fields: str) -> Any:
    """Puts words before these fields of the dataclass of this name."""

    def change(module: ModuleType) -> None:
        kind = getattr(module, name)
        made = kind.__init__

        @wraps(made)
        def init(self: Any, *args: Any, **more: Any) -> None:
            made(self, *args, **more)
            for field in fields:
                object.__setattr__(self, field, reworded(getattr(self, field)))

        kind.__init__ = init

    return change


_CHANGED = {
    "resources.errors": _errors,
    "pipelines.run_events": _run_events,
    "pipelines.preflight.finding": _fields("Finding", "told", "next_step", "allowed"),
    "pipelines.publishing.next_generation.decision": _fields("Decision", "because"),
    "pipelines.publishing.dead_letters.retry": _fields("Repair", "told"),
    "pipelines.ledger.unfinished_windows": _fields("Unfinished", "reason", "advice"),
    "pipelines.stages.transform": _fields("Transformed", "verdict"),
}


class _Changed(MetaPathFinder):
    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        found = PathFinder.find_spec(fullname, path, target) if fullname in _CHANGED else None
        if found is None or found.loader is None:
            return None
        run: Any = found.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            _CHANGED[fullname](module)

        found.loader.exec_module = exec_module  # type: ignore[method-assign]
        return found


sys.meta_path.insert(0, _Changed())

_message = logging.LogRecord.getMessage


def _told(record: logging.LogRecord) -> str:
    text = _message(record)
    return str(reworded(text)) if record.name.startswith(("sluice", "pipelines", "resources")) else text


logging.LogRecord.getMessage = _told  # type: ignore[assignment, method-assign]
