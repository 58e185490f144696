"""Objects as answers show them: everything, except the values of Secrets."""

from typing import Any

from mooring.core import secrecy
from mooring.kinds.base import Object
from mooring.kinds.secret import Secret

Document = dict[str, Any]

KEPT = 2048
"""Documents of a kind that are kept; one has some 8 KiB."""


def shown(stored: Object) -> Document:
    """The document of an object, fit to leave the house."""
    document = stored.document()
    return secrecy.hidden(document) if isinstance(stored, Secret) else document


class Album:
    """Documents of the objects of one kind, each made once for as long as it is looked at.

    Stored objects never change: whoever lists or watches gets the same document, which nobody
    may change either. Secrets are not kept here.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[Object, Document]] = {}

    def shown(self, stored: Object) -> Document:
        """The document of an object, as `shown` makes it."""
        if isinstance(stored, Secret):
            return shown(stored)
        name = stored.metadata.namespace, stored.metadata.name
        held = self._kept.get(name)
        if held is not None and held[0] is stored:
            return held[1]
        document = shown(stored)
        if len(self._kept) >= KEPT:
            self._kept.clear()
        self._kept[name] = stored, document
        return document

    def forget(self, gone: Object) -> None:
        """Nobody will look at this one again."""
        self._kept.pop((gone.metadata.namespace, gone.metadata.name), None)


def shown_pair(before: Object | None, after: Object) -> tuple[Document | None, Document]:
    """Two versions of an object, fit to be compared: new values of Secrets are marked."""
    if not isinstance(after, Secret):
        return (before.document() if before else None), after.document()
    old = before.document() if before else {}
    marked = secrecy.compared(old, after.document())
    return (secrecy.hidden(old) if before else None), marked
