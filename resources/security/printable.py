"""Text without characters that a terminal would obey instead of show.

A key, a reason or a server's message may hold them: escape sequences that move the cursor, change the title or make
links, and Unicode's controls of direction, with which a text looks like another. They are written as JSON writes them,
`\\u001b`, so that JSON stays JSON of the same values.
"""

import re

# C0 and C1 with DEL (ECMA-48), the controls of direction (UAX 9), separators of lines and paragraphs, the marks of byte
# order and of tags, soft hyphens, and lone surrogates, which no encoding has.
_CONTROLS = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f"
)
_IN_TEXT = re.compile(f"[{_CONTROLS}]")
_IN_LINE = re.compile(f"[{_CONTROLS}\t\n]")


def printable(text: str) -> str:
    """`text`, which may have several lines, with its other control characters escaped."""
    return text if text.isascii() and text.isprintable() else _IN_TEXT.sub(_escaped, text)


def in_one_line(text: str) -> str:
    """`text` with line ends and tabs escaped, too: a cell of a table, or a value within a line."""
    return text if text.isascii() and text.isprintable() else _IN_LINE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character in "\n\t":
        return {"\n": "\\n", "\t": "\\t"}[character]
    data = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{data[place : place + 2].hex()}" for place in range(0, len(data), 2))
