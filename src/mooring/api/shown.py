"""Objects as answers show them: everything, except the values of Secrets."""

from typing import Any

from mooring.core import secrecy
from mooring.kinds.base import Object
from mooring.kinds.secret import Secret

Document = dict[str, Any]


def shown(stored: Object) -> Document:
    """The document of an object, fit to leave the house."""
    document = stored.document()
    return secrecy.hidden(document) if isinstance(stored, Secret) else document


def shown_pair(before: Object | None, after: Object) -> tuple[Document | None, Document]:
    """Two versions of an object, fit to be compared: new values of Secrets are marked."""
    if not isinstance(after, Secret):
        return (before.document() if before else None), after.document()
    old = before.document() if before else {}
    marked = secrecy.compared(old, after.document())
    return (secrecy.hidden(old) if before else None), marked
