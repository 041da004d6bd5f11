"""Foreign values and errors as text for a message: there is always a text, and it is short."""

import math

# What an author's `__str__` may raise. A Ctrl-C is not caught, because it belongs to the user.
_RAISED = (Exception, SystemExit, GeneratorExit)
_DIGITS_SHOWN = 40
_LONGEST = 120


def text_of(value: object) -> str:
    """`str(value)`. For a whole number that Python refuses to write (more than 4,300 digits): its first
    digits. For a value whose `str` raises: its type."""
    try:
        text = str(value)
        # Python's message about such a number gives advice about Python's own settings, so it is replaced.
        return "a number of more than 4,300 digits" if text.startswith("Exceeds the limit (4300 ") else text
    except _RAISED:
        if type(value) is int:
            return _long(value)
        return f"<{type(value).__name__}, which has no text>"


def repr_of(value: object) -> str:
    """`repr(value)`, with the same exceptions as `text_of`."""
    try:
        return repr(value)
    except _RAISED:
        if type(value) is int:
            return _long(value)
        return f"<{type(value).__name__}, which has no text>"


def brief(value: object, most: int = _LONGEST) -> str:
    """`repr_of(value)` in about `most` characters: of a default of one megabyte, the beginning is enough."""
    return cut(repr_of(value), most)


def cut(text: str, most: int = _LONGEST) -> str:
    """The text; if it is longer than `most`, its first `most` characters and its length."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def raised(error: BaseException) -> str:
    """`ValueError: bad value`; only the type if the error has no text."""
    text = text_of(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _long(number: int) -> str:
    digits = int((number.bit_length() - 1) * math.log10(2)) + 1
    sign, first = "-" if number < 0 else "", abs(number) // 10 ** (digits - _DIGITS_SHOWN)
    return f"{sign}{first}… (about {digits:,} digits)"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 broker`, `3,000 brokers`; with a verb `1 record was`, `2 records were`."""
    return f"{number:,} {noun(number, one, many)}"


def noun(number: int, one: str, many: str = "") -> str:
    """`broker`, `brokers`: only the word, if the number is elsewhere in the text."""
    return one if number == 1 else many or f"{one}s"


def headline(text: str) -> str:
    """The sentence above a list, without the list: for a cell or a line."""
    return text.partition("\n")[0].rstrip(":")
