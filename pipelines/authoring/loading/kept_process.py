"""Protects the process while an author's module is imported: no module may end the process, or change it for
the modules after it."""

import _thread
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

# Calls that end or interrupt a process without an exception that could be caught. The first two always do so,
# the others if their target is this process.
_ENDINGS: tuple[tuple[ModuleType, str], ...] = (
    (os, "_exit"),
    (os, "abort"),
    (os, "kill"),
    (os, "killpg"),
    (signal, "raise_signal"),
    (_thread, "interrupt_main"),
)
# Prefixes of the variables of Sluice, Dagster and PostgreSQL:
# they are read after the modules are loaded, for all events.
_SETTINGS = ("SLUICE_", "DAGSTER_", "PG")


@contextmanager
def process_kept() -> Iterator[None]:
    """In the block, a call in this thread that would end the process raises SystemExit. After the block, the
    working folder, the umask, the warning filters and the settings in the environment are as before;
    `sys.path` has its earlier content, and the recursion limit is at least as high as before."""
    process, path, depth, settings = os.getpid(), list(sys.path), sys.getrecursionlimit(), _settings()
    folder = None
    with suppress(OSError):  # the folder was removed
        folder = Path.cwd()
    umask = os.umask(0o077)
    os.umask(umask)
    try:
        with ExitStack() as stack, warnings.catch_warnings():
            for module, name in _ENDINGS:
                stack.enter_context(_refused(module, name))
            yield
    finally:
        if os.getpid() != process:
            # A child that the module forked: it must not continue as a second command.
            os._exit(70)
        os.umask(umask)
        if sys.getrecursionlimit() < depth:
            sys.setrecursionlimit(depth)
        if not set(path) <= set(sys.path):
            sys.path[:] = [*path, *(one for one in sys.path if one not in path)]
        if (found := _settings()) != settings:
            for variable in found.keys() - settings.keys():
                del os.environ[variable]
            os.environ.update(settings)
        if folder is not None:
            with suppress(OSError):
                os.chdir(folder)


def _settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(_SETTINGS)}


@contextmanager
def _refused(module: ModuleType, name: str) -> Iterator[None]:
    real: Callable[..., Any] = getattr(module, name)
    process, thread, inside = os.getpid(), threading.get_ident(), True

    def refusing(*given: Any) -> Any:
        # A child may end itself, and another thread may end this process.
        if not inside or os.getpid() != process or threading.get_ident() != thread:
            return real(*given)
        if name in ("kill", "killpg") and not _means_us(name, *given):
            return real(*given)
        raise SystemExit(f"{module.__name__}.{name}")

    setattr(module, name, refusing)
    try:
        yield
    finally:
        inside = False
        setattr(module, name, real)


def _means_us(name: str, target: int, number: int) -> bool:
    ours = (0, os.getpgrp()) if name == "killpg" else (0, -1, os.getpid(), -os.getpgrp())
    return number != 0 and target in ours
