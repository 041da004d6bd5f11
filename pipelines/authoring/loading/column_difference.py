"""Columns that are not the contract's fields, reported as one difference: which are missing, which are extra,
which were renamed, and which have another type."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pipelines.authoring.problems import listing
from resources.wording import counted

# If there are more names or lines than this, the rest is counted.
_NAMED = 12
_MOST_LINES = 40


@dataclass(frozen=True)
class OtherType:
    """A column, or a part of one (`legs[].fuel`), whose type `given` its field does not take. `allowed` says
    what a field of this type takes, `next_step` how to get it."""

    column: str
    given: str
    field: str
    allowed: str
    next_step: str | None = None

    @property
    def whole_column(self) -> str:
        """The name of the whole column, without the path inside it."""
        return re.split(r"[.\[]", self.column)[0]


def difference(
    missing: Sequence[str], extra: Sequence[str], *, of: int, types: Sequence[OtherType] = ()
) -> tuple[str, str]:
    """What is different, and what to do. `missing` are those of the contract's `of` fields that no column
    has; `extra` are columns that are not fields of the contract."""
    renamed = likely_renames(missing, extra)
    lost = [name for name in missing if name not in renamed.values()]
    more = [name for name in extra if name not in renamed]
    told, steps = [], []
    if renamed:
        pairs = [f"{old} for {new}" for old, new in renamed.items()]
        told.append(f"other names: {listing(pairs, _NAMED)}")
        old, new = next(iter(renamed.items()))
        alone = len(renamed) == 1 and not lost and not more and not types
        steps.append(
            f"did you mean {old} AS {new}?" if alone else f"rename these ({old} AS {new} in the query)"
        )
    if lost:
        told.append(f"missing ({len(lost):,} of {of:,}): {listing(lost, _NAMED)}")
        steps.append("select what is missing, or take it out of the contract")
    if more:
        told.append(f"not in the contract ({len(more):,}): {listing(more, _NAMED)}")
        steps.append("leave out what is not in the contract, or add it there")
    if types:
        columns = len({one.whole_column for one in types})
        told.append(f"other types ({columns:,} of {of:,}):{''.join(_type_lines(types))}")
        steps.append("convert each column as its line says, or change its type in the contract")
    return "; ".join(told), "; ".join(steps)


def _type_lines(types: Sequence[OtherType]) -> list[str]:
    """One line for all columns that differ in the same way: they often have one cause, for example a file
    whose columns were all read as text."""
    alike: dict[tuple[str, str, str, str | None], list[str]] = {}
    for one in types:
        field = one.field.removesuffix(" or null")
        alike.setdefault((one.given, field, one.allowed, one.next_step), []).append(one.column)
    lines = [
        f"\n- {listing(columns, _NAMED)}: {given}; {field} takes {allowed}{f'; {step}' if step else ''}"
        for (given, field, allowed, step), columns in alike.items()
    ]
    if len(lines) <= _MOST_LINES:
        return lines
    left = sum(map(len, list(alike.values())[_MOST_LINES:]))
    return [*lines[:_MOST_LINES], f"\n- and {counted(left, 'other column')}"]


def likely_renames(missing: Sequence[str], extra: Sequence[str]) -> dict[str, str]:
    """The missing field that an extra column most likely is, by the column's name."""
    if len(missing) == len(extra) == 1:
        return {extra[0]: missing[0]}
    left = {name.lower(): name for name in missing}
    found = {}
    for name in extra:
        near = get_close_matches(name.lower(), list(left), n=1, cutoff=0.7)
        if near:
            found[name] = left.pop(near[0])
    return found
