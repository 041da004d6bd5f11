"""What is wrong with a JSON text, for the person who wrote it: the place, what was
found, and what was expected."""

import json
import re

from resources.errors import SluiceError
from resources.wording import cut

_EXPECTED = {
    "Expecting value": "a value: text in double quotes, a number, true, false, null, {…} or […]",
    "Expecting property name enclosed in double quotes": "a name in double quotes, or }",
    "Expecting ':' delimiter": "':' between a name and its value",
    "Expecting ',' delimiter": "',' before the next entry, or the closing bracket",
    "Extra data": "the end of the text: one JSON value is all that it may hold",
    "Unterminated string starting at": "'\"' at the end of the text that begins there",
    "Invalid control character at": "\\n, \\t or another escape: a line break or a tab may not stand in a text as it is",
    "Invalid \\escape": 'one of \\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX',
    "Invalid \\uXXXX escape": "\\u and four hexadecimal digits",
    "Illegal trailing comma before end of object": "the next entry, or no comma before the bracket",
    "Illegal trailing comma before end of array": "the next entry, or no comma before the bracket",
}
_WORDS = {"None": "null", "True": "true", "False": "false"}
_SHOWN = 60


def what_is_wrong(text: str, error: json.JSONDecodeError) -> tuple[str, str]:
    """The problem, with its line, its column and the text of the line; and what is allowed there."""
    found, expected = _at(text, error)
    line = text.split("\n")[error.lineno - 1].strip() if text else ""
    shown = f": {cut(line, _SHOWN)}" if line else ""
    return f"line {error.lineno}, column {error.colno} is not JSON, {found}{shown}", expected


def _at(text: str, error: json.JSONDecodeError) -> tuple[str, str]:
    expected = _EXPECTED.get(error.msg, error.msg)
    rest = text[error.pos :]
    before = text[: error.pos].rstrip()
    word = re.match(r"[A-Za-z_]\w*", rest)
    if not rest.strip():
        return "the text ends there", expected
    if rest[0] in "}]" and before.endswith(","):
        return f"there is a ',' before '{rest[0]}'", _EXPECTED["Illegal trailing comma before end of object"]
    if before.endswith(",") and error.msg.startswith("Illegal trailing comma"):
        return "there is a ',' before the closing bracket", expected
    if rest.startswith(("//", "/*", "#")):
        return "there is a comment, which JSON does not know", expected
    if rest[0] == "'":
        return "there is a single quote", "text in double quotes"
    if word and word[0] in _WORDS:
        return f"there is {word[0]}", f"{_WORDS[word[0]]}, as JSON writes it"
    return f"there is {cut(repr(word[0] if word else rest[0]), _SHOWN)}", expected


def parse_json(where: str, text: str, *, next_step: str | None = None) -> object:
    """The value of a JSON text. Raises SluiceError with the problem and what was expected."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        problem, expected = what_is_wrong(text, error)
        raise SluiceError(where, problem, allowed=expected, next_step=next_step) from None
    except RecursionError:
        raise SluiceError(where, "is nested too deep to be read", next_step=next_step) from None
    except ValueError:
        raise SluiceError(where, "holds a number of more than 4,300 digits", next_step=next_step) from None
