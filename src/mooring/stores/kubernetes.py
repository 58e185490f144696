"""Objects in the Kubernetes API of a cluster.

The API server decides about versions, generations and finalizers as our own stores do; here its
words become ours. lightkube knows how to find a cluster and how to log in to it. What the
cluster keeps beside what our kinds know (managedFields, fields of later versions) is not shown.
A watch whose connection is cut goes on where it was.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar, cast

import httpx2
from lightkube.config.client_adapter import AsyncClient, ConnectionParams
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.config.models import User
from lightkube.core.exceptions import ConfigError

from mooring import telemetry
from mooring.core.naming import BY_KIND
from mooring.core.ports import Change, Listing
from mooring.errors import Conflict, Denied, Invalid, MooringError, NotFound, Unavailable
from mooring.kinds.base import Object
from mooring.kinds.ref import Ref
from mooring.kinds.registry import BY_NAME
from mooring.kinds.shape import known
from mooring.kinds.validation import parse

T = TypeVar("T", bound=Object)
Document = Mapping[str, Any]

SECONDS = 10.0
"""How long one answer may take."""
SILENCE_SECONDS = 150.0
"""How long a watch may say nothing; bookmarks come every minute."""
DEPARTURE_SECONDS = 5.0
"""How long it may take to hear of a deletion that was just made."""
FRUITLESS = 3
"""Watches in a row that may end without having told anything."""
PAGE = 500
"""Objects of one piece of a list."""


class KubernetesStore:
    """Passes the contract of `core.ports.ObjectStore` over the HTTP client of a cluster."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def get(self, ref: Ref) -> Object | None:
        try:
            return _object(await self._ask("GET", _path(ref.kind, ref.namespace, ref.name)))
        except NotFound:
            return None

    async def list(self, kind: str, namespace: str | None = None) -> Listing:
        try:
            return await self._pages(kind, namespace, {"limit": str(PAGE)})
        except Conflict:  # a page came too late for its version
            return await self._pages(kind, namespace, {})

    async def watch(
        self, kind: str, since: str, namespace: str | None = None
    ) -> AsyncIterator[Change]:
        if not (since.isascii() and since.isdigit()):
            raise Invalid("BadRequest", f"{since!r} is no version of this store")
        path, fruitless = _path(kind, namespace), 0
        while fruitless < FRUITLESS:
            fruitless += 1
            async with aclosing(self._events(path, since)) as events:
                async for happened, document in events:
                    since, fruitless = document["metadata"]["resourceVersion"], 0
                    found = None if happened == "BOOKMARK" else _object(document)
                    if found is not None:
                        yield Change(happened, found)
        raise Unavailable("StoreUnavailable", f"the cluster ends every watch of {kind} at once")

    async def put(self, new: T) -> T:
        document = _sent(new)
        document.pop("status", None)
        path = _path(new.kind, new.metadata.namespace)
        if new.metadata.resource_version:
            return cast(T, _read(await self._ask("PUT", f"{path}/{new.metadata.name}", document)))
        del document["metadata"]["uid"]
        return cast(T, _read(await self._ask("POST", path, document)))

    async def report(self, new: T) -> T:
        if "status" not in type(new).model_fields:
            raise Invalid("BadRequest", f"a {new.kind} has no status to report")
        if not new.metadata.resource_version:
            raise Invalid("BadRequest", f"a report on {new.ref} must say which version it is about")
        path = _path(new.kind, new.metadata.namespace, new.metadata.name)
        return cast(T, _read(await self._ask("PUT", f"{path}/status", _sent(new))))

    async def delete(self, ref: Ref, uid: str = "", version: str = "") -> Object:
        held = await self.get(ref)
        if held is None:
            raise NotFound("NotFound", f"{ref} does not exist")
        conditions = {"uid": uid or held.metadata.uid}
        if version:
            conditions["resourceVersion"] = version
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": conditions}
        path = _path(ref.kind, ref.namespace, ref.name)
        answer = await self._ask("DELETE", path, options)
        if answer.get("kind") == ref.kind:
            return _read(answer)
        return await self._departed(held)

    async def _departed(self, held: Object) -> Object:
        """The object as it was last, with the version of its deletion where that is heard of."""
        only = {"fieldSelector": f"metadata.name={held.metadata.name}"}
        path = _path(held.kind, held.metadata.namespace)
        try:
            async with (
                asyncio.timeout(DEPARTURE_SECONDS),
                aclosing(self._events(path, held.metadata.resource_version, only)) as events,
            ):
                async for happened, document in events:
                    if happened == "DELETED":
                        return _read(document)
        except (TimeoutError, MooringError):
            telemetry.event("cluster.departure", object=held.ref)
        return held

    async def _pages(self, kind: str, namespace: str | None, query: dict[str, str]) -> Listing:
        items: list[Object] = []
        while True:
            try:
                page = await self._ask("GET", _path(kind, namespace), query=query)
            except NotFound as error:
                what = f"the cluster does not know {BY_KIND[kind].plural}"
                raise Unavailable("StoreUnavailable", f"{what}: {error.message}") from error
            version, more = page["metadata"]["resourceVersion"], page["metadata"].get("continue")
            whole = {"apiVersion": page["apiVersion"], "kind": kind}
            items += filter(None, (_object({**whole, **each}) for each in page["items"]))
            if not more:
                items.sort(key=lambda each: each.ref)
                return Listing(tuple(items), version)
            query = {**query, "continue": more}

    async def _events(
        self, path: str, since: str, query: Mapping[str, str] | None = None
    ) -> AsyncGenerator[tuple[Any, Document], None]:
        """What one connection tells, until it is cut; raises what the server has against it."""
        asked = {"watch": "true", "resourceVersion": since, "allowWatchBookmarks": "true"}
        patience = httpx2.Timeout(SECONDS, read=SILENCE_SECONDS)
        begun = False
        try:
            async with self._http.stream(
                "GET", path, params={**asked, **(query or {})}, timeout=patience
            ) as answer:
                if answer.status_code != 200:
                    raise _error(answer.status_code, await answer.aread())
                begun = True
                async for line in answer.aiter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise _refusal(int(event["object"].get("code") or 500), event["object"])
                    yield event["type"], event["object"]
        except (httpx2.HTTPError, ValueError) as error:
            if not begun:
                raise _unreachable(error) from error
            telemetry.event("cluster.watch", path=path, error=type(error).__name__)

    async def _ask(
        self,
        method: str,
        path: str,
        document: Any = None,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, path, json=document, params=query)
            if answer.status_code >= 300:
                raise _error(answer.status_code, answer.content)
            found = answer.json()
        except (httpx2.HTTPError, ConfigError, ValueError) as error:
            raise _unreachable(error) from error
        if not isinstance(found, dict):
            raise Unavailable("StoreUnavailable", "the Kubernetes API answers with no document")
        return found


