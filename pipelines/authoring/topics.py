"""Topic names: what Kafka accepts, and the version that every topic of Sluice ends in."""

import re
from typing import NamedTuple

# Kafka's own limit (org.apache.kafka.common.internals.Topic): it leaves room for "-<partition>" in a folder's name.
LONGEST_TOPIC = 249
_LEGAL = re.compile(r"[A-Za-z0-9._-]+")
_VERSION = re.compile(r"\.v[1-9][0-9]*")


class TopicMistake(NamedTuple):
    problem: str
    allowed: str | None = None
    next_step: str | None = None


def topic_mistake(topic: str) -> TopicMistake | None:
    """What keeps `topic` from being a topic of Sluice, or None."""
    if len(topic) > LONGEST_TOPIC:
        return TopicMistake(
            f"topic={topic[:40] + '...'!r} has {len(topic)} characters",
            f"at most {LONGEST_TOPIC}, Kafka's limit",
        )
    if not _LEGAL.fullmatch(topic):
        illegal = sorted(set(re.sub(_LEGAL, "", topic)))
        near = _suggest(topic)
        return TopicMistake(
            f"topic={topic!r} has {', '.join(repr(character) for character in illegal)}, which Kafka refuses",
            "letters, digits, '.', '_' and '-'",
            f"did you mean topic={near!r}?" if near else None,
        )
    version = re.search(r"\.v[1-9][0-9]*$", topic)
    if version is None or version.start() == 0:
        near = _suggest(topic)
        return TopicMistake(
            f"topic={topic!r} does not end in its version",
            "a name and a version: '<domain>.<event>.v1'; a breaking change of the contract is the next version",
            f"did you mean topic={near!r}?" if near else None,
        )
    return None


def collision_key(topic: str) -> str:
    """Equal for topics that Kafka does not let exist side by side: its metrics write '.' as '_'."""
    return topic.replace(".", "_")


def _suggest(topic: str) -> str | None:
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", topic.strip()).strip("-.")
    named = re.match(r"(.+?)[._-]?[vV]?([1-9][0-9]*)$", cleaned)
    if not cleaned:
        return None
    return f"{named[1].rstrip('.-_')}.v{named[2]}" if named else f"{cleaned}.v1"
