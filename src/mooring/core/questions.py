"""Ids of what a server asks its client, in a session that has moved.

Both owners of such a session count their questions from 1, so that a late answer to a question
of the first would answer another one of the second. From the first move on the client is shown
ids that say which owner asked, and an answer goes to nobody else. So it is with the tokens under
which a client tells the progress of what it was asked.
"""

import json


def shown(generation: int, id: bytes) -> bytes:
    """The id of a question, as the client sees it; both are raw JSON text.

    >>> shown(2, b"7"), shown(2, b'"a"')
    (b'"2:7"', b'"2:\\\\"a\\\\""')
    """
    return json.dumps(f"{generation}:{id.decode()}").encode()


def meant(generation: int, id: bytes | None) -> bytes | None:
    """The owner's own id of the question that an answer is for; None: it is for another one's.

    >>> meant(2, b'"2:7"'), meant(2, b'"1:7"'), meant(2, b"7"), meant(0, b"7")
    (b'7', None, None, b'7')
    """
    if generation == 0 or id is None:
        return id
    text = json.loads(id)
    if not isinstance(text, str):
        return None
    told, _, original = text.partition(":")
    return original.encode() if told == str(generation) and original else None
