"""Foreign text cannot steer a terminal, and columns line up."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.printable import LIMIT, pad, printable, width


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("", ""),
        ("red \x1b[31mtext", r"red \x1b[31mtext"),
        ("two\nlines\r\tand a tab", r"two\nlines\r\tand a tab"),
        ("evil \u202egnp.exe", r"evil \u202egnp.exe"),
        ("\u2066isolate\u2069", r"\u2066isolate\u2069"),
        ("line\u2028separator", r"line\u2028separator"),
        ("bell\x07 csi\x9b", r"bell\x07 csi\x9b"),
        ("half \ud800 a pair", r"half \ud800 a pair"),
        ("tag \U000e0041", r"tag \U000e0041"),
        ("naïve 日本語 🚢", "naïve 日本語 🚢"),
        ("family 👨\u200d👩\u200d👧", "family 👨\u200d👩\u200d👧"),
    ],
)
def test_what_steers_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_text_is_cut() -> None:
    assert printable("x" * LIMIT) == "x" * LIMIT
    assert printable("x" * (LIMIT + 1)) == "x" * (LIMIT - 1) + "…"


def test_some_characters_may_pass() -> None:
    assert printable("a\tb\nc", keep="\t") == "a\tb\\nc"


@given(st.text(st.characters(codec=None)))
def test_nothing_unsafe_is_left(text: str) -> None:
    categories = {unicodedata.category(c) for c in printable(text) if c not in "\u200c\u200d"}
    assert not categories & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("text", "cells"),
    [("abc", 3), ("日本", 4), ("e\u0301", 1), ("🚢", 2), ("", 0), ("a\u200db", 2)],
)
def test_width_is_counted_in_cells(text: str, cells: int) -> None:
    assert width(text) == cells
    assert width(pad(text, 10)) == 10
