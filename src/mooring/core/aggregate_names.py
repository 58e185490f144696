"""By which names clients see what backends offer.

Providers of models take names of at most 64 letters, digits, `-` and `_`. A name that has
anything else, or more, is changed, and says so by a fingerprint of what it was: the same name is
changed the same way for ever, whatever other names there are. Nothing is ever read back out of
such a name; a view knows what it stands for.
"""

import hashlib
import re

LONGEST = 64
_DIGITS = 8

_fits = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST}}}").fullmatch
_STRANGE = re.compile(r"[^A-Za-z0-9_-]")


def fitting(name: str) -> str:
    """The name, if it fits; else one like it.

    >>> fitting("search_issues"), fitting("files.read")
    ('search_issues', 'files_read_601e4eb6')
    """
    if _fits(name):
        return name
    kept = _STRANGE.sub("_", name)[: LONGEST - _DIGITS - 1]
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{kept}_{digest[:_DIGITS]}"


def prefixed(server: str, name: str) -> str:
    """The name behind that of its server.

    >>> prefixed("github", "search_issues")
    'github_search_issues'
    """
    return fitting(f"{server}_{name}")


def matches(pattern: str, name: str) -> bool:
    """Whether a filter names this: `*` stands for any text, everything else for itself.

    >>> matches("read_*", "read_file"), matches("read", "read_file")
    (True, False)
    """
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *middle, last = rest
    if not name.startswith(first):
        return False
    at = len(first)
    for piece in middle:
        found = name.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return name.endswith(last) and len(name) - len(last) >= at
