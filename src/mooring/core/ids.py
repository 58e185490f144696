"""When two ids or progress tokens are the same, however they are written.

Mooring passes them as they were written and never decodes them to pass them on. But whoever
answers may write the same text with other escapes (`"caf\\u00e9"`, `"café"`), so that who waits
for an answer is found by its plain form.
"""

import json


def plain(raw: bytes) -> bytes:
    """The raw JSON text of an id in the one form in which equal ones are equal.

    >>> plain(rb'"a\\/\\u00e9"'), plain(b"7")
    (b'"a/\\\\u00e9"', b'7')
    """
    if raw[:1] != b'"' or (b"\\" not in raw and raw.isascii()):
        return raw
    return json.dumps(json.loads(raw)).encode()


def same(one: bytes | None, other: bytes | None) -> bool:
    """Whether these are the same id; None is the same as None only.

    >>> same(b'"1"', b"1"), same(b"1", b"1")
    (False, True)
    """
    if one == other:
        return True
    return one is not None and other is not None and plain(one) == plain(other)
