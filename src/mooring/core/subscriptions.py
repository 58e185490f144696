"""One subscription made of several: what is said at its beginning, in gaps, and at its end.

Messages of `subscriptions/listen`. Source: MCP 2026-07-28, Subscriptions.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

ACKNOWLEDGED = b'"notifications/subscriptions/acknowledged"'
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
_CHANGES = {
    "toolsListChanged": "notifications/tools/list_changed",
    "promptsListChanged": "notifications/prompts/list_changed",
    "resourcesListChanged": "notifications/resources/list_changed",
}
_RESOURCES = "resourceSubscriptions"


def agreed(acknowledgement: bytes) -> dict[str, Any]:
    """What an instance agreed to tell; empty where it does not say."""
    try:
        told = json.loads(acknowledgement)["params"]["notifications"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def together(acknowledgements: Sequence[bytes], id: bytes) -> bytes:
    """One acknowledgement of what any of the instances agreed to; theirs, if all say the same."""
    if len(set(acknowledgements)) == 1:
        return acknowledgements[0]
    found: dict[str, Any] = {}
    for each in map(agreed, acknowledgements):
        for key, value in each.items():
            found[key] = _union(found.get(key), value)
    return _note("notifications/subscriptions/acknowledged", id, {"notifications": found})


def missed(agreement: Mapping[str, Any], id: bytes) -> Iterator[bytes]:
    """What may have changed while nobody listened, of that to which an instance agreed."""
    for key, method in _CHANGES.items():
        if agreement.get(key):
            yield _note(method, id, {})
    resources = agreement.get(_RESOURCES)
    for uri in resources if isinstance(resources, list) else ():
        yield _note("notifications/resources/updated", id, {"uri": uri})


def farewell(id: bytes) -> bytes:
    """The result that ends a subscription in order."""
    result = {"resultType": "complete", "_meta": {SUBSCRIPTION: json.loads(id)}}
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (id, _text(result))


def _union(one: Any, other: Any) -> Any:
    if isinstance(one, list) and isinstance(other, list):
        return [*one, *(each for each in other if each not in one)]
    return one or other


def _note(method: str, id: bytes, params: Mapping[str, Any]) -> bytes:
    told = {"_meta": {SUBSCRIPTION: json.loads(id)}, **params}
    return _text({"jsonrpc": "2.0", "method": method, "params": told})


def _text(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
