"""What somebody may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question to append to an error, or nothing where no known word is near.

    >>> did_you_mean("sevrer", ["server", "group"])
    ' Did you mean server?'
    """
    near = get_close_matches(word.lower(), sorted(set(known)), n=1, cutoff=0.6)
    return f" Did you mean {near[0]}?" if near else ""
