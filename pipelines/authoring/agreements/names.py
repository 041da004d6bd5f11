"""`consumers=` and `tags=`: names of services and of groups of events, as lists of names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from pipelines.authoring.agreements.calls import Mistake
from pipelines.authoring.texts import without_class
from resources.wording import brief, text_of

# A consumer's name is a key in sluice.toml, the value of a tag and a part of a URL.
_CONSUMER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_CONSUMERS = 'a list of the names of services, such as consumers=["billing", "tracking"]'
_CONSUMER_NAMES = "letters, digits, '.', '_' and '-', with a letter or digit first; at most 63 characters"
# Dagster's own rules for the tags of an asset (dagster._utils.tags, VALID_TAG_KEY_REGEX and VALID_STRICT_TAG_VALUE_REGEX).
_TAG_KEY = re.compile(r"(?:[A-Za-z0-9_.-]{1,63}/)?[A-Za-z0-9_.-]{1,63}")
_TAG_VALUE = re.compile(r"[A-Za-z0-9_.-]{0,63}")
_TAGS = 'a list of names, such as tags=["nightly"], or names with values, such as tags={"tier": "1"}'
_TAG_NAMES = "letters, digits, '.', '_' and '-', at most 63 of them; before the name a prefix of the same and one '/' may stand"
_TAG_VALUES = "text of letters, digits, '.', '_' and '-', at most 63 of them"
_RESERVED = ("dagster", "sluice")


class Tag(NamedTuple):
    """A tag of an event. A tag without a value has the value ""."""

    key: str
    value: str = ""

    def __str__(self) -> str:
        return f"{self.key}={self.value}" if self.value else self.key


def read_consumers(value: object) -> tuple[tuple[str, ...], Mistake | None]:
    """The names in the order in which they are written,
    and the mistake of the first wrong one (None: no mistake)."""
    names, mistake = _names("consumers", value, _CONSUMERS)
    if mistake:
        return (), mistake
    seen: dict[str, str] = {}
    for name in names:
        if not _CONSUMER.fullmatch(name):
            return (), Mistake(
                f"consumers has {brief(name, 70)}, which cannot be the name of a service",
                _CONSUMER_NAMES,
                _near("consumers", name),
            )
        if other := seen.get(name.lower()):
            twice = (
                f"has {name!r} twice"
                if other == name
                else f"has {other!r} and {name!r}, which differ only in case"
            )
            return (), Mistake(f"consumers {twice}", "each service once", f"leave one {name!r} out")
        seen[name.lower()] = name
    return names, None


def read_tags(value: object) -> tuple[tuple[Tag, ...], Mistake | None]:
    """The tags in the order of their keys, and the mistake of the first wrong one (None: no mistake)."""
    if isinstance(value, Mapping):
        pairs = [(key, told) for key, told in value.items()]
        if others := [key for key, _ in pairs if not isinstance(key, str)]:
            return (), Mistake(f"tags has {brief(others[0], 60)}, which is not text", _TAGS)
    else:
        names, mistake = _names("tags", value, _TAGS)
        if mistake:
            return (), mistake
        pairs = [(name, "") for name in names]
    found: dict[str, Tag] = {}
    for key, told in pairs:
        key = without_class(key)
        if mistake := _tag_mistake(key, told):
            return (), mistake
        if key in found:
            return (), Mistake(f"tags has {key!r} twice", "each tag once", f"leave one {key!r} out")
        found[key] = Tag(key, without_class(told))
    return tuple(found[key] for key in sorted(found)), None


def _tag_mistake(key: str, value: object) -> Mistake | None:
    if not _TAG_KEY.fullmatch(key):
        hint = _near("tags", key)
        if "=" in key or ":" in key:
            name, _, told = key.replace(":", "=").partition("=")
            if _TAG_KEY.fullmatch(name) and told and _TAG_VALUE.fullmatch(told):
                hint = f"write tags={{{name!r}: {told!r}}}"
        return Mistake(
            f"tags has {brief(key, 70)}, which Dagster refuses as the name of a tag", _TAG_NAMES, hint
        )
    prefix = key.partition("/")[0]
    if "/" in key and prefix in _RESERVED:
        return Mistake(
            f"tags has {key!r}, and tags that begin with {prefix}/ are {prefix.capitalize()}'s own",
            "another prefix, or none",
            f"write {key.partition('/')[2]!r}",
        )
    if not isinstance(value, str):
        written = text_of(value).lower() if isinstance(value, int | float) else ""
        hint = f"write {{{key!r}: {written!r}}}" if written and _TAG_VALUE.fullmatch(written) else None
        return Mistake(
            f"tags has {key!r} with the value {brief(value, 60)}, which is not text", _TAG_VALUES, hint
        )
    if not _TAG_VALUE.fullmatch(value):
        return Mistake(
            f"tags has {key!r} with the value {brief(value, 70)}, which Dagster refuses", _TAG_VALUES
        )
    return None


def _names(argument: str, value: object, allowed: str) -> tuple[tuple[str, ...], Mistake | None]:
    if isinstance(value, str):
        shown = brief(value, 60)
        return (), Mistake(
            f"{argument}={shown} is a text, not a list", allowed, f"write {argument}=[{shown}]"
        )
    if not isinstance(value, list | tuple):
        return (), Mistake(f"{argument}={brief(value, 60)} is not a list of names", allowed)
    for name in value:
        if not isinstance(name, str):
            return (), Mistake(f"{argument} has {brief(name, 60)}, which is not text", allowed)
    return tuple(without_class(name) for name in value), None


def _near(argument: str, name: str) -> str | None:
    cleaned = re.sub(r"[^A-Za-z0-9._/-]+" if argument == "tags" else r"[^A-Za-z0-9._-]+", "-", name).strip(
        "-._/"
    )
    legal = _TAG_KEY if argument == "tags" else _CONSUMER
    return f"did you mean {cleaned!r}?" if cleaned and legal.fullmatch(cleaned) else None
