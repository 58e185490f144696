"""Whether the tools of a backend are still what they were.

A tool whose description or schema changes after people have come to trust it can make models do
something else than they agreed to. So every tool has a fingerprint of both, and a change is told.
"""

import json
from collections.abc import Mapping

from mooring.core.aggregate_items import Catalog, Item
from mooring.core.checksum import checksum

Fingerprints = Mapping[str, str]
"""By the name that its server has for a tool."""


def fingerprints(catalog: Catalog) -> Fingerprints:
    """Of every tool of a backend."""
    return {item.name: _fingerprint(item) for item in catalog.tools}


def changed(before: Fingerprints, after: Fingerprints) -> tuple[str, ...]:
    """Tools that are there as before, and are not what they were; sorted.

    >>> changed({"a": "1", "b": "1", "gone": "1"}, {"a": "1", "b": "2", "new": "1"})
    ('b',)
    """
    return tuple(sorted(name for name in before.keys() & after if before[name] != after[name]))


def _fingerprint(item: Item) -> str:
    """Of what is said, not of how it is spelled: keys in any order, numbers as they come."""
    said = json.loads(item.raw, parse_float=str, parse_int=str, parse_constant=str)
    return checksum([said.get(key) for key in ("description", "inputSchema", "outputSchema")])
