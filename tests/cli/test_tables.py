"""Tables survive whatever is in them."""

import io

import pytest

from mooring.cli.tables import Table, colourful
from mooring.core.printable import width


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(heads: list[str], *rows: list[str], states: tuple[int, ...] = ()) -> list[str]:
    out = io.StringIO()
    Table(heads, states=states, out=out).print(rows)
    return out.getvalue().splitlines()


def test_columns_line_up_in_cells_of_the_terminal() -> None:
    lines = printed(["NAME", "X"], ["日本語", "1"], ["e\u0301te\u0301", "2"], ["a b", "3"])
    starts = {width(line[: line.rindex(word)]) for line, word in zip(lines, "X123", strict=True)}
    assert starts == {9}


def test_long_names_are_not_cut() -> None:
    name = "n" * 200
    lines = printed(["NAME", "X"], [name, "1"], ["short", "2"])
    assert lines[1] == f"{name}   1"
    assert lines[2] == f"short{' ' * 195}   2"


def test_nothing_hangs_over_at_the_end() -> None:
    assert printed(["A", "B"], ["x", ""]) == ["A   B", "x"]


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert printed(["A"], ["\x1b[31mred\n\u202e"]) == ["A", r"\x1b[31mred\n\u202e"]


def test_later_rows_never_make_a_column_narrower() -> None:
    out = io.StringIO()
    table = Table(["NAME", "X"], out=out)
    table.print([["longer", "1"]])
    table.print([["a", "2"]])
    table.print([["longest-one", "3"]])
    assert out.getvalue().splitlines()[1:] == ["longer   1", "a        2", "longest-one   3"]


def test_colour_is_for_terminals_and_beside_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = Terminal()
    Table(["NAME", "STATUS"], states=[1], out=screen).print([["Ready", "Ready"], ["x", "Failed"]])
    assert screen.getvalue().splitlines() == [
        "NAME    STATUS",
        "Ready   \x1b[32mReady\x1b[0m",
        "x       \x1b[31mFailed\x1b[0m",
    ]
    assert not colourful(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colourful(screen)