@asynccontextmanager
async def open_kubernetes(config: SingleConfig | None = None) -> AsyncIterator[KubernetesStore]:
    """A store over a cluster: by default the one around us, else that of KUBECONFIG."""
    try:
        chosen = config or KubeConfig.from_env().get()
    except ConfigError as error:
        raise Unavailable("StoreUnavailable", f"no cluster is configured: {error}") from error
    assert chosen is not None
    someone = chosen._replace(user=chosen.user or User())
    async with AsyncClient(someone, ConnectionParams(httpx2.Timeout(SECONDS))) as http:
        yield KubernetesStore(http)


def _path(kind: str, namespace: str | None, name: str = "") -> str:
    naming = BY_KIND[kind]
    inside = "" if namespace is None else f"/namespaces/{namespace}"
    return f"{naming.path}{inside}/{naming.plural}" + (f"/{name}" if name else "")


def _sent(new: Object) -> dict[str, Any]:
    """A document without what only the API server can say."""
    document = new.document()
    theirs = ("generation", "creationTimestamp", "deletionTimestamp", "managedFields")
    metadata = {key: value for key, value in document["metadata"].items() if key not in theirs}
    return {**document, "metadata": metadata}


def _object(document: Document) -> Object | None:
    """The object that a document of the cluster holds; None, and a line in the log, if none."""
    metadata = {k: v for k, v in document["metadata"].items() if k != "managedFields"}
    model = BY_NAME[document["kind"]].model
    found = parse(known(model, {**document, "metadata": metadata}))
    if isinstance(found, Object):
        return found
    name = f"{document.get('kind')} {metadata.get('namespace')}/{metadata.get('name')}"
    telemetry.event("cluster.unreadable", object=name, why="; ".join(map(str, found)))
    return None


def _read(document: Document) -> Object:
    found = _object(document)
    if found is None:
        raise Unavailable("StoreUnavailable", "the cluster answered with what is no such object")
    return found


def _error(status: int, content: bytes) -> MooringError:
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {"message": content[:200].decode(errors="replace")}
    return _refusal(status, document)


def _refusal(status: int, document: Document) -> MooringError:
    """What the API server has against it, in our words."""
    message = str(document.get("message") or f"the API server answered {status}")
    match status:
        case 400 | 405 | 415:
            return Invalid("BadRequest", message)
        case 401:
            return Denied("LoginNeeded", message)
        case 403:
            return Denied("Forbidden", message)
        case 404:
            return NotFound("NotFound", message)
        case 409:
            return Conflict(_conflict(message, document), message)
        case 410:
            return Conflict("Expired", message)
        case 422 if any(word in message for word in ("immutable", "no new finalizers")):
            return Conflict("Conflict", message)
        case 422:
            return Invalid("Invalid", message)
    return Unavailable("StoreUnavailable", message)


def _conflict(message: str, document: Document) -> str:
    """Kubernetes has one reason where we have two; only its words tell them apart."""
    if document.get("reason") == "AlreadyExists":
        return "AlreadyExists"
    causes = (document.get("details") or {}).get("causes") or ()
    stale = any(each.get("reason") == "StaleVersion" for each in causes)
    theirs = ("the object has been modified", "ResourceVersion in precondition")
    return "StaleVersion" if stale or any(each in message for each in theirs) else "Conflict"


def _unreachable(error: Exception) -> Unavailable:
    why = str(error) or type(error).__name__
    return Unavailable("StoreUnavailable", f"the Kubernetes API does not answer: {why}")
