"""Who may come in by the TLS door: whoever has the token, under loopback or a name that was set.

A web page can make a browser call this port under a name of the page's choice; hence the check
of Host before anything else. `/healthz` is open, as in Kubernetes. A watch that is open when
the token is replaced ends before its next event.
"""

from collections.abc import Callable, Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mooring import telemetry
from mooring.api.answers import failure
from mooring.api.token import TokenFile
from mooring.core.identity import Identity
from mooring.errors import Denied

ISSUER = "token"
"""Issuer of those who came with our token."""

HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
OPEN = frozenset({"/healthz"})


class Guard:
    """An application that only those may use who have the token."""

    def __init__(self, app: ASGIApp, token: TokenFile, names: Collection[str] = ()) -> None:
        """`names`: those that callers may use beside loopback, as a Host header has them."""
        self._app = app
        self._token = token
        self._hosts = HOSTS | set(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _name(host) not in self._hosts:
            refused = Denied("Forbidden", f"Host {host[:200]!a} is not a name of this Mooring")
            await self._refuse(refused, scope, receive, send)
        elif scope["path"] in OPEN:
            await self._app(scope, receive, send)
        elif (caller := self._caller(headers)) is None:
            told = "a valid bearer token is required. Fix: moor kubeconfig prints a new kubeconfig"
            await self._refuse(Denied("LoginNeeded", told), scope, receive, send)
        else:
            scope["state"]["caller"] = Identity(ISSUER, caller)
            await self._app(scope, receive, _Leash(send, lambda: self._caller(headers) is not None))

    def _caller(self, headers: Headers) -> str | None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return self._token.opened_by(token.strip().encode()) if scheme.lower() == "bearer" else None

    async def _refuse(self, error: Denied, scope: Scope, receive: Receive, send: Send) -> None:
        telemetry.event("api.refused", reason=error.reason, path=scope["path"])
        response = failure(error)
        if error.reason == "LoginNeeded":
            response.headers["www-authenticate"] = "Bearer"
        await response(scope, receive, send)


def _name(host: str) -> str:
    """A Host header without its port, in lower case."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


class _Leash:
    """Sends an answer as long as its reader may have it."""

    def __init__(self, send: Send, welcome: Callable[[], bool]) -> None:
        self._send = send
        self._welcome = welcome
        self._ended = False

    async def __call__(self, message: Message) -> None:
        if self._ended:
            return
        if message.get("more_body") and not self._welcome():
            self._ended = True
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)
