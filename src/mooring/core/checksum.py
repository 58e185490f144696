"""One text for one value, and its fingerprint.

Canonical JSON has sorted keys, nothing between its tokens and only ASCII, so that equal
values give equal bytes whatever order they were made in. What is unordered is a mapping, or is
sorted by whoever makes it: a list keeps its order here.
"""

import hashlib
import json
from typing import Any


def canonical(value: Any) -> bytes:
    """Canonical JSON of a JSON-ready value; ValueError for NaN and infinities.

    >>> canonical({"b": [1, None], "a": "é"})
    b'{"a":"\\\\u00e9","b":[1,null]}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def checksum(value: Any) -> str:
    """SHA-256 of the canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()
