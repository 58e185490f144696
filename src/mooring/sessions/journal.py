"""What a client sets in its session, so that a new owner can be told the same.

The log level, and the resources that it subscribed to: what was set last counts. A message goes
into the journal when its owner has agreed to it.
"""

import json

from msgspec.structs import replace

from mooring.core.session_record import SessionRecord

METHODS = frozenset({"logging/setLevel", "resources/subscribe", "resources/unsubscribe"})
SUBSCRIPTIONS = 1000
"""Of one session; those that come first are kept."""


def noted(record: SessionRecord, request: bytes) -> SessionRecord:
    """The record after this request; the same one where it changes nothing."""
    try:
        message = json.loads(request)
        method, params = message["method"], message["params"]
        value = params["level" if method == "logging/setLevel" else "uri"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return record
    if not isinstance(value, str):
        return record
    if method == "logging/setLevel":
        return record if record.log_level == value else replace(record, log_level=value)
    uris = [uri for uri in record.subscriptions if uri != value]
    if method == "resources/subscribe":
        uris.append(value)
    kept = tuple(uris[:SUBSCRIPTIONS])
    return record if kept == record.subscriptions else replace(record, subscriptions=kept)
