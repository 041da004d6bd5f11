"""What every process of Sluice does first, before it prints, logs or creates a file."""

import atexit
import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from resources.security.outlets import guard_outlets
from resources.security.private_files import keep_files_private, tighten
from resources.settings import Settings, SettingsError, load_settings


def begin_process() -> None:
    """From now on no text of this process shows a secret, and no new file is open to others.
    Calling it twice does no harm."""
    guard_outlets()
    _end_quietly()
    keep_files_private()
    with suppress(SettingsError):  # the code that needs the settings reports this
        settings = load_settings()
        keep_files_private(settings.group_access)
        _close_folders(settings)


def _close_folders(settings: Settings) -> None:
    """Close what an earlier version left open to others. Only for what Sluice has created: a home or a store
    may be set to a folder that contains other things."""
    for name in ("dagster", "servers", "snapshots", "servers.json", "sample.duckdb"):
        tighten(settings.home / name, settings.group_access)
    store = Path(settings.snapshots)
    if "://" not in settings.snapshots and (store / ".store.json").exists():
        tighten(store, settings.group_access)


@cache
def _end_quietly() -> None:
    """Register, once, what the process does last: exit handlers run in reverse order."""
    atexit.register(_close_error_stream)


def _close_error_stream() -> None:
    """Close the error stream when everything of Sluice has ended. If a query result is still referenced then, for
    example by the traceback of a failed run, the binding of DuckDB prints a page about its own objects."""
    if "duckdb" not in sys.modules:
        return
    with suppress(OSError, ValueError):
        sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
