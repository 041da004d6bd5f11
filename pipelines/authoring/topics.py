"""Topic names: what Kafka accepts, and the version at the end of every topic of Sluice."""

import re
from typing import NamedTuple

# Kafka's own limit (org.apache.kafka.common.internals.Topic):
# it leaves space for "-<partition>" in a folder's name.
LONGEST_TOPIC = 249
_LEGAL = re.compile(r"[A-Za-z0-9._-]+")
_VERSIONED = re.compile(r".+\.v[1-9][0-9]*")


class TopicMistake(NamedTuple):
    problem: str
    allowed: str | None = None
    next_step: str | None = None


class TopicClaim(NamedTuple):
    """An event (`flights/flight_departed`), its topic, and the place in the code that names the topic."""

    event: str
    topic: str
    file: str
    line: int


def topic_mistake(topic: str) -> TopicMistake | None:
    """Why `topic` cannot be a topic of Sluice, or None."""
    if mistake := name_mistake(topic):
        return mistake
    if not _VERSIONED.fullmatch(topic):
        near = _suggest(topic)
        return TopicMistake(
            f"topic={topic!r} does not end in its version",
            "a name and a version: '<domain>.<event>.v1'; a breaking change of the contract is the next version",
            f"did you mean topic={near!r}?" if near else None,
        )
    return None


def name_mistake(topic: str) -> TopicMistake | None:
    """Why `topic` cannot be a topic of Kafka, or None."""
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
    if topic in (".", ".."):
        return TopicMistake(
            f"topic={topic!r} is a name that Kafka refuses", "a name with a letter or a digit"
        )
    return None


def collision_key(topic: str) -> str:
    """The same text for topics that cannot both exist in Kafka: its metrics write '.' as '_'."""
    return topic.replace(".", "_")


def _suggest(topic: str) -> str | None:
    """A legal name near `topic`, with legal characters and a plain version; None if no name is left."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", re.sub(r"\s*[/:]+\s*", ".", topic.strip())).strip("-._")
    versioned = re.fullmatch(r"(.+?)[._-][vV]?(\d+)", cleaned) or re.fullmatch(r"(.+?)[vV](\d+)", cleaned)
    name, version = (versioned[1], int(versioned[2])) if versioned else (cleaned, 1)
    name = name.rstrip(".-_")
    if not name or name.lower() == "v" or cleaned.lower() == "v1":
        return None  # only a version was written
    return f"{name}.v{max(version, 1)}"
