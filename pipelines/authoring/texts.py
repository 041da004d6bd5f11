"""What the text of a declaration may not contain:
pages, databases and servers refuse or cut such characters and classes."""

import re
from typing import Any

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\ud800-\udfff]")
# SQL may compare with any character that UTF-8 has, except the null character, which ends a string in C.
_NO_SQL = re.compile(r"[\x00\ud800-\udfff]")

WITHOUT_CONTROL = (
    "text without control characters and halves of a surrogate pair; line breaks and tabs are allowed"
)


def control_character(text: str) -> str | None:
    """The first control character or lone surrogate of `text`,
    in Python's notation; None if there is none."""
    found = _CONTROL.search(text)
    return ascii(found[0]) if found else None


def no_statement(text: str) -> str | None:
    """The first character of `text` that no SQL statement can have,
    in Python's notation; None if there is none."""
    found = _NO_SQL.search(text)
    return ascii(found[0]) if found else None


def without_class(value: Any) -> Any:
    """The plain text or number of a value of a subclass, such as a member of an Enum:
    Dagster stores only plain ones."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__int__(value)
    return value
