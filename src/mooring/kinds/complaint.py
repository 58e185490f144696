"""What is wrong with a document: a place, a sentence, a hint.

Everything that a complaint repeats from a document goes through `printable`. What may be
repeated at all is decided where the complaint is made: nothing that could be secret.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from mooring.kinds.base import Place

SHOWN = 60
"""Characters of a found value that are repeated."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong with a document."""

    path: str
    """`spec.source.command[0]`; empty for the document as a whole."""
    message: str
    """What is wanted, and what was found."""
    hint: str = ""
    """What to do about it; empty where the message says it all."""
    object: str = ""
    """Which document of a file is meant: `server/time`, or `document 2` where it has no name."""
    source: str = ""
    """The file; empty where the document came from none."""
    line: int = 0
    """From 1; 0 where the document came from no file."""
    column: int = 0

    def __str__(self) -> str:
        """One line: `fleet.yaml:12:3: server/time: spec.replicas: must be at most 100, found 500`.

        The hint, if any, follows in brackets.
        """
        where = self.source
        if self.line:
            where = f"{where}:{self.line}:{self.column}" if where else f"line {self.line}"
        said = ": ".join(filter(None, (where, self.object, self.path, self.message)))
        return f"{said} ({self.hint})" if self.hint else said


def path_of(place: Place) -> str:
    """A place as people write it.

    >>> path_of(("spec", "env", 0, "name")), path_of(("metadata", "labels", "example.com/team"))
    ('spec.env[0].name', 'metadata.labels[example.com/team]')
    """
    text = ""
    for step in place:
        if isinstance(step, str) and step.replace("_", "a").isalnum():
            text += f".{step}" if text else step
        else:
            text += f"[{printable(str(step))}]"
    return text


def printable(text: str) -> str:
    """Found text on one line, cut, with nothing that a terminal would act upon."""
    cut = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut)


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """A hint naming the known word that `found` is close to; empty where none is."""
    lower = {word.lower().replace("_", ""): word for word in known}
    close = get_close_matches(found.lower().replace("_", ""), lower, n=1, cutoff=0.7)
    return f"did you mean {lower[close[0]]}?" if close else ""


def type_of(value: Any) -> str:
    """What a value is, without saying what it says."""
    words = {bool: "true or false", int: "a number", float: "a number", str: "text"}
    for kind, word in words.items():
        if isinstance(value, kind):
            return word
    if value is None:
        return "nothing"
    return "a mapping" if isinstance(value, Mapping) else "a list"
