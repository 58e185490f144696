"""Session ids that carry where their session lives.

A client's session id is a sealed token: opaque to the client, readable by every gateway that
has a key of the ring, and worthless when forged or changed. It authenticates nobody: the
identity in it is compared with the caller's.
"""

import base64
import binascii
from typing import NamedTuple

import msgspec

from mooring.core.identity import Identity
from mooring.errors import Unavailable
from mooring.kinds.ref import Ref
from mooring.sessions.ring import Ring

LIFETIME = 24 * 3600
"""Seconds after which a session ends, used or not."""
UPSTREAM_ID_LIMIT = 1024
"""Bytes of an upstream's session id."""
TOKEN_LIMIT = 4096
"""Characters; no token of ours is longer."""

_PURPOSE = b"mooring session 1"
_USUAL = bytes.maketrans(b"-_+/=", b"+/   ")
"""From the URL-safe alphabet to the usual one, whose own signs and padding are none of ours."""


class SealedSession(NamedTuple):
    """What a session id says."""

    server: Ref
    uid: str
    """Of the instance that holds the session."""
    upstream_id: bytes
    """What that instance calls it."""
    version: str
    """The negotiated protocol version."""
    identity: Identity
    """Who opened it."""
    expires: int
    """Seconds since the epoch."""


class _Packed(msgspec.Struct, array_like=True, frozen=True):
    namespace: str
    name: str
    uid: str
    upstream_id: bytes
    version: str
    issuer: str
    subject: str
    client: str
    expires: int


class Sealer:
    """Seals session ids with the newest of its keys, and opens those of all of them."""

    def __init__(self, *keys: bytes) -> None:
        self.ring = Ring(*keys)
        """To be changed when the keys are."""
        self._pack = msgspec.msgpack.Encoder().encode
        self._unpack = msgspec.msgpack.Decoder(_Packed).decode

    @property
    def fingerprint(self) -> str:
        """Names the installation without giving the key away."""
        return self.ring.code(b"fingerprint", b"name of an installation").hex()[:12]

    @property
    def via(self) -> bytes:
        """What the installation is called in `Via`, so that it knows its own requests again."""
        return f"1.1 mooring-{self.fingerprint}".encode()

    def seal(self, session: SealedSession) -> str:
        """The id that the client gets: visible ASCII, URL-safe, without padding.

        Raises Unavailable "UpstreamSessionIdTooLong" past `UPSTREAM_ID_LIMIT`.
        """
        server, uid, upstream_id, version, who, expires = session
        if len(upstream_id) > UPSTREAM_ID_LIMIT:
            message = f"{server}: its session id has {len(upstream_id)} bytes; the limit is "
            raise Unavailable("UpstreamSessionIdTooLong", f"{message}{UPSTREAM_ID_LIMIT}")
        packed = self._pack(
            _Packed(
                server.namespace, server.name, uid, upstream_id, version,
                who.issuer, who.subject, who.client, expires,
            )
        )  # fmt: skip
        sealed = self.ring.seal(packed, _PURPOSE)
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")

    def open(self, text: str) -> SealedSession | None:
        """What the id says; None where no key here sealed it. Expiry is not judged."""
        if len(text) > TOKEN_LIMIT:
            return None
        try:
            spelled = text.encode("ascii").translate(_USUAL) + b"=" * (-len(text) % 4)
            sealed = binascii.a2b_base64(spelled)
            if binascii.b2a_base64(sealed, newline=False) != spelled:
                return None  # another spelling of an id must not outlive the id
            packed = self.ring.open(sealed, _PURPOSE)
            if packed is None:
                return None
            told = self._unpack(packed)
        except (ValueError, msgspec.DecodeError):
            return None
        return SealedSession(
            Ref("MCPServer", told.namespace, told.name), told.uid, told.upstream_id, told.version,
            Identity(told.issuer, told.subject, told.client), told.expires,
        )  # fmt: skip
