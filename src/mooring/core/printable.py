"""Foreign text made fit for a terminal.

Strings from servers and clients are not ours: a control character, an ANSI sequence or a
bidirectional mark in one could rewrite what a person sees. They are shown as escapes, and
columns are measured in cells of the terminal, not in characters.
"""

import unicodedata

LIMIT = 2048
"""Characters of a foreign string that are shown; the rest is cut."""

_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str, limit: int = LIMIT, keep: str = "") -> str:
    """The text on one line, without anything that steers a terminal; `keep` may pass.

    >>> printable("red \\x1b[31m")
    'red \\\\x1b[31m'
    """
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isprintable():
        return text
    return "".join(c if c in keep or _harmless(c) else _escape(c) for c in text)


def width(text: str) -> int:
    """Cells that the text takes on a terminal.

    >>> width("日本"), width("e\\u0301")
    (4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(_cells(character) for character in text)


def pad(text: str, cells: int) -> str:
    """The text, filled with spaces up to so many cells."""
    return text + " " * (cells - width(text))


def _harmless(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in _UNSAFE


def _escape(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _cells(character: str) -> int:
    if character in _JOINERS or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
