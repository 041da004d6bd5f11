"""Finds the line of an event's module that a warehouse's error is about:
warehouses count only the lines of the query."""

import re

from pipelines.authoring.event import Event

# The forms of DuckDB, and of what resources.warehouse.postgresql makes of PostgreSQL's errors.
_POINTERS = (
    re.compile(r"LINE (?P<number>\d+): (?P<text>.*)$", re.MULTILINE),
    re.compile(r"in line (?P<number>\d+), (?P<quote>['\"])(?P<text>.*?)(?P=quote)"),
)
_QUOTED = re.compile(r'"([^"]+)"')
# The most lines that the queries around the event's own add before it.
_MOST_AROUND = 3
# PostgreSQL gets the window's bounds as text in the query, and shows only a part of a long line.
_BOUND = re.compile(r"\(TIMESTAMPTZ '[^']*'\)")
_CUT_START = re.compile(r"^(?:[A-Z]{0,11} ?'?[-+:. \d]*'\)|[-+:. \d]*'\))")
_CUT_END = re.compile(
    r"\((?:T|TI|TIM|TIME|TIMES|TIMEST|TIMESTA|TIMESTAM|TIMESTAMP|TIMESTAMPT|TIMESTAMPTZ(?: (?:'[-+:. \d]*'?)?)?)?$"
)
_CUT_BOUND = re.compile(r"'?[-+:. \d]*'?\)?")
_PARAMETER = re.compile(r"(?:[:$]|%\()(\w+)\)?s?")


def in_module(event: Event, problem: str) -> str:
    """`problem` with the line of the module in place of the line of the query, or with the line that contains
    the name that it quotes; unchanged if that line is not known."""
    name = event.module_path.name
    for pointer in _POINTERS:
        found = pointer.search(problem)
        if found is None:
            continue
        line = _line(event, found["text"], int(found["number"]))
        if line is None:
            return problem
        text, quote = found["text"].strip(), found.groupdict().get("quote")
        told = (
            f"in line {line} of {name}, {quote}{text}{quote}"
            if quote
            else f"at line {line} of {name}: {text}"
        )
        return f"{problem[: found.start()]}{told}{problem[found.end() :]}"
    for quoted in _QUOTED.findall(problem):
        places = [
            text
            for text in event.source.sql.splitlines()
            if re.search(rf"(?<!\w){re.escape(quoted)}(?!\w)", text)
        ]
        line = _line(event, places[0]) if len(places) == 1 else None
        if line is not None:
            return f"{problem}; at line {line} of {name}: {places[0].strip()}"
    return problem


def _line(event: Event, excerpt: str, number: int | None = None) -> int | None:
    """The line (from 1) of the module that contains this part of the query; None if it is not known. The
    warehouse gets the query inside other queries, so its `number` may be a few lines too high."""
    try:
        module = event.module_path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    shown = _pattern(excerpt)
    query = [_bare(line).strip() for line in event.source.sql.splitlines()]
    found = [place for place, line in enumerate(query) if shown and re.search(shown, line)]
    if len(found) > 1 and number is not None:
        found = [place for place in found if 0 <= number - 1 - place <= _MOST_AROUND]
    if len(found) != 1:
        return None
    same = [place for place, line in enumerate(query) if line == query[found[0]]]
    lines = [place for place, line in enumerate(module, 1) if query[found[0]] in _bare(line)]
    # If the line occurs more than once, its position among the equal lines decides,
    # if query and module have equally many.
    return lines[same.index(found[0])] if len(lines) == len(same) else None


def _pattern(excerpt: str) -> str:
    """A pattern of the line of which a part is shown: `...` is text that was left out, and a bound of the
    window, whole or cut, is its parameter. Empty if nothing is shown."""
    pieces = [
        _CUT_END.sub("", _CUT_START.sub("", piece)).strip()
        for part in excerpt.strip().split("...")
        for piece in _BOUND.split(_bare(part))
        if not _CUT_BOUND.fullmatch(piece.strip())
    ]
    return ".*".join(re.escape(piece) for piece in pieces if piece)


def _bare(line: str) -> str:
    return _PARAMETER.sub(r":\1", line)
