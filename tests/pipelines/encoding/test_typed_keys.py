"""A key that a person types is the key of the rows with this value, whichever spelling the person uses."""

import uuid
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.contract.arrow_mapping import arrow_type
from pipelines.contract.avro_type import AvroType
from pipelines.encoding.keys import NotAKey, key_bytes, typed_key

STRING = AvroType("string")
UUID = AvroType("string", "uuid")
FIXED_UUID = AvroType("fixed", "uuid", size=16, name="sixteen")
INT, LONG = AvroType("int"), AvroType("long")
BYTES, FIXED = AvroType("bytes"), AvroType("fixed", size=4, name="four")
ENUM = AvroType("enum", symbols=("LATE", "VERY_LATE"), name="severity")


def kept(value: Any, kind: pa.DataType) -> bytes:
    """The key on the topic of a row with this value."""
    found: bytes = key_bytes(pa.array([value], kind))[0].as_py()
    return found


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_is_taken_character_by_character(text: str) -> None:
    assert typed_key(text, STRING) == kept(text, pa.string())


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 30), st.booleans(), st.sampled_from(["", " ", "\t"]))
def test_every_spelling_of_a_whole_number_is_its_key(number: int, zeros: int, plus: bool, blank: str) -> None:
    sign = "-" if number < 0 else "+" if plus else ""
    text = f"{blank}{sign}{'0' * zeros}{abs(number)}{blank}"
    assert typed_key(text, LONG) == kept(number, pa.int64())
    small = -(2**31) <= number < 2**31
    assert isinstance(typed_key(text, INT), bytes if small else NotAKey)


@given(st.uuids(), st.sampled_from([str.upper, str.lower, str.title]), st.sampled_from(["{}", "{{{}}}", "urn:uuid:{}", " {} "]), st.booleans())  # fmt: skip
def test_every_spelling_of_a_uuid_is_its_key(value: uuid.UUID, case: Any, form: str, hyphens: bool) -> None:
    text = case(form.format(str(value) if hyphens else value.hex))
    for avro in (UUID, FIXED_UUID):
        assert typed_key(text, avro) == kept(str(value), arrow_type(avro))


@given(st.binary(max_size=9), st.sampled_from(["{}", "0x{}", "0X{}", "\\x{}"]), st.booleans(), st.booleans())
def test_every_spelling_of_bytes_is_their_key(value: bytes, form: str, upper: bool, spaced: bool) -> None:
    digits = value.hex(" ") if spaced else value.hex()
    text = form.format(digits.upper() if upper else digits)
    assert typed_key(text, BYTES) == kept(value, pa.binary())
    assert isinstance(typed_key(text, FIXED), bytes if len(value) == 4 else NotAKey)


@pytest.mark.parametrize("symbol", ENUM.symbols)
def test_a_symbol_is_its_key(symbol: str) -> None:
    assert typed_key(symbol, ENUM) == kept(symbol, pa.string())


@pytest.mark.parametrize(
    ("text", "avro", "allowed"),
    [
        ("nonsense", UUID, "a uuid of 32 hexadecimal digits"),
        ("aaaaaaaa8b86-d011-b42d-00c04fc964ff", UUID, "a uuid"),
        ("{aaaaaaaa-8b86-d011-b42d-00c04fc964ff", UUID, "a uuid"),
        ("", UUID, "a uuid"),
        ("nonsense", FIXED_UUID, "a uuid of 32 hexadecimal digits"),
        ("nonsense", INT, "a whole number of 32 bits"),
        ("1.0", LONG, "a whole number of 64 bits"),
        ("1_000", LONG, "a whole number"),
        ("\u0661", LONG, "a whole number"),
        ("9" * 5000, LONG, "a whole number"),
        ("9223372036854775808", LONG, "a whole number"),
        ("", LONG, "a whole number"),
        ("abc", BYTES, "hexadecimal digits, two for each byte"),
        ("00ff", FIXED, "hexadecimal digits of 4 bytes"),
        ("late", ENUM, "one of LATE, VERY_LATE"),
        ("a\udcff", STRING, "UTF-8"),
    ],
)
def test_what_no_key_of_the_type_can_be(text: str, avro: AvroType, allowed: str) -> None:
    found = typed_key(text, avro)
    assert isinstance(found, NotAKey)
    assert found.allowed.startswith(allowed) or allowed in found.allowed
