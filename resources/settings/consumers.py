"""The settings `consumers.*`: which consumer groups belong to which service."""

import re
from collections.abc import Mapping

from resources.settings.errors import SettingsError
from resources.wording import brief

# Kafka accepts any text as the id of a group; here it must be one line, so that it can
# be shown. Commas separate ids.
_GROUP = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,255}")
_ALLOWED = 'billing = "group-id" or billing = ["group-1", "group-2"] below [consumers]: ids in one line, without a comma'


def group_ids(text: str) -> tuple[str, ...]:
    """The ids in a setting, which are separated by commas."""
    return tuple(dict.fromkeys(part for one in text.split(",") if (part := one.strip())))


def require_groups(where: str, name: str, text: str) -> None:
    """Raise SettingsError unless the setting `name` contains the ids of one or more consumer groups."""
    ids = group_ids(text)
    if not ids or not all(map(_GROUP.fullmatch, ids)):
        raise SettingsError(where, f"{name}={brief(text, 40)} names no consumer group", allowed=_ALLOWED)


def groups_of(service: str, consumers: Mapping[str, str]) -> tuple[str, ...]:
    """The consumer groups of a service; if the settings do not name the service, one group with its
    name. Upper and lower case may differ, because a variable's name does not show case; services of one
    event never differ only in case."""
    text = consumers.get(service) or consumers.get(service.lower())
    return group_ids(text) if text else (service,)
