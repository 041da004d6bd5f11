"""The versions that a new schema is compared with, and the problems that Sluice itself finds in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from resources.registry.logical_types import misreadings
from resources.registry.protocol import RegisteredSchema
from resources.registry.schemas import parsed_schema
from resources.wording import noun

_MOST_NAMED = 5


@dataclass(frozen=True)
class Level:
    """A subject's compatibility level. `name` is None if the registry does not say it;
    `unknown` is then the reason."""

    name: str | None
    unknown: str = ""

    @property
    def all_versions(self) -> bool:
        """Whether a new schema must fit every version. If the level is not known or is
        NONE, the safe answer is yes."""
        return self.name in (None, "NONE") or str(self.name).endswith("_TRANSITIVE")

    @property
    def backward(self) -> bool:
        """Whether readers with the new schema must understand records that were written before."""
        return self.name in (None, "NONE") or str(self.name).startswith(("BACKWARD", "FULL"))

    @property
    def forward(self) -> bool:
        """Whether readers with an older schema must understand records that are written with the new one."""
        return self.name in (None, "NONE") or str(self.name).startswith(("FORWARD", "FULL"))

    @property
    def note(self) -> str | None:
        """What the reader of a refusal must know about the level, if the registry's level did
        not require the comparison."""
        if self.name is None:
            return f"compared with every version, since the compatibility level is not known: {self.unknown}"
        if self.name == "NONE":
            return "compared with every version: at the level NONE the registry compares with none"
        return None


def meaning_changes(level: Level, new_text: str, versions: Sequence[RegisteredSchema]) -> list[str]:
    """One sentence for each field whose logical type differs between the new schema and one of `versions`.

    `versions` are the ones that the level requires. A text that is not an Avro schema is
    skipped: the registry judges it.
    """
    new = parsed_schema(new_text)
    backward: dict[tuple[str, str, str], list[int]] = {}
    forward: dict[tuple[str, str, str], list[int]] = {}
    for version in versions:
        old = _tree(version.text)
        if old is None:
            continue
        for one in misreadings(new, old) if level.backward else ():
            backward.setdefault((one.path, one.written, one.read), []).append(version.version)
        for one in misreadings(old, new) if level.forward else ():
            forward.setdefault((one.path, one.read, one.written), []).append(version.version)
    found = [_sentence(change, numbers, "old records") for change, numbers in backward.items()]
    found += [
        _sentence(change, numbers, "new records, by a consumer that has the older version,")
        for change, numbers in forward.items()
        if change not in backward
    ]
    return [*found, level.note] if found and level.note else found


def _sentence(change: tuple[str, str, str], numbers: list[int], records: str) -> str:
    path, was, now = change
    field = f"field {path!r}" if path else "the schema"
    return f"{field}: {was} ({_told(numbers)}) became {now}; {records} would be read with other values"


def _told(numbers: list[int]) -> str:
    numbers = sorted(set(numbers))
    more = f" and {len(numbers) - _MOST_NAMED:,} more" if len(numbers) > _MOST_NAMED else ""
    return f"{noun(len(numbers), 'version')} {', '.join(map(str, numbers[:_MOST_NAMED]))}{more}"


def _tree(text: str) -> Any:
    try:
        return parsed_schema(text)
    except ValueError:
        return None
