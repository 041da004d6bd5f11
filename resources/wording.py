"""Values and errors of others as text for a message: whatever they are, there is a text, and a short one."""

import math

# What an author's `__str__` may raise; a Ctrl-C is the user's.
_RAISED = (Exception, SystemExit, GeneratorExit)
_DIGITS_SHOWN = 40
_LONGEST = 120


def text_of(value: object) -> str:
    """`str(value)`. A whole number that Python refuses to write (more than 4,300 digits) has its first digits; of what
    raises when it is asked for its text, the type is said."""
    try:
        text = str(value)
        # Python's advice for such a number in a text is about Python's own settings.
        return "a number of more than 4,300 digits" if text.startswith("Exceeds the limit (4300 ") else text
    except _RAISED:
        if type(value) is int:
            return _long(value)
        return f"<{type(value).__name__}, which has no text>"


def repr_of(value: object) -> str:
    """`repr(value)`, as `text_of` has it for `str`."""
    try:
        return repr(value)
    except _RAISED:
        if type(value) is int:
            return _long(value)
        return f"<{type(value).__name__}, which has no text>"


def brief(value: object, most: int = _LONGEST) -> str:
    """`repr_of(value)` in about `most` characters: a default of a megabyte says no more than its beginning."""
    return cut(repr_of(value), most)


def cut(text: str, most: int = _LONGEST) -> str:
    """The text, or its first `most` characters and how many there are."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def raised(error: BaseException) -> str:
    """`ValueError: bad value`; the type alone where the error has no text."""
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
    """`broker`, `brokers`: the word alone, where the number stands elsewhere."""
    return one if number == 1 else many or f"{one}s"


def headline(text: str) -> str:
    """What is said of a list below it, without the list: for a cell or a line."""
    return text.partition("\n")[0].rstrip(":")
