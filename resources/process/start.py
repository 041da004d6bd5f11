"""What every process of Sluice does first, before it prints, logs or makes a file."""

from contextlib import suppress
from pathlib import Path

from resources.security.outlets import guard_outlets
from resources.security.private_files import keep_files_private, tighten
from resources.settings import Settings, SettingsError, load_settings


def begin_process() -> None:
    """No text of this process shows a secret, and no file that it makes is open to others. Harmless twice."""
    guard_outlets()
    keep_files_private()
    with suppress(SettingsError):  # said by whoever needs the settings
        settings = load_settings()
        keep_files_private(settings.group_access)
        _close_folders(settings)


def _close_folders(settings: Settings) -> None:
    """What an earlier version left open to others. Only what Sluice has made: a home or a store may be set to a folder that
    has other things in it."""
    for name in ("dagster", "servers", "snapshots", "servers.json", "sample.duckdb"):
        tighten(settings.home / name, settings.group_access)
    store = Path(settings.snapshots)
    if "://" not in settings.snapshots and (store / ".store.json").exists():
        tighten(store, settings.group_access)
