"""Ids of what backends ask a client.

Each backend counts its own questions, so two of them may use one id. A client sees ids that
say whose question it is; whoever gets the answer can tell from it where it belongs, without
having heard the question: another gateway may have passed that on. The mark is that of the
backend's session: an answer to a question of one that is over answers nothing.
"""

import json
import re
from typing import Final, NamedTuple

_FORM: Final = re.compile(
    r"([a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?)\.([0-9a-f]{1,14}):(.+)", re.DOTALL
)
_INTEGER: Final = re.compile(r"-?[0-9]{1,40}")
KINDS: Final = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}
"""What backends may ask, by the capability that a client declares for it."""


class Origin(NamedTuple):
    """Whose question it is."""

    backend: str
    mark: str
    """Of the backend's session."""
    id: bytes
    """Raw JSON, as that backend wrote it."""


def outward(origin: Origin) -> bytes:
    """The id as the client sees it; also for progress tokens.

    >>> outward(Origin("notes", "7f", b'"a"'))
    b'"notes.7f:\\\\"a\\\\""'
    """
    return json.dumps(f"{origin.backend}.{origin.mark}:{origin.id.decode()}").encode()


def inward(id: bytes | None) -> Origin | None:
    """Whose question an id names; None for one that we did not make.

    >>> inward(b'"notes.7f:7"')
    Origin(backend='notes', mark='7f', id=b'7')
    """
    if id is None or id[:1] != b'"':
        return None
    found = _FORM.fullmatch(json.loads(id))
    if found is None or not _is_id(found[3]):
        return None
    return Origin(found[1], found[2], found[3].encode())


def _is_id(text: str) -> bool:
    if _INTEGER.fullmatch(text):
        return True
    try:
        return isinstance(json.loads(text), str)
    except ValueError:
        return False
