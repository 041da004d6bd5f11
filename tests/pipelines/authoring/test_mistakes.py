"""Every mistake that an author can make in a module, and the whole text that reports it."""

import pytest

from tests.pipelines.authoring.conftest import MODULE, Tree

FILE = "assets/flights/flight_departed.py"
CALL = MODULE[MODULE.index("@event") : MODULE.index("def ")]
SOURCE = MODULE[MODULE.index('    source="""') : MODULE.index("\n)\ndef")]
WHERE = "WHERE departed_at >= :window_start AND departed_at < :window_end"
COLUMNS = "flight_id, departed_at, delay_minutes"
FIELDS = "the fields of flight_departed.avsc: flight_id, departed_at, delay_minutes"
ALL = (
    "topic, key, event_time, windows, owner, source, event_id, headers, record_timestamp, dead_letters, "
    "tombstones, whole_window, stale_writes, limits, warehouse, consumers, promise, tags, description"
)
VERSION = (
    "does not end in its version; allowed: a name and a version: '<domain>.<event>.v1'; "
    "a breaking change of the contract is the next version"
)
KEYS = "a non-null string, int, long, bytes, fixed, enum or uuid"
INSTANTS = "a non-null timestamp-millis or timestamp-micros"
CADENCES = "hourly(...), daily(...), weekly(...) or monthly(...), each with its start"
DELAYS = "a number and a unit (w, d, h, m, s), such as '90m', '6h' or '1d 12h'; or a timedelta"
LIMITS = (
    "'block', or the largest share of a window's rows that may be dead, above 0 and below 1, such as 0.01"
)
LAG = 'groups and records, such as lag={"billing": 50_000}, or with the place to go on: {"billing": (50_000, 10_000)}'
PATTERN = "SELECT ... FROM ... WHERE t >= :window_start AND t < :window_end"
SHAPE = "def name(rows: pd.DataFrame) -> pd.DataFrame"
AS_THEY_ARE = "and `return rows` passes the rows on as they are"
NAMED = 'named arguments: @event(topic="...", key="...", event_time="...", windows=..., owner="...", source="...")'
HALF_OPEN = "allowed: half-open windows: >= :window_start AND < :window_end"


def swap(argument: str, new: str) -> dict[str, str]:
    (line,) = [line for line in MODULE.splitlines() if line.startswith(f"    {argument}=")]
    return {line + "\n": f"    {new},\n" if new else ""}


def add(argument: str) -> dict[str, str]:
    return {'    owner="team:operations",\n': f'    owner="team:operations",\n    {argument},\n'}


def where(condition: str) -> dict[str, str]:
    return {WHERE: condition}


IMPORT_LIMITS = {"import daily, event,": "import daily, event, limits,"}

