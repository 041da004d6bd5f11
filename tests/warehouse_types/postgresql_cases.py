"""Every type of PostgreSQL, with ordinary, extreme and odd values."""

from datetime import UTC, date, datetime, time
from decimal import Decimal

from tests.warehouse_types.cases import Case, exact, refused
from tests.warehouse_types.through import Dead

SETUP = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS integer CHECK (value > 0);
CREATE DOMAIN price AS numeric(12, 2);
CREATE DOMAIN cheap AS price;
CREATE DOMAIN feeling AS mood;
CREATE DOMAIN codes AS text[];
CREATE DOMAIN span AS interval;
CREATE DOMAIN cash AS money;
CREATE DOMAIN spans AS interval[];
CREATE TYPE pair AS (a integer, b text);
CREATE DOMAIN two AS pair;
CREATE TYPE speeds AS RANGE (subtype = float8);
CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE SCHEMA mine;
-- Names of the server's own types, and other things.
CREATE TYPE mine.uuid AS (a integer);
CREATE TYPE mine.date AS ENUM ('x');
CREATE TYPE mine.citext AS (a integer, b integer);
CREATE DOMAIN mine.text AS bit(3);
"""
_FAR = Dead("infinite")
_UUID = "00112233-4455-6677-8899-aabbccddeeff"


def _refused(*types: tuple[str, str]) -> list[Case]:
    return [refused(type_, value) for type_, value in types]


CASES: tuple[Case, ...] = (
    exact("boolean", ("true", True), ("false", False), covers=("bool",)),
    exact("smallint", ("'-32768'", -(2**15)), ("32767", 2**15 - 1), covers=("int2",)),
    exact("integer", ("'-2147483648'", -(2**31)), ("2147483647", 2**31 - 1), covers=("int4",)),
    exact(
        "bigint", ("'-9223372036854775808'", -(2**63)), ("9223372036854775807", 2**63 - 1), covers=("int8",)
    ),
    exact(
        "real", ("1.5", 1.5), ("'-0'", -0.0), ("'NaN'", Dead("nan")), ("'Infinity'", _FAR), covers=("float4",)
    ),
    exact(
        "double precision",
        ("0.1", 0.1),
        ("'5e-324'", 5e-324),
        ("'NaN'", Dead("nan")),
        ("'-Infinity'", _FAR),
        covers=("float8",),
    ),
    exact("numeric(10,2)", ("'-99999999.99'", Decimal("-99999999.99")), ("0.01", Decimal("0.01"))),
    exact("numeric(76,10)", ("9" * 66 + ".0000000001", Decimal("9" * 66 + ".0000000001")), shown=False),
    exact("numeric(5,-2)", ("1234567", Decimal(1234600)), shown=False),
    exact("numeric(3,5)", ("0.00999", Decimal("0.00999")), shown=False),
    exact("numeric", ("1.500", "1.500"), ("1e40", "1" + "0" * 40), ("1e-20", "0." + "0" * 19 + "1")),
    exact("numeric(77,0)", ("9" * 77, "9" * 77), shown=False),
    exact("text", ("''", ""), ("'żółw 🐢'", "żółw 🐢")),
    exact("varchar(3)", ("'abc'", "abc"), covers=("varchar",)),
    exact("char(3)", ("'a'", "a  "), covers=("bpchar",)),
    exact('"char"', ("'x'", "x"), ("''", ""), covers=("char",)),
    exact("name", ("'relname'", "relname")),
    exact("citext", ("'A'", "A"), ("'a'", "a")),
    exact("uuid", (f"'{_UUID.upper()}'", _UUID)),
    exact("json", ("""'{"b":  1, "a": 1.0}'""", '{"b":  1, "a": 1.0}')),
    exact("jsonb", ("""'{"b":  1, "a": 1.0}'""", '{"a": 1.0, "b": 1}')),
    exact("xml", ("'<a/>'", "<a/>")),
    exact("macaddr", ("'08:00:2B:01:02:03'", "08:00:2b:01:02:03")),
    exact("macaddr8", ("'08:00:2B:01:02:03:04:05'", "08:00:2b:01:02:03:04:05")),
    exact("refcursor", ("'c'", "c"), shown=False),
    exact("bytea", ("''", b""), (r"'\x00ff'", b"\x00\xff")),
    exact(
        "date",
        ("'0001-01-01'", date.min),
        ("'9999-12-31'", date.max),
        ("'infinity'", _FAR),
        ("'-infinity'", _FAR),
    ),
    exact("time", ("'00:00'", time()), ("'23:59:59.999999'", time.max), ("'24:00'", Dead("out_of_range"))),
    refused("time with time zone", "'12:30+02'", "'24:00-15:59'", covers=("timetz",)),
    exact(
        "timestamp",
        ("'0001-01-01'", datetime.min),
        ("'9999-12-31 23:59:59.999999'", datetime.max),
        ("'infinity'", _FAR),
    ),
    exact(
        "timestamptz",
        ("'2013-07-01 00:00:00.000001+05:45'", datetime(2013, 6, 30, 18, 15, 0, 1, UTC)),
        ("'-infinity'", _FAR),
    ),
    refused("interval", "'1 month 1 day'", "'-1 second'"),
    refused("money", "'1.50'", "'-92233720368547758.08'"),
    refused("oid", "4294967295"),
    refused("bit(4)", "'0101'", covers=("bit",)),
    refused("bit varying", "'0101'", "''", covers=("varbit",)),
    refused("inet", "'10.0.0.1/8'"),
    refused("cidr", "'10.0.0.0/8'"),
    *_refused(
        ("point", "'(1,2)'"),
        ("line", "'{1,2,3}'"),
        ("lseg", "'((1,2),(3,4))'"),
        ("box", "'((1,2),(3,4))'"),
        ("path", "'((1,2),(3,4))'"),
        ("polygon", "'((1,2),(3,4))'"),
        ("circle", "'<(1,2),3>'"),
        ("int4range", "'[1,)'"),
        ("int8range", "'empty'"),
        ("numrange", "'[1.5,2]'"),
        ("daterange", "'(,2020-01-01]'"),
        ("tsrange", "'[2020-01-01,)'"),
        ("tstzrange", "'[2020-01-01,)'"),
        ("int4multirange", "'{[1,2)}'"),
        ("int8multirange", "'{}'"),
        ("nummultirange", "'{[1,2)}'"),
        ("datemultirange", "'{[2020-01-01,)}'"),
        ("tsmultirange", "'{}'"),
        ("tstzmultirange", "'{}'"),
        ("tsvector", "'a b'"),
        ("tsquery", "'a & b'"),
        ("jsonpath", "'$.a'"),
        ("regclass", "'pg_class'"),
        ("regtype", "'int4'"),
        ("regproc", "'now'"),
        ("regprocedure", "'now()'"),
        ("regoper", "'||/'"),
        ("regoperator", "'+(int4,int4)'"),
        ("regconfig", "'english'"),
        ("regdictionary", "'simple'"),
        ("regcollation", "'\"C\"'"),
        ("regnamespace", "'pg_catalog'"),
        ("regrole", "'sluice'"),
        ("tid", "'(0,1)'"),
        ("xid", "'1'"),
        ("xid8", "'1'"),
        ("cid", "'1'"),
        ("pg_lsn", "'0/0'"),
        ("pg_snapshot", "'1:1:'"),
        ("txid_snapshot", "'1:1:'"),
        ("aclitem", "'=r/sluice'"),
        ("int2vector", "'1 2'"),
        ("oidvector", "'1 2'"),
        ("hstore", "'a=>1'"),
    ),
    exact("mood", ("'sad'", "sad"), ("'ok'", "ok"), shown=False),
    exact("positive", ("7", 7), shown=False),
    exact("price", ("9999999999.99", Decimal("9999999999.99")), shown=False),
    exact("cheap", ("0.01", Decimal("0.01")), shown=False),
    exact("feeling", ("'sad'", "sad"), shown=False),
    exact("codes", ("'{a,NULL}'", ["a", None]), shown=False),
    exact("mine.date", ("'x'", "x"), shown=False),
    exact("integer[]", ("'{1,NULL}'", [1, None]), ("'{}'", [])),
    exact("text[]", ("""'{"a,b",NULL,"NULL"}'""", ["a,b", None, "NULL"]), shown=False),
    exact("double precision[]", ("'{0.1}'", [0.1]), ("'{0.1,Infinity}'", _FAR), shown=False),
    exact("date[]", ("'{2020-02-29}'", [date(2020, 2, 29)]), ("'{infinity}'", _FAR), shown=False),
    exact("bytea[]", (r"""'{"\\x00ff",NULL}'""", [b"\x00\xff", None]), shown=False),
    exact("numeric[]", ("'{1.50,-0.001}'", ["1.50", "-0.001"])),
    exact("uuid[]", (f"'{{{_UUID.upper()}}}'", [_UUID])),
    exact("mood[]", ("'{ok,sad,NULL}'", ["ok", "sad", None]), shown=False),
    exact("positive[]", ("'{7,NULL}'", [7, None]), shown=False),
    exact("price[]", ("'{0.10}'", ["0.10"]), shown=False),
    exact("feeling[]", ("'{ok}'", ["ok"]), shown=False),
    exact("citext[]", ("'{A,a}'", ["A", "a"]), shown=False),
    exact("mine.date[]", ("'{x}'", ["x"]), shown=False),
    *(
        refused(type_, value, shown=False)
        for type_, value in (
            ("pair", "ROW(1, 'a')"),
            ("two", "ROW(1, 'a')"),
            ("span", "'1 day'"),
            ("cash", "'1.50'"),
            ("spans", "'{1 day}'"),
            ("speeds", "'[1,2]'"),
            ("mine.uuid", "ROW(1)"),
            ("mine.citext", "ROW(1, 2)"),
            ("mine.text", "'101'"),
            ("pair[]", "ARRAY[ROW(1, 'a')::pair]"),
            ("interval[]", "'{1 day}'"),
            ("money[]", "'{1.50}'"),
            ("oid[]", "'{4294967295}'"),
            ("bit varying[]", "'{01}'"),
            ("time with time zone[]", "'{12:00+02}'"),
            ("int4range[]", """'{"[1,2)"}'"""),
            ("span[]", "'{1 day}'"),
            ("codes[]", "ARRAY['{a}'::codes]"),
            ("mine.uuid[]", "ARRAY[ROW(1)::mine.uuid]"),
            ("mine.text[]", "'{101}'"),
            ("point[]", "'{\"(1,2)\"}'"),
        )
    ),
)
# Types that PostgreSQL uses only itself, for columns of its catalogue: they accept no input.
INTERNAL = (
    "gtsvector",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_ndistinct",
    "pg_node_tree",
)
