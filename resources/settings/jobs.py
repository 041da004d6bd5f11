"""`[jobs.NAME]` in `sluice.toml`: a Dagster job, and a schedule, over a selection of events."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resources.errors import did_you_mean
from resources.settings.errors import SettingsError
from resources.wording import brief

JOBS = "jobs"
_NAME = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*")
_KEYS = ("select", "cron")


@dataclass(frozen=True)
class JobSetting:
    """A job over the events that `select` picks; with `cron`, the job also has a schedule, in UTC."""

    name: str
    select: str
    cron: str | None = None


def declared_jobs(from_file: Mapping[str, Any], where: str) -> tuple[JobSetting, ...]:
    """The jobs of the settings file, in its order. Raises SettingsError. The contents of `select` and `cron`
    are checked elsewhere, where the events and Dagster are known."""
    tables = from_file.get(JOBS, {})
    if not isinstance(tables, dict):
        raise SettingsError(where, f"{JOBS} is not a table", allowed=f"one table each: [{JOBS}.NAME]")
    return tuple(
        _job(name, table, f"{where}: [{JOBS}.{brief(name)[1:-1]}]") for name, table in tables.items()
    )


def _job(name: str, table: object, where: str) -> JobSetting:
    if not _NAME.fullmatch(name) or len(name) > 60:
        raise SettingsError(
            where,
            f"{brief(name)} cannot be the name of a job",
            allowed="at most 60 letters, digits and single underscores, with a letter first",
        )
    if not isinstance(table, dict):
        raise SettingsError(where, "is not a table", allowed=f'lines such as select = "tag:{name}"')
    for key in table:
        if key not in _KEYS:
            raise SettingsError(
                where,
                f"{brief(key)} is not known.{did_you_mean(key, _KEYS)}",
                allowed='select = "tag:nightly"; cron = "0 6 * * *"',
            )
    for key, example in (("select", 'select = "tag:nightly"'), ("cron", 'cron = "0 6 * * *"')):
        value = table.get(key)
        if value is None and key == "cron":
            continue
        if value is None:
            raise SettingsError(where, f"has no {key}", next_step=f"add {example}")
        if not isinstance(value, str) or not value.strip():
            raise SettingsError(where, f"{key}={brief(value, 60)} is not text", allowed=example)
    return JobSetting(name, table["select"], table.get("cron"))
