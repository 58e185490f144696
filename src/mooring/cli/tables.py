"""Tables for people: aligned in cells of the terminal, harmless, coloured only where it helps."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

import click

from mooring.core.printable import printable, width

GAP = "   "
Row = Sequence[str]

_GOOD = {"Ready", "healthy", "Normal", "True"}
_BAD = {"Failed", "ERROR", "CrashLoopBackOff", "unhealthy", "Warning", "False"}
_COLOURS = {**dict.fromkeys(_GOOD, "green"), **dict.fromkeys(_BAD, "red")}


def colourful(stream: TextIO) -> bool:
    """Whether colour may be used: on a terminal, and where NO_COLOR is not set."""
    return not os.environ.get("NO_COLOR") and stream.isatty()


class Table:
    """Rows under heads. Columns never get narrower, so that rows that come later still fit."""

    def __init__(
        self,
        heads: Row,
        *,
        states: Iterable[int] = (),
        headless: bool = False,
        out: TextIO | None = None,
    ) -> None:
        self._heads = heads
        self._states = frozenset(states)
        self._out = out or sys.stdout
        self._headless = headless
        self._widths = [0 if headless else width(head) for head in heads]

    def print(self, rows: Iterable[Row]) -> None:
        """Prints rows, the first time with the heads above them."""
        fit = [[printable(cell) for cell in row] for row in rows]
        for row in fit:
            self._widths = [max(w, width(c)) for w, c in zip(self._widths, row, strict=True)]
        if not self._headless:
            self._line(self._heads, plain=True)
            self._headless = True
        for row in fit:
            self._line(row)
        self._out.flush()

    def _line(self, row: Row, plain: bool = False) -> None:
        cells = []
        for index, (cell, cells_wide) in enumerate(zip(row, self._widths, strict=True)):
            filling = " " * (cells_wide - width(cell))
            colour = None if plain or index not in self._states else _COLOURS.get(cell)
            shown = click.style(cell, colour) if colour and colourful(self._out) else cell
            cells.append(shown + filling)
        self._out.write(GAP.join(cells).rstrip() + "\n")