# name: (edit of a good module, line of the mistake, text after "file:line: ")
MISTAKES: dict[str, tuple[dict[str, str], int | None, str]] = {
    # the contract's fields
    "key misspelt": (
        swap("key", 'key="flightid"'),
        10,
        f"key='flightid' is not a field of its contract; allowed: {FIELDS}; next: did you mean key='flight_id'?",
    ),
    "key unknown": (
        swap("key", 'key="aircraft"'),
        10,
        f"key='aircraft' is not a field of its contract; allowed: {FIELDS}; "
        "next: name one of these, or add 'aircraft' to the contract",
    ),
    "key of a wrong type": (
        swap("key", 'key="departed_at"'),
        10,
        f"key='departed_at' has the type timestamp-micros in its contract; allowed: {KEYS}; "
        "next: of the contract's fields these can be a key: flight_id",
    ),
    "key nullable": (
        swap("key", 'key="delay_minutes"'),
        10,
        f"key='delay_minutes' may be null in its contract; allowed: {KEYS}; "
        "next: in flight_departed.avsc, take \"null\" out of the type of 'delay_minutes'",
    ),
    "event time misspelt": (
        swap("event_time", 'event_time="departed"'),
        11,
        f"event_time='departed' is not a field of its contract; allowed: {FIELDS}; "
        "next: did you mean event_time='departed_at'?",
    ),
    "event time of a wrong type": (
        swap("event_time", 'event_time="flight_id"'),
        11,
        f"event_time='flight_id' has the type string in its contract; allowed: {INSTANTS}; "
        "next: of the contract's fields these can be the event time: departed_at",
    ),
    "event id unknown": (
        add('event_id="id"'),
        14,
        f"event_id='id' is not a field of its contract; allowed: {FIELDS}; "
        "next: name one of these, or add 'id' to the contract",
    ),
    "event id of a wrong type": (
        add('event_id="delay_minutes"'),
        14,
        "event_id='delay_minutes' has the type int or null in its contract; allowed: a non-null string or uuid; "
        'next: in flight_departed.avsc, give \'delay_minutes\' "type": {"type": "string", "logicalType": "uuid"}',
    ),
    "event id is the key": (
        add('event_id="flight_id"'),
        14,
        "event_id='flight_id' is also the key, but the id is computed from the key; "
        "allowed: a field of its own, that neither the SQL nor the transform fills; "
        "next: leave event_id out, or name another field",
    ),
    # the arguments by themselves
    "argument missing": (swap("key", ""), 8, '@event has no key; next: add key="flight_id"'),
    "argument misspelt": (
        swap("key", 'keys="flight_id"'),
        10,
        f"@event knows no argument 'keys'; allowed: {ALL}; next: did you mean 'key'?",
    ),
    "argument unknown": (add('colour="red"'), 14, f"@event knows no argument 'colour'; allowed: {ALL}"),
    "argument of a wrong kind": (
        swap("key", "key=3"),
        10,
        'key=3 is not text; allowed: text, such as key="flight_id"',
    ),
    "argument empty": (
        swap("key", 'key=" "'),
        10,
        "key=' ' is empty; allowed: text, such as key=\"flight_id\"",
    ),
    "topic without version": (
        swap("topic", 'topic="flights.flight-departed"'),
        9,
        f"topic='flights.flight-departed' {VERSION}; next: did you mean topic='flights.flight-departed.v1'?",
    ),
    "topic version 0": (
        swap("topic", 'topic="flights.departed.v0"'),
        9,
        f"topic='flights.departed.v0' {VERSION}; next: did you mean topic='flights.departed.v1'?",
    ),
    "topic version upper case": (
        swap("topic", 'topic="flights.departed.V2"'),
        9,
        f"topic='flights.departed.V2' {VERSION}; next: did you mean topic='flights.departed.v2'?",
    ),
    "topic only a version": (swap("topic", 'topic=".v1"'), 9, f"topic='.v1' {VERSION}"),
    "topic illegal": (
        swap("topic", 'topic="flights/flight departed.v1"'),
        9,
        "topic='flights/flight departed.v1' has ' ', '/', which Kafka refuses; "
        "allowed: letters, digits, '.', '_' and '-'; next: did you mean topic='flights.flight-departed.v1'?",
    ),
    "topic too long": (
        swap("topic", f'topic="{"x" * 247}.v1"'),
        9,
        f"topic='{'x' * 40}...' has 250 characters; allowed: at most 249, Kafka's limit",
    ),
    "owner without team": (
        swap("owner", 'owner="Flight Ops"'),
        13,
        "owner='Flight Ops' is neither a team nor a person; allowed: 'team:NAME' or an e-mail address; "
        "next: did you mean owner='team:flight-ops'?",
    ),
    "owner half an address": (
        swap("owner", 'owner="ops@here"'),
        13,
        "owner='ops@here' is neither a team nor a person; allowed: 'team:NAME' or an e-mail address",
    ),
    "headers": (
        add('headers="cloudevent"'),
        14,
        "headers='cloudevent' is not known; allowed: 'none' or 'cloudevents'; next: did you mean headers='cloudevents'?",
    ),
    "record timestamp": (
        add('record_timestamp="event"'),
        14,
        "record_timestamp='event' is not known; allowed: 'publish_time' or 'event_time'; "
        "next: did you mean record_timestamp='event_time'?",
    ),
    "dead letters in per cent": (
        add("dead_letters=5"),
        14,
        f"dead_letters=5 is neither a rule nor a share; allowed: {LIMITS}; next: did you mean dead_letters=0.05 (5 %)?",
    ),
    "dead letters zero": (
        add("dead_letters=0.0"),
        14,
        f"dead_letters=0.0 is neither a rule nor a share; allowed: {LIMITS}; "
        "next: leave it out: by default a single dead letter blocks its window",
    ),
    "dead letters unknown": (
        add('dead_letters="drop"'),
        14,
        f"dead_letters='drop' is neither a rule nor a share; allowed: {LIMITS}",
    ),
    "a switch that is text": (
        add('tombstones="yes"'),
        14,
        "tombstones='yes' is neither True nor False; allowed: True or False",
    ),
    "warehouse": (
        add('warehouse="my warehouse"'),
        14,
        "warehouse='my warehouse' cannot be the name of a warehouse; "
        "allowed: letters from a to z, digits and underscores, as the settings name it; at most 63 of them",
    ),
    "description empty": (
        add('description=""'),
        14,
        "description='' is empty; allowed: text, or leave it out",
    ),
    "no arguments at all": ({CALL: "@event\n"}, 8, f"@event stands without its arguments; allowed: {NAMED}"),
    "arguments not named": (
        {CALL: '@event("flights.flight-departed.v1")\n'},
        8,
        f"the arguments of @event are not named; allowed: {NAMED}",
    ),
    # limits
    "limits as a number": (
        add("limits=5000"),
        14,
        "limits=5000 is no limit; allowed: limits(rows_per_second=..., bytes_per_second=..., lag={...}), at least one "
        "of them; next: write limits=limits(rows_per_second=5000)",
    ),
    "limits of nothing": (
        add("limits=limits()") | IMPORT_LIMITS,
        14,
        "limits() limits nothing; allowed: rows_per_second, bytes_per_second, lag",
    ),
    "a limit of zero": (
        add("limits=limits(rows_per_second=0)") | IMPORT_LIMITS,
        14,
        "limits(): rows_per_second=0 is not a whole number above 0; allowed: a whole number above 0, at most 2^63 - 1",
    ),
    "lag without groups": (
        add("limits=limits(lag=50_000)") | IMPORT_LIMITS,
        14,
        f"limits(): lag=50000 names no consumer groups; allowed: {LAG}",
    ),
    "lag that goes on above where it pauses": (
        add("limits=limits(lag={'billing': (10, 20)})") | IMPORT_LIMITS,
        14,
        f"limits(): lag of 'billing' is (10, 20); allowed: {LAG}",
    ),
    # windows
    "windows as text": (
        swap("windows", 'windows="hourly"'),
        12,
        f'windows=\'hourly\' names no windows; allowed: {CADENCES}; next: write windows=hourly("2013-01-01")',
    ),
    "windows without start": (
        swap("windows", "windows=weekly"),
        12,
        f'windows=weekly lacks its start; allowed: {CADENCES}; next: write windows=weekly("2013-01-07")',
    ),
    "windows called without start": (
        swap("windows", "windows=daily()"),
        12,
        "daily() missing 1 required positional argument: 'start'; "
        'allowed: daily(start, end=None, *, delay="0h"); next: write daily("2013-01-01")',
    ),
    "windows misspelt": (
        swap("windows", 'windows=daly("2013-01-01")'),
        12,
        "the name 'daly' is not defined; next: did you mean 'daily'?",
    ),
    "start that is no date": (
        swap("windows", 'windows=daily("2013-13-01")'),
        12,
        "daily(): start='2013-13-01' is not a date this can read; allowed: a date in UTC, such as '2013-01-01'",
    ),
    "start that is no text": (
        swap("windows", 'windows=daily(__import__("datetime").date(2013, 1, 1))'),
        12,
        "daily(): start=datetime.date(2013, 1, 1) is not text; allowed: a date in UTC, such as '2013-01-01'; "
        "next: write it as text: '2013-01-01'",
    ),
    "week that starts on a Tuesday": (
        swap("windows", 'windows=weekly("2013-01-01")'),
        12,
        "weekly(): start='2013-01-01' is a Tuesday, and weeks start on Monday; "
        "allowed: a Monday in UTC, such as '2013-01-07'; next: write '2012-12-31' or '2013-01-07'",
    ),
    "month that starts in its middle": (
        swap("windows", 'windows=monthly("2013-12-15")'),
        12,
        "monthly(): start='2013-12-15' is inside a window; months start on the 1st; "
        "allowed: the first of a month in UTC, such as '2013-01-01' or '2013-01'; "
        "next: write '2013-12-01' or '2014-01-01'",
    ),
    "hour that starts in its middle": (
        swap("windows", 'windows=hourly("2013-01-01-05:30")'),
        12,
        "hourly(): start='2013-01-01-05:30' is inside a window; hours start at minute 00; "
        "allowed: a date or hour in UTC, such as '2013-01-01' or '2013-01-01-05:00'; next: write '2013-01-01-05:00'",
    ),
    "end before start": (
        swap("windows", 'windows=daily("2013-01-01", "2012-01-01")'),
        12,
        "daily(): end='2012-01-01' is not after start='2013-01-01', so there would be no window; "
        "allowed: an end after the start; the end itself is not included; "
        "next: leave the end out for an event that goes on",
    ),
    "delay in words": (
        swap("windows", 'windows=daily("2013-01-01", delay="soon")'),
        12,
        f"delay='soon' is not a length of time; allowed: {DELAYS}",
    ),
    "delay negative": (
        swap("windows", 'windows=daily("2013-01-01", delay="-2h")'),
        12,
        f"delay='-2h' is negative, but a window cannot be complete before it ends; allowed: {DELAYS}",
    ),
    "delay of years": (
        swap("windows", 'windows=daily("2013-01-01", delay="9999h")'),
        12,
        f"delay='9999h' is more than a year; allowed: {DELAYS}; next: check its unit",
    ),
    # the SQL; its lines are those of the file
    "source is a table": (
        {SOURCE: '    source="flights",'},
        14,
        f"source='flights' is not a SELECT; allowed: one query: {PATTERN}; "
        "next: did you mean 'SELECT ... FROM flights WHERE ... >= :window_start AND ... < :window_end'?",
    ),
    "source is a file": (
        {SOURCE: '    source="flights.sql",'},
        14,
        f"source='flights.sql' is not a SELECT; allowed: one query: {PATTERN}; "
        "next: write the SQL itself in the module; a name of a file is not read",
    ),
    "SELECT misspelt": (
        {SOURCE: '    source="SELCT a FROM b",'},
        14,
        f"source='SELCT a FROM b' is not a SELECT; allowed: one query: {PATTERN}; next: did you mean 'SELECT'?",
    ),
    "a statement that writes": (
        {SOURCE: '    source="DELETE FROM flights",'},
        14,
        f"source='DELETE FROM flights' is not a SELECT; allowed: one query: {PATTERN}",
    ),
    "no bounds": (
        where(""),
        15,
        "the SQL has no :window_start and no :window_end, so every window would hold the same rows; "
        f"allowed: both :window_start and :window_end: {PATTERN}; "
        "next: bound the time by which a row belongs to its window",
    ),
    "one bound": (
        where("WHERE departed_at >= :window_start"),
        15,
        "the SQL has no :window_end, so one row would be in many windows; "
        f"allowed: both :window_start and :window_end: {PATTERN}; "
        "next: bound the time by which a row belongs to its window",
    ),
    "bounds in quotes": (
        where("WHERE departed_at >= ':window_start' AND departed_at < ':window_end'"),
        15,
        "the SQL has no :window_start and no :window_end, so every window would hold the same rows; "
        f"allowed: both :window_start and :window_end: {PATTERN}; "
        "next: take the quotes off; inside them it is plain text",
    ),
    "bounds in a comment": (
        where(f"-- {WHERE}"),
        15,
        "the SQL has no :window_start and no :window_end, so every window would hold the same rows; "
        f"allowed: both :window_start and :window_end: {PATTERN}; "
        "next: bound the time by which a row belongs to its window",
    ),
    "parameter unknown": (
        where(f"{WHERE} AND origin = :airport"),
        17,
        "the SQL has the parameter ':airport', which nothing binds; "
        "allowed: both :window_start and :window_end, and no other; "
        "next: did you mean :window_start or :window_end? A value of your own is written into the SQL itself",
    ),
    "parameter nearly right": (
        where("WHERE departed_at >= :window_start AND departed_at < :window_until"),
        17,
        "the SQL has the parameter ':window_until', which nothing binds; "
        "allowed: both :window_start and :window_end, and no other; "
        "next: did you mean :window_end? A value of your own is written into the SQL itself",
    ),
    "parameter of another style": (
        where("WHERE departed_at >= :window_start AND departed_at < $window_end"),
        17,
        "the SQL has the parameter '$window_end', which nothing binds; "
        "allowed: both :window_start and :window_end, and no other; next: write :window_end",
    ),
    "template": (
        where("WHERE departed_at >= '{{ start }}'"),
        17,
        "the SQL has '{{', but nothing fills in templates: values are bound by the driver; "
        f"allowed: both :window_start and :window_end; next: write {PATTERN}, without quotes",
    ),
    "BETWEEN": (
        where("WHERE departed_at BETWEEN :window_start AND :window_end"),
        17,
        f"the SQL has BETWEEN ... AND :window_end: a row on the bound would be in two windows; {HALF_OPEN}; "
        "next: write departed_at >= :window_start AND departed_at < :window_end",
    ),
    "end included": (
        where("WHERE departed_at >= :window_start AND departed_at <= :window_end"),
        17,
        f"the SQL has departed_at <= :window_end: a row on the bound would be in two windows; {HALF_OPEN}; "
        "next: write departed_at >= :window_start AND departed_at < :window_end",
    ),
    "start excluded": (
        where("WHERE :window_start < departed_at AND departed_at < :window_end"),
        17,
        f"the SQL has departed_at > :window_start: a row on the bound would be in no window, and lost; {HALF_OPEN}; "
        "next: write departed_at >= :window_start",
    ),
    "bounds swapped": (
        where("WHERE departed_at < :window_start AND departed_at >= :window_end"),
        17,
        "the SQL has :window_start and :window_end the wrong way round, so no row of departed_at fits; "
        "allowed: departed_at >= :window_start AND departed_at < :window_end; next: swap them",
    ),
    "SQL that does not parse": (
        where(f"{WHERE} GROUP"),
        17,
        f"the SQL cannot be read at 'GROUP' in '{WHERE} GROUP': Invalid expression / Unexpected token; "
        "next: mend it; where the warehouse itself takes it, put that part in a view",
    ),
    "quote never closed": (
        where(f"{WHERE} AND origin = 'EWR"),
        15,
        "the SQL has a quote or comment that is never closed; next: count its quotes and /* */ pairs",
    ),
    "two statements": (
        where(f"{WHERE}; SELECT 1"),
        17,
        "the SQL has 2 statements; allowed: one SELECT; next: join them by WITH name AS (SELECT ...) SELECT ...",
    ),
    "column twice": (
        {COLUMNS: "flight_id, departed_at, delay_minutes, Flight_ID"},
        15,
        "the SQL gives two columns the name 'flight_id'; allowed: each name once; next: rename one with AS",
    ),
    "column not in the contract": (
        {COLUMNS: f"{COLUMNS}, aircraft"},
        14,
        f"the SQL gives 'aircraft', which is not a field of its contract, {AS_THEY_ARE}; allowed: {FIELDS}; "
        "next: take 'aircraft' out, or add it to the contract",
    ),
    "column by another name": (
        {COLUMNS: "flight_id, departed_at, dep_delay"},
        14,
        f"the SQL and the contract differ, {AS_THEY_ARE}: other names: dep_delay for delay_minutes; allowed: {FIELDS}; "
        "next: did you mean dep_delay AS delay_minutes?",
    ),
    "column missing": (
        {COLUMNS: "flight_id, departed_at"},
        14,
        f"the SQL does not give 'delay_minutes', a field of its contract, {AS_THEY_ARE}; allowed: {FIELDS}; "
        "next: select it: ... AS delay_minutes",
    ),
    "column without a name": (
        {COLUMNS: "flight_id, departed_at, round(delay)"},
        14,
        f"column 3 of the SQL has no name of its own, {AS_THEY_ARE}; allowed: {FIELDS}; "
        "next: name it: ... AS delay_minutes",
    ),
    # the function
    "function named otherwise": (
        {"def flight_departed": "def flight_left"},
        20,
        "the function flight_left is not named as its file; allowed: flight_departed in flight_departed.py; "
        "next: did you mean def flight_departed(rows)? Or rename module and contract to flight_left",
    ),
    "async": (
        {"def flight_departed": "async def flight_departed"},
        8,
        f"flight_departed() is async; a transform is pure and waits for nothing; allowed: {SHAPE}",
    ),
    "generator": (
        {"    return rows\n": "    yield rows\n"},
        20,
        f"flight_departed() yields; a transform returns one frame; allowed: {SHAPE}",
    ),
    "nothing returned": (
        {"    return rows\n": "    rows = rows.dropna()\n"},
        20,
        "flight_departed() returns nothing; allowed: a frame with the contract's fields as its columns; "
        "next: write `return rows` where the rows need no change",
    ),
    "two parameters": (
        {"(rows: pd.DataFrame) -> pd.DataFrame": "(rows, window)"},
        20,
        f"flight_departed(rows, window) cannot be called with the rows alone; allowed: {SHAPE}",
    ),
    "a class": (
        {MODULE[MODULE.index("def ") :]: "class flight_departed:\n    pass\n"},
        8,
        f"@event stands over a class, not over a function; allowed: {SHAPE}",
    ),
    # the module
    "no event": (
        {CALL: ""},
        None,
        "the module declares no event; allowed: one function under @event, named as its file; "
        "next: put @event(...) over a function flight_departed(rows), or rename a module of helpers to "
        "_flight_departed.py",
    ),
    "no docstring": (
        {'"""A flight left its gate."""': ""},
        1,
        "the module says nowhere what happened; allowed: a docstring as its first line; "
        'next: write """A flight left its gate."""',
    ),
    "syntax": ({"import pandas as pd": "import pandas as"}, 3, "Python cannot read 'import pandas as': invalid syntax"),
    "package not installed": (
        {"import pandas as pd": "import pandsa as pd"},
        3,
        "the package 'pandsa' is not installed here; next: check its spelling, or add pandsa to pyproject.toml",
    ),
    "authoring name misspelt": (
        {"import daily, event": "import dialy, event"},
        5,
        "pipelines has no 'dialy'; allowed: event, limits, hourly, daily, weekly, monthly, promise, topic; next: did you mean 'daily'?",
    ),
    "authoring name not imported": (
        {"import daily, event": "import daily"},
        8,
        "event is not imported; next: add: from pipelines import event",
    ),
    "module of ours that is not there": (
        {"import pandas as pd": "from assets.flights import _times"},
        3,
        "an import fails: cannot import name '_times' from 'assets.flights'",
    ),
    "an exception": (
        {"import pandas as pd": "1 / 0"},
        3,
        "importing it raises ZeroDivisionError: division by zero",
    ),
    "an exit": (
        {"import pandas as pd": "raise SystemExit(3)"},
        3,
        "importing it ends the program; allowed: declarations and functions only; next: take the exit out of the module",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_told_with_its_line(tree: Tree, name: str) -> None:
    edit, line, text = MISTAKES[name]
    tree.event(replace=edit)
    where = FILE if line is None else f"{FILE}:{line}"
    assert tree.problem() == f"{where}: {text}"


def test_the_module_the_mistakes_are_made_in_is_right(tree: Tree) -> None:
    tree.event()
    assert [event.full_name for event in tree.load()] == ["flights/flight_departed"]


@pytest.mark.parametrize(
    ("avro", "text"),
    [
        (
            {"type": "int", "logicalType": "date"},
            "has the type date in its contract, a day and not an instant",
        ),
        (
            {"type": "long", "logicalType": "local-timestamp-micros"},
            "has the type local-timestamp-micros in its contract, which is no instant without a time zone",
        ),
        ("long", "has the type long in its contract"),
    ],
)
def test_without_any_instant_the_contract_is_shown_how(tree: Tree, avro: object, text: str) -> None:
    tree.event(fields={"departed_at": avro})
    assert tree.problem() == (
        f"{FILE}:11: event_time='departed_at' {text}; allowed: {INSTANTS}; "
        "next: in flight_departed.avsc, give 'departed_at' \"type\": "
        '{"type": "long", "logicalType": "timestamp-micros"}'
    )


def test_event_time_that_may_be_null(tree: Tree) -> None:
    tree.event(fields={"departed_at": ["null", {"type": "long", "logicalType": "timestamp-millis"}]})
    assert tree.problem() == (
        f"{FILE}:11: event_time='departed_at' may be null in its contract; allowed: {INSTANTS}; "
        "next: in flight_departed.avsc, take \"null\" out of the type of 'departed_at'"
    )


@pytest.mark.parametrize(
    "avro",
    [
        "string", "int", "long", "bytes",
        {"type": "fixed", "name": "F", "size": 4},
        {"type": "enum", "name": "E", "symbols": ["A"]},
        {"type": "string", "logicalType": "uuid"},
    ],
    ids=str,
)  # fmt: skip
def test_types_that_a_key_may_have(tree: Tree, avro: object) -> None:
    tree.event(fields={"flight_id": avro})
    assert len(tree.load()) == 1


@pytest.mark.parametrize(
    "avro",
    ["boolean", "double", {"type": "int", "logicalType": "date"}, {"type": "array", "items": "string"}],
    ids=str,
)
def test_types_that_a_key_may_not_have(tree: Tree, avro: object) -> None:
    tree.event(fields={"flight_id": avro})
    assert tree.problem().endswith(
        f"allowed: {KEYS}; next: add a field to the contract that holds the key as text"
    )


def test_the_id_field_is_not_selected(tree: Tree) -> None:
    tree.event(replace=add('event_id="id"') | {COLUMNS: f"{COLUMNS}, id"}, fields={"id": "string"})
    assert tree.problem() == (
        f"{FILE}:15: the SQL gives 'id', which Sluice fills itself (event_id='id'); "
        "allowed: the other fields of the contract; next: take 'id' out of the SQL, or take event_id out of @event"
    )


def test_a_transform_may_rename_columns(tree: Tree) -> None:
    tree.event(replace={COLUMNS: "a, b", "return rows": "return rows.rename(columns={})"})
    assert len(tree.load()) == 1


def test_several_mistakes_of_one_declaration_come_together(tree: Tree) -> None:
    tree.event(
        replace=swap("key", 'keey="flight_id"')
        | swap("topic", 'topic="Flights"')
        | swap("windows", 'windows=daily("soon", delay="later")')
        | swap("event_time", 'event_time="departed"')
        | swap("owner", "")
        | {":window_end": ":window_stop"}
    )
    lines = [
        (problem.split(": ")[0].rpartition(":")[2], problem.split(": ")[1]) for problem in tree.problems()
    ]
    assert lines == [
        ("8", "@event has no owner; next"),
        ("9", "topic='Flights' does not end in its version; allowed"),
        ("10", "@event knows no argument 'keey'; allowed"),
        ("11", "event_time='departed' is not a field of its contract; allowed"),
        ("12", "daily()"),
        ("12", "delay='later' is not a length of time; allowed"),
        ("16", "the SQL has the parameter ':window_stop', which nothing binds; allowed"),
    ]


def test_two_events_in_one_module(tree: Tree) -> None:
    second = MODULE[MODULE.index("\n@event") :].replace("def flight_departed", "def gate_closed")
    tree.event(replace={"    return rows\n": "    return rows\n" + second})
    assert tree.problem() == (
        f"{FILE}:23: the module declares 2 events: flight_departed, gate_closed; "
        "allowed: one function under @event, named as its file; "
        "next: move all but flight_departed to modules of their own"
    )


def test_the_same_name_declared_twice_does_not_hide_the_first(tree: Tree) -> None:
    second = MODULE[MODULE.index("\n@event") :]
    tree.event(replace={"    return rows\n": "    return rows\n" + second})
    assert "declares 2 events: flight_departed, flight_departed" in tree.problem()
