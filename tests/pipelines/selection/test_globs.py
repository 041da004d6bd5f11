"""Globs against a simple, slow reference; and how many characters a hostile one reads."""

from collections.abc import Sequence
from typing import overload

from hypothesis import given
from hypothesis import strategies as st

from pipelines.selection.expressions import Pattern
from pipelines.selection.globs import segment_matches


def _reference(glob: str, text: str) -> bool:
    if not glob:
        return not text
    if glob[0] == "*":
        return _reference(glob[1:], text) or (bool(text) and text[0] != "/" and _reference(glob, text[1:]))
    if not text:
        return False
    return (glob[0] == text[0] or (glob[0] == "?" and text[0] != "/")) and _reference(glob[1:], text[1:])


_CHARACTERS = "ab/.[\u00e9"


@given(st.text(_CHARACTERS + "**??", min_size=1, max_size=7), st.text(_CHARACTERS + "*?\n", max_size=7))
def test_a_glob_matches_what_the_reference_matches(glob: str, text: str) -> None:
    is_glob = bool({"*", "?"} & set(glob))
    assert Pattern(glob, glob=is_glob).matches(text) == (_reference(glob, text) if is_glob else glob == text)


@given(st.text("ab*?/", max_size=8), st.text("ab*?/", max_size=8))
def test_a_text_without_glob_is_literal(pattern: str, text: str) -> None:
    assert Pattern(pattern).matches(text) == (pattern == text)


class _Counted(Sequence[str]):
    """A text that counts how often a character of it is read."""

    def __init__(self, text: str) -> None:
        self.text, self.reads = text, 0

    def __len__(self) -> int:
        return len(self.text)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        self.reads += 1
        return self.text[index]


def test_a_hostile_glob_reads_each_character_at_most_once_for_each_of_the_other() -> None:
    for glob, text in (("*a" * 20 + "x", "a" * 60), ("*" * 40 + "x", "a" * 60), ("*?a" * 15 + "x", "a" * 60)):
        left, right = _Counted(glob), _Counted(text)
        assert not segment_matches(left, right)
        assert left.reads + right.reads <= 2 * (len(glob) + 1) * (len(text) + 1)


def test_hostile_selections_have_an_answer() -> None:
    name = "shipment_shipped" * 4
    assert not Pattern("*" * 5_000 + "x", glob=True).matches(name)
    assert not Pattern("*p" * 2_000 + "x", glob=True).matches(name)
    assert Pattern("*" * 5_000 + "d", glob=True).matches(name)
    assert not Pattern("*p*" * 30 + "x/" + "*p*" * 30 + "x", glob=True).matches(f"{name}/{name}")
