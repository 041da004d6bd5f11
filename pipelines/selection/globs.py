"""Globs compared without backtracking: the time grows with the lengths of glob and text, whatever the glob is.

A regular expression of many stars would try every way to share the text between them.
"""

import re
from collections.abc import Sequence


def segments_of(glob: str) -> tuple[str, ...]:
    """The glob's parts between slashes, in which a row of stars is one star."""
    return tuple(re.sub(r"\*+", "*", glob).split("/"))


def path_matches(segments: Sequence[str], text: str) -> bool:
    """Whether the parts of a glob match a text. `*` and `?` match no slash, so part is compared with part."""
    parts = text.split("/")
    return len(parts) == len(segments) and all(map(segment_matches, segments, parts))


def segment_matches(glob: Sequence[str], text: Sequence[str]) -> bool:
    """Whether a glob without a slash matches a text without a slash.

    Only the last star that was met is ever extended. That is enough: if the characters up to a later star
    match at all, then their first match leaves the most text for the rest.
    """
    at = here = 0
    star, after_star = -1, 0
    while here < len(text):
        one = glob[at] if at < len(glob) else None
        if one == "*":
            star, after_star = at, here
            at += 1
        elif one is not None and one in ("?", text[here]):
            at += 1
            here += 1
        elif star >= 0:
            after_star += 1
            at, here = star + 1, after_star
        else:
            return False
    return all(glob[rest] == "*" for rest in range(at, len(glob)))
