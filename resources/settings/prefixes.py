"""Which environment a topic belongs to, by the prefix of its name."""

import os
from collections.abc import Mapping

from resources.settings.environments import declared_environments
from resources.settings.files import read_toml
from resources.settings.names import variable
from resources.settings.settings import Settings

_SETTING = "topic_prefix"


def foreign_prefix(
    topic: str, settings: Settings, environ: Mapping[str, str] | None = None
) -> tuple[str, str] | None:
    """Another declared environment that `topic` belongs to, and its prefix; None if there is none.

    The longest prefix decides: with the prefixes `shop.` and `shop.stage.`, the topic `shop.stage.x` belongs to
    the second. No other value of the environments is read, so their secrets are not needed.
    """
    found = _prefixes(settings, os.environ if environ is None else environ)
    own = settings.environment.name if settings.environment else None
    longest = max(
        ((prefix, name) for name, prefix in found.items() if name != own and topic.startswith(prefix)),
        key=lambda one: len(one[0]),
        default=None,
    )
    if longest is None or len(longest[0]) <= len(settings.topic_prefix):
        return None
    prefix, name = longest
    return name, prefix


def _prefixes(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    from_file = read_toml(settings.file)
    of_all = str(from_file.get(_SETTING, ""))
    given = {name.upper(): value for name, value in environ.items()}
    return {
        name: given.get(variable(_SETTING, name).upper(), str(table.get(_SETTING, of_all)))
        for name, table in declared_environments(from_file, str(settings.file)).items()
    }
