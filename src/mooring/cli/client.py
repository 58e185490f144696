"""The API, as commands speak to it: HTTP over a Unix socket, with the standard library alone."""

import http.client
import json
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from mooring.cli.failures import Failure, Refusal, unreachable
from mooring.core.naming import Naming

SECONDS = 30.0
"""How long one answer may take."""

Document = dict[str, Any]
Query = Mapping[str, str | int | float | None]
Key = tuple[str, str]
Change = tuple[str, Document]
"""What happened (ADDED, MODIFIED, DELETED), and the object as it is now."""

EXPIRED = 410


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent along."""

    content: bytes
    type: str = "application/json"


def json_body(document: Any, kind: str = "application/json") -> Body:
    """A document to send."""
    return Body(json.dumps(document).encode(), kind)


def path_of(naming: Naming, namespace: str | None, name: str = "", part: str = "") -> str:
    """Where the objects of a kind are; `namespace` None means all of them."""
    inside = f"/namespaces/{namespace}" if namespace is not None else ""
    tail = "".join(f"/{step}" for step in (name, part) if step)
    return f"{naming.path}{inside}/{naming.plural}{tail}"


class Api:
    """The API of one daemon. Every request has a connection of its own."""

    def __init__(self, socket_path: str, seconds: float = SECONDS) -> None:
        self.socket_path = socket_path
        self._seconds = seconds

    def get(self, path: str, query: Query | None = None, seconds: float | None = None) -> Document:
        """One document; Refusal where there is none, Failure where nobody answers."""
        return self.send("GET", path, query=query, seconds=seconds)

    def send(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        *,
        query: Query | None = None,
        seconds: float | None = None,
    ) -> Document:
        """The answer to one request."""
        with _Answer(self, method, _target(path, query), body, seconds or self._seconds) as answer:
            found: Document = json.loads(answer.read())
            return found

    def lines(
        self, path: str, query: Query | None = None, seconds: float | None = None
    ) -> Iterator[bytes]:
        """The lines of an answer that goes on; without `seconds` there is no deadline.

        Ends when the answer does. Raises TimeoutError once so many seconds have passed.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        head_seconds = None if seconds is None else self._seconds
        with _Answer(self, "GET", _target(path, query), None, head_seconds) as answer:
            while line := answer.line(deadline):
                yield line

    def follow(
        self, path: str, query: Query | None = None, seconds: float | None = None
    ) -> Iterator[list[Change]]:
        """What there is, as one batch of ADDED, and then every change, as it happens.

        Nothing is missed: where a watch cannot go on, everything is listed again, and what
        became of each object since is told. Raises TimeoutError once so many seconds have passed,
        but not before the first batch.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        held: dict[Key, Document] = {}
        while True:
            listed = self.get(path, query)
            found = {_key(document): document for document in listed["items"]}
            yield list(_differences(held, found))
            held = found
            version = listed["metadata"]["resourceVersion"]
            try:
                for kind, document in self._watch(path, query, version, deadline):
                    if kind == "DELETED":
                        held.pop(_key(document), None)
                    else:
                        held[_key(document)] = document
                    yield [(kind, document)]
            except Refusal as refusal:
                if refusal.status != EXPIRED:
                    raise

    def _watch(
        self, path: str, query: Query | None, version: str, deadline: float | None
    ) -> Iterator[Change]:
        """Changes since a version; goes on where it was when the daemon ends a watch."""
        while True:
            asked = {**(query or {}), "watch": "true", "resourceVersion": version}
            for line in self.lines(path, asked, _left(deadline)):
                event = json.loads(line)
                kind, document = event["type"], event["object"]
                if kind == "ERROR":
                    raise Refusal(int(document.get("code", 500)), document)
                version = document["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    yield kind, document


def _left(deadline: float | None) -> float | None:
    """Seconds until then; TimeoutError once it is past."""
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _key(document: Document) -> Key:
    return document["metadata"].get("namespace", ""), document["metadata"]["name"]


def _differences(before: Mapping[Key, Document], after: Mapping[Key, Document]) -> Iterator[Change]:
    for key, document in before.items():
        if key not in after:
            yield "DELETED", document
    for key, document in after.items():
        if key not in before:
            yield "ADDED", document
        elif before[key] != document:
            yield "MODIFIED", document


def _target(path: str, query: Query | None) -> str:
    given = {key: value for key, value in (query or {}).items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, seconds: float | None) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path
        self._limit = seconds

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._limit)
        self.sock.connect(self._path)


class _Answer:
    """One request and its answer; closed at the end."""

    def __init__(
        self, api: Api, method: str, target: str, body: Body | None, seconds: float | None
    ) -> None:
        self._path = api.socket_path
        self._seconds = seconds
        self._connection = _Connection(self._path, seconds)
        self._request = method, target, body

    def __enter__(self) -> "_Answer":
        method, target, body = self._request
        headers = {"accept": "application/json"} | ({"content-type": body.type} if body else {})
        try:
            self._connection.request(method, target, body.content if body else None, headers)
            self._response = self._connection.getresponse()
        except TimeoutError:
            self._connection.close()
            raise self._late() from None
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise unreachable(self._path, why) from error
        if self._response.status >= 400:
            try:
                raise self._refusal()
            finally:
                self._connection.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._connection.close()

    def read(self) -> bytes:
        """The whole body."""
        try:
            return self._response.read()
        except TimeoutError:
            raise self._late() from None
        except (OSError, http.client.HTTPException):
            raise self._cut() from None

    def line(self, deadline: float | None) -> bytes:
        """The next line; empty at the end. Raises TimeoutError at the deadline."""
        if deadline is not None and self._connection.sock is not None:
            self._connection.sock.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            return self._response.readline()
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException):
            raise self._cut() from None

    def _refusal(self) -> Refusal:
        body = self.read()
        try:
            document = json.loads(body)
        except ValueError:
            document = {"message": body.decode(errors="replace").strip()}
        return Refusal(self._response.status, document)

    def _late(self) -> Failure:
        return unreachable(self._path, f"no answer within {self._seconds:g} s")

    def _cut(self) -> Failure:
        return unreachable(self._path, "the answer was cut off")
