"""What an operator requests for the windows of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipelines.authoring.topics import name_mistake
from pipelines.publishing.selection import Selection
from resources.errors import SluiceError
from resources.kafka.topics.journal_topic import journal_topic
from resources.settings import Settings
from resources.settings.prefixes import foreign_prefix

OnDefinitionChange = Literal["ask", "correct", "replay"]
ReplayFrom = Literal["stored", "fresh"]
UnmatchedKeys = Literal["refuse", "leave_out"]


@dataclass(frozen=True)
class Replay:
    """Publish again what was published before.

    `source`: `stored` takes the snapshot that the ledger names, `fresh` sources the window again. `request`:
    the same for a launch and its retries, so that no retry replays a window again that is replayed already.
    `topic`: a shadow topic instead of the event's own. `unmatched_keys`: what to do with selected keys that
    none of the windows holds.
    """

    request: str
    source: ReplayFrom = "stored"
    selection: Selection = field(default_factory=Selection)
    topic: str | None = None
    unmatched_keys: UnmatchedKeys = "refuse"

    def __post_init__(self) -> None:
        if self.topic is not None and (mistake := name_mistake(self.topic)):
            raise SluiceError(
                "shadow topic", mistake.problem, allowed=mistake.allowed, next_step=mistake.next_step
            )

    def require_shadow(self, own: str, settings: Settings) -> None:
        """Raise SluiceError if `topic` is the event's `own` topic, or one that no shadow may have."""
        if self.topic is None:
            return
        require_shadow_name(self.topic, settings)
        if self.topic == own:
            raise SluiceError(
                f"shadow topic {own}",
                "is the event's own topic",
                next_step="leave it out (--to, or to_topic in the run config) to replay there, or name another",
            )


def require_shadow_name(topic: str, settings: Settings) -> None:
    """Raise SluiceError if a shadow topic is the ledger or the journal, lacks the topic prefix of this
    environment, or belongs to another environment."""
    prefix = settings.topic_prefix
    if not topic.startswith(prefix):
        raise SluiceError(
            f"shadow topic {topic}",
            f"does not begin with topic_prefix {prefix!r} of the settings, so it may be another environment's",
            allowed=f"a topic that begins with {prefix!r}",
            next_step=f"--to {prefix}{topic}, or to_topic={prefix}{topic} in the run config",
        )
    for name, what in ((settings.ledger_topic, "ledger"), (journal_topic(settings), "journal")):
        if topic == name:
            raise SluiceError(f"shadow topic {topic}", f"is the {what}", allowed="a topic of its own")
    if foreign := foreign_prefix(topic, settings):
        environment, other = foreign
        raise SluiceError(
            f"shadow topic {topic}",
            f"begins with topic_prefix {other!r} of environment {environment}, so it is a topic of that environment",
            allowed=f"a topic that does not begin with {other!r}",
            next_step="name another (--to, or to_topic in the run config), or replay in that environment",
        )


@dataclass(frozen=True)
class Redrive:
    """Retry the windows' dead letters.
    `force`: also those that this version of the module has tried before."""

    force: bool = False


@dataclass(frozen=True)
class PlannedState:
    """What a plan found of a window: the hash of the snapshot that would be published (None: none may be),
    and the ledger's generation and committed rows (0, 0: never published)."""

    snapshot: str | None
    generation: int
    rows_done: int


@dataclass(frozen=True)
class PublishRequest:
    """Publish the windows, `replay` them, or `redrive` their dead letters. `reason` and `requested_by` (who)
    are kept in the ledger.

    `expected`: by window, the state that a plan found; a window that has changed since is refused.
    `on_definition_change`: what to do with a window that another version of the module or contract published,
    if its events differ: `ask` refuses it with the counts, `correct` publishes the difference, `replay`
    publishes every event again as a new generation.
    """

    reason: str | None = None
    requested_by: str | None = None
    on_definition_change: OnDefinitionChange = "ask"
    replay: Replay | None = None
    redrive: Redrive | None = None
    expected: Mapping[str, PlannedState] | None = None

    @property
    def topic(self) -> str | None:
        """The shadow topic of a replay; None: the event's own."""
        return self.replay.topic if self.replay else None

    @property
    def replays_whole(self) -> bool:
        """Whether the replay needs nothing of the windows on the topic: it replays all of their events,
        or it goes to a shadow topic."""
        return self.replay is not None and (self.replay.selection.everything or self.replay.topic is not None)

    @property
    def of_stored_rows(self) -> bool:
        """Whether rows of earlier snapshots are published, which the warehouse may no longer hold."""
        return self.redrive is not None or (self.replay is not None and self.replay.source == "stored")

    def __post_init__(self) -> None:
        if self.replay is not None and not (self.reason and self.reason.strip()):
            raise SluiceError(
                "replay",
                "has no reason",
                next_step="say why, in a few words: consumers and later operators read it (--reason, or reason in the "
                "run config)",
            )
