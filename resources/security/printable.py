"""Text without characters that a terminal would execute instead of show.

A key, a reason or a server's message may contain them: escape sequences that move the cursor, change the
title or create links, and Unicode's direction controls, which make a text look like another one. They are
written as in JSON, `\\u001b`, so that JSON stays JSON with the same values.
"""

import re

# C0 and C1 with DEL (ECMA-48), the direction controls (UAX 9), separators of lines and paragraphs, byte order
# marks and tag characters, soft hyphens, and lone surrogates, which no encoding can write.
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
    """`text` with line ends and tabs escaped, too: for a cell of a table, or a value inside a line."""
    return text if text.isascii() and text.isprintable() else _IN_LINE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character in "\n\t":
        return {"\n": "\\n", "\t": "\\t"}[character]
    data = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{data[place : place + 2].hex()}" for place in range(0, len(data), 2))
