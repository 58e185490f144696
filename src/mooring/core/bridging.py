"""How an HTTP server of MCP behaves for a process that only knows lines: the rules.

The bridge of the keeper answers in the name of a child. What it says without asking the child,
or makes of what the child said, is decided here: which protocol version a session gets, which
HTTP status an error has, whether a child knows the stateless era, and the words for its end.
Sources: MCP 2025-11-25, Lifecycle; MCP 2026-07-28, Transports; and what the SDKs answer.
"""

import json
import re
from typing import Any

from msgspec import DecodeError, Raw, Struct, field
from msgspec.json import Decoder

from mooring.core.codes import STATELESS_ONLY, STATUS
from mooring.core.era import SESSION_VERSIONS, STATELESS
from mooring.core.keeping import Exit

LATEST = "2025-11-25"
"""The newest protocol version that begins with `initialize`."""
OUTCOME_UNKNOWN = "whether the request ran is unknown"
"""What ends the message of every error about a request that was lost on its way."""


class _Initialize(Struct, frozen=True):
    protocolVersion: Any = ""


class _InitializeRequest(Struct, frozen=True):
    params: _Initialize = _Initialize()


class _InitializeReply(Struct, frozen=True):
    result: dict[str, Raw]


class _Uri(Struct, frozen=True):
    uri: Any = ""


class _UpdatedNote(Struct, frozen=True):
    params: _Uri = _Uri()


class _Error(Struct, frozen=True):
    code: Any = 0


class _ErrorReply(Struct, frozen=True):
    error: _Error = _Error()


class _Discovered(Struct, frozen=True):
    supportedVersions: list[Any] = field(default_factory=list)


class _DiscoverReply(Struct, frozen=True):
    error: _Error | None = None
    result: _Discovered | None = None


_REQUEST = Decoder(_InitializeRequest)
_WELCOME = Decoder(_InitializeReply)
_UPDATED = Decoder(_UpdatedNote)
_ERROR = Decoder(_ErrorReply)
_DISCOVER = Decoder(_DiscoverReply)
_BATCH = Decoder(list[Raw])
_ID_FIRST = re.compile(rb'\{ ?"jsonrpc": ?"2\.0", ?"id": ?')
_ID_LAST = re.compile(rb'"id": ?("(?:[^"\\]|\\.)*"|[-0-9]+) ?\}\s*\Z')
_ID_OF_ANSWER = re.compile(rb'("(?:[^"\\]|\\.)*"|[-0-9]+), ?"(?:result|error)"')
_ANSWER = re.compile(rb'\{ ?(?:"jsonrpc": ?"2\.0", ?)?"(?:result|error)"')
_AFTER = (b",", b"}", b" ")
_BACKSLASH = 0x5C
_SUBSCRIPTION = re.compile(
    rb'("io\.modelcontextprotocol/subscriptionId"\s*:\s*)("(?:[^"\\]|\\.)*"|-?[0-9][^,}\s]*)'
)


def requested_version(initialize: bytes) -> str:
    """The protocol version that an `initialize` request asks for; empty where it names none."""
    try:
        version = _REQUEST.decode(initialize).params.protocolVersion
    except (DecodeError, RecursionError):
        return ""
    return version if isinstance(version, str) else ""


def updated_uri(note: bytes) -> str:
    """The resource that `notifications/resources/updated` speaks of; empty where it names none."""
    try:
        uri = _UPDATED.decode(note).params.uri
    except (DecodeError, RecursionError):
        return ""
    return uri if isinstance(uri, str) else ""


def negotiated(requested: str, of_child: str) -> str:
    """The version that a session gets from a child that was initialized once for all.

    What the client asks for, if it is a version that begins with `initialize` and the child is
    at least as new; else the child's own.
    """
    known = requested.encode("utf-8", "surrogatepass") in SESSION_VERSIONS
    return requested if known and requested <= of_child else of_child


def _members(reply: bytes) -> dict[str, bytes]:
    """The members of a reply's result, as raw JSON."""
    try:
        return {name: bytes(raw) for name, raw in _WELCOME.decode(reply).result.items()}
    except DecodeError:  # half a surrogate pair somewhere: legal enough to be passed on
        result = json.loads(reply)["result"]
        return {name: json.dumps(value).encode() for name, value in result.items()}


class Welcome:
    """A child's answer to the one `initialize` that it got, to be given to many clients."""

    def __init__(self, reply: bytes) -> None:
        """ValueError where the reply holds no InitializeResult."""
        try:
            result = _members(reply)
            self.version = str(json.loads(result.pop("protocolVersion")))
        except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise ValueError(f"not an InitializeResult: {error}") from error
        members = (b"," + json.dumps(name).encode() + b":" + raw for name, raw in result.items())
        self._rest = b"".join(members)

    def answer(self, id: bytes, version: str) -> bytes:
        """The reply for one client: its own id and version, all else as the child said it."""
        head = b'{"jsonrpc":"2.0","id":%b,"result":{"protocolVersion":"%b"'
        return head % (id, version.encode()) + self._rest + b"}}"


