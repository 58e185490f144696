"""What a server says, without the values of secrets that it was given.

A server that fails likes to say with what: `invalid token abc`. What it says goes into its log,
its status and events, where no value of a secret belongs, so that values are covered first.
Values of three characters and less are left alone: they would be found in every other word.
"""

from collections.abc import Iterable

COVER = "***"
SHORTEST = 4


class Veil:
    """Covers some values, wherever they stand; of values of several lines, each line."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        lines = {line.strip() for value in values for line in value.splitlines()}
        hidden = (line for line in lines if len(line) >= SHORTEST)
        self._texts = sorted(hidden, key=lambda line: (-len(line), line))
        self._octets = [text.encode(errors="surrogateescape") for text in self._texts]

    def text(self, said: str) -> str:
        """The text without the values.

        >>> Veil(["abcd"]).text("abcd is no token")
        '*** is no token'
        """
        for hidden in self._texts:
            said = said.replace(hidden, COVER)
        return said

    def octets(self, said: bytes) -> bytes:
        """The same for what is not decoded."""
        for hidden in self._octets:
            if hidden in said:
                said = said.replace(hidden, COVER.encode())
        return said


CLEAR = Veil()
"""Covers nothing."""