def error_code(reply: bytes) -> int:
    """The code of an error reply; 0 where there is none to read."""
    try:
        code = _ERROR.decode(reply).error.code
    except (DecodeError, RecursionError):
        return 0
    return code if isinstance(code, int) else 0


def status_of(code: int) -> int:
    """The HTTP status of a JSON-RPC error in the stateless era."""
    return STATUS.get(code, 200)


def knows_stateless(reply: bytes) -> bool:
    """Whether the answer to `server/discover` is that of a server of the stateless era.

    A result that names such a version, or an error that only exists there. Anything else is
    what a server says that knows sessions only.
    """
    try:
        answer = _DISCOVER.decode(reply)
    except (DecodeError, RecursionError):
        return False
    if answer.result is not None:
        versions = answer.result.supportedVersions
        return any(isinstance(v, str) and v >= STATELESS.decode() for v in versions)
    code = answer.error.code if answer.error is not None else 0
    return isinstance(code, int) and code in STATELESS_ONLY


def failure(id: bytes | None, code: int, message: str, **details: Any) -> bytes:
    """An error reply of our own; `details` become its `data`."""
    error: dict[str, Any] = {"code": code, "message": message}
    if details:
        error["data"] = details
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (id or b"null", json.dumps(error).encode())


def renumbered(message: bytes, held: bytes, own: bytes) -> bytes | None:
    """The message with the id `own` for `held`, if that stands where SDKs write it; else None.

    Right behind `jsonrpc` at the beginning, or as the very last member. The message must be one
    that has a single id, `held`.

    >>> renumbered(b'{"jsonrpc":"2.0","id":7,"result":{}}', b"7", b'"a"')
    b'{"jsonrpc":"2.0","id":"a","result":{}}'
    >>> renumbered(b'{"result": {}, "id": 7}', b"7", b"0")
    b'{"result": {}, "id": 0}'
    """
    head = _ID_FIRST.match(message)
    if head is not None:
        start = head.end()
        end = start + len(held)
        if message.startswith(held, start) and message[end : end + 1] in _AFTER:
            return message[:start] + own + message[end:]
        return None
    key = message.rfind(b'"id"')
    tail = _ID_LAST.match(message, key) if key > 0 and message[key - 1] != _BACKSLASH else None
    if tail is not None and tail[1] == held:
        return message[: tail.start(1)] + own + message[tail.end(1) :]
    return None


def answered_id(line: bytes) -> bytes | None:
    """The id that a broken answer most likely has; None for what does not look like one.

    >>> answered_id(b'{"jsonrpc":"2.0","id":7,"result":{"text":"caf\\xe9"}}')
    b'7'
    """
    head = _ID_FIRST.match(line)
    if head is not None:
        first = _ID_OF_ANSWER.match(line, head.end())
        return first[1] if first is not None else None
    tail = _ID_LAST.match(line, line.rfind(b'"id"')) if _ANSWER.match(line) else None
    return tail[1] if tail is not None else None


def batch(line: bytes) -> list[bytes]:
    """The messages of a batch; empty where it is none."""
    try:
        return [bytes(message) for message in _BATCH.decode(line)]
    except (DecodeError, RecursionError):
        return []


def subscription_of(line: bytes) -> bytes | None:
    """The raw subscription id that a message of the stateless era carries in its `_meta`.

    >>> subscription_of(b'{"io.modelcontextprotocol/subscriptionId": 7}')
    b'7'
    """
    found = _SUBSCRIPTION.search(line)
    return found[2] if found else None


def resubscribed(line: bytes, held: bytes, own: bytes) -> bytes:
    """The message with the subscription id `held` by the child made the caller's `own`.

    >>> resubscribed(b'{"io.modelcontextprotocol/subscriptionId":7}', b"7", b'"a"')
    b'{"io.modelcontextprotocol/subscriptionId":"a"}'
    """
    return _SUBSCRIPTION.sub(lambda m: m[1] + own if m[2] == held else m[0], line)


def ending(exit: Exit) -> str:
    """How a child ended, for a person.

    >>> ending(Exit(code=3, last_line="no such table"))
    "the server's process exited with code 3: no such table"
    """
    if exit.reason:
        how = exit.reason
    elif exit.signal:
        how = f"the server's process was ended by signal {exit.signal}"
    else:
        how = f"the server's process exited with code {exit.code}"
    return f"{how}: {exit.last_line}" if exit.last_line else how
