"""What a cluster says, in our words."""

import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from lightkube.config.kubeconfig import KubeConfig
from lightkube.config.models import Cluster, User

from mooring.errors import Conflict, Denied, Invalid, MooringError, NotFound, Unavailable
from mooring.kinds.base import ObjectMeta
from mooring.kinds.ref import Ref
from mooring.kinds.server import MCPServer, ServerSpec, Source
from mooring.stores.kubernetes import KubernetesStore, open_kubernetes

Run = Callable[[Coroutine[Any, Any, None]], None]
Answer = Callable[[httpx2.Request], httpx2.Response]
REF = Ref("MCPServer", "default", "time")


@asynccontextmanager
async def saying(answer: Answer) -> AsyncIterator[KubernetesStore]:
    """A store over a cluster that answers so."""
    transport = httpx2.MockTransport(answer)
    async with httpx2.AsyncClient(transport=transport, base_url="http://cluster") as http:
        yield KubernetesStore(http)


def status(code: int, reason: str = "", message: str = "no", **details: Any) -> Answer:
    document = {"kind": "Status", "code": code, "reason": reason, "message": message}
    return lambda _: httpx2.Response(code, json={**document, "details": details})


def server(version: str = "7", **more: Any) -> dict[str, Any]:
    meta = {"name": "time", "namespace": "default", "uid": "u", "resourceVersion": version}
    spec = {"source": {"pypi": "mcp-server-time"}}
    own = {"apiVersion": "mooring.dev/v1alpha1", "kind": "MCPServer"}
    return {**own, "metadata": meta, "spec": spec, **more}


MINE = MCPServer(
    metadata=ObjectMeta(name="time", resource_version="7"),
    spec=ServerSpec(source=Source(pypi="mcp-server-time")),
)
MODIFIED = "Operation cannot be fulfilled: the object has been modified; please apply again"
PRECONDITION = "Precondition failed: UID in precondition: a, UID in object meta: b"
FINALIZERS = "metadata.finalizers: Forbidden: no new finalizers can be added"


@pytest.mark.parametrize(
    ("answer", "family", "reason"),
    [
        (status(400), Invalid, "BadRequest"),
        (status(401), Denied, "LoginNeeded"),
        (status(403), Denied, "Forbidden"),
        (status(404), NotFound, "NotFound"),
        (status(409, "AlreadyExists"), Conflict, "AlreadyExists"),
        (status(409, "Conflict", MODIFIED), Conflict, "StaleVersion"),
        (status(409, "Conflict", causes=[{"reason": "StaleVersion"}]), Conflict, "StaleVersion"),
        (status(409, "Conflict", PRECONDITION), Conflict, "Conflict"),
        (status(410, "Expired"), Conflict, "Expired"),
        (status(422, "Invalid", "spec.replicas: too many"), Invalid, "Invalid"),
        (status(422, "Invalid", "data: field is immutable"), Conflict, "Conflict"),
        (status(422, "Invalid", FINALIZERS), Conflict, "Conflict"),
        (status(429), Unavailable, "StoreUnavailable"),
        (status(500), Unavailable, "StoreUnavailable"),
        (lambda _: httpx2.Response(503, text="<html>"), Unavailable, "StoreUnavailable"),
        (lambda _: httpx2.Response(200, text="<html>"), Unavailable, "StoreUnavailable"),
        (lambda _: httpx2.Response(200, json=[]), Unavailable, "StoreUnavailable"),
    ],
)
def test_a_refusal_keeps_its_meaning(
    run: Run, answer: Answer, family: type[MooringError], reason: str
) -> None:
    async def story() -> None:
        async with saying(answer) as store:
            with pytest.raises(family) as caught:
                await store.put(MINE)
            assert caught.value.reason == reason

    run(story())


def test_a_cluster_that_does_not_answer_is_said_in_words(run: Run) -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            port = nobody.getsockname()[1]
        entry = Cluster(server=f"http://127.0.0.1:{port}")
        config = KubeConfig.from_one(cluster=entry, user=User()).get()
        async with open_kubernetes(config) as store:
            for work in (store.get(REF), store.list("MCPServer"), store.put(MINE)):
                with pytest.raises(Unavailable, match="does not answer"):
                    await work
            with pytest.raises(Unavailable, match="does not answer"):
                await anext(store.watch("MCPServer", "1"))

    run(story())


def test_no_cluster_at_all_is_said_in_words(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    async def story() -> None:
        with pytest.raises(Unavailable, match="no cluster is configured"):
            async with open_kubernetes():
                pass

    run(story())


def test_a_cluster_without_our_kinds_is_said_in_words(run: Run) -> None:
    async def story() -> None:
        async with saying(status(404)) as store:
            assert await store.get(REF) is None
            with pytest.raises(Unavailable, match="does not know mcpservers"):
                await store.list("MCPServer")

    run(story())


def test_what_we_do_not_know_is_not_shown(run: Run) -> None:
    document = server(future=True)
    document["metadata"] |= {"managedFields": [{"manager": "x"}], "generateName": "t"}
    document["spec"] |= {"mood": "good", "env": [{"name": "A", "value": "b", "colour": "red"}]}

    async def story() -> None:
        async with saying(lambda _: httpx2.Response(200, json=document)) as store:
            found = await store.get(REF)
            assert isinstance(found, MCPServer)
            assert [each.name for each in found.spec.env] == ["A"]
            assert found.metadata.resource_version == "7"

    run(story())


def test_what_cannot_be_read_is_left_out_and_told(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    broken = server(spec={"source": {}})
    page = {
        "apiVersion": "mooring.dev/v1alpha1",
        "metadata": {"resourceVersion": "9"},
        "items": [broken, server()],
    }

    async def story() -> None:
        async with saying(lambda _: httpx2.Response(200, json=page)) as store:
            with caplog.at_level(logging.INFO, "mooring"):
                listing = await store.list("MCPServer")
            assert [each.ref for each in listing.items] == [REF]
        assert "cluster.unreadable" in caplog.text

    run(story())


def test_a_list_comes_in_pieces_and_begins_again_when_they_expire(run: Run) -> None:
    asked: list[dict[str, str]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        query = dict(request.url.params)
        asked.append(query)
        if query.get("continue") == "b" and len(asked) == 2:
            return status(410, "Expired")(request)
        names = {"": "a", "b": "b"}[query.get("continue", "")] if "limit" in query else "ab"
        items = [server() | {"metadata": {**server()["metadata"], "name": n}} for n in names]
        more = {"continue": "b"} if names == "a" else {}
        meta = {"resourceVersion": "9", **more}
        document = {"apiVersion": "mooring.dev/v1alpha1", "metadata": meta, "items": items}
        return httpx2.Response(200, json=document)

    async def story() -> None:
        async with saying(answer) as store:
            for _ in range(2):
                listing = await store.list("MCPServer")
                assert [each.metadata.name for each in listing.items] == ["a", "b"]
                assert listing.version == "9"
        assert [sorted(query) for query in asked] == [
            ["limit"], ["continue", "limit"], [], ["limit"], ["continue", "limit"]
        ]  # fmt: skip

    run(story())


def frames(*events: tuple[str, dict[str, Any]]) -> httpx2.Response:
    lines = [json.dumps({"type": kind, "object": document}) for kind, document in events]
    return httpx2.Response(200, text="\n".join(lines) + "\n" if lines else "")


def test_a_watch_goes_on_where_it_was(run: Run) -> None:
    asked: list[str] = []
    answers = [
        frames(("ADDED", server("8"))),
        frames(("BOOKMARK", {"metadata": {"resourceVersion": "11"}})),
        frames(),
        frames(("MODIFIED", server("12"))),
        frames(("ERROR", {"code": 410, "message": "too old"})),
    ]

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.params["resourceVersion"])
        return answers[len(asked) - 1]

    async def story() -> None:
        async with saying(answer) as store:
            changes = store.watch("MCPServer", "7")
            told = [await anext(changes) for _ in range(2)]
            assert [each.object.metadata.resource_version for each in told] == ["8", "12"]
            with pytest.raises(Conflict) as caught:
                await anext(changes)
            assert caught.value.reason == "Expired"
        assert asked == ["7", "8", "11", "11", "12"]

    run(story())


def test_a_cluster_that_ends_every_watch_is_not_asked_for_ever(run: Run) -> None:
    async def story() -> None:
        async with saying(lambda _: frames()) as store:
            with pytest.raises(Unavailable, match="ends every watch"):
                await anext(store.watch("MCPServer", "7"))

    run(story())


def test_only_what_a_writer_may_say_is_sent(run: Run) -> None:
    sent: list[tuple[str, str, Any]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append((request.method, request.url.path, json.loads(request.content or b"null")))
        return httpx2.Response(200, json=server("8"))

    path = "/apis/mooring.dev/v1alpha1/namespaces/default/mcpservers"

    async def story() -> None:
        async with saying(answer) as store:
            await store.put(MINE)
            await store.report(MINE)
            meta = ObjectMeta(name="time", uid="mine", generation=4)
            await store.put(MINE.model_copy(update={"metadata": meta}))
        (put, where, document), (_, reported, told), (post, collection, new) = sent
        assert (put, where, post, collection) == ("PUT", f"{path}/time", "POST", path)
        assert reported == f"{path}/time/status"
        assert ("status" in document, "status" in told, "status" in new) == (False, True, False)
        for each in (document, told, new):
            assert {"generation", "creationTimestamp"} & set(each["metadata"]) == set()
        assert "uid" not in new["metadata"]

    run(story())


def test_a_deletion_is_of_the_object_that_was_read(run: Run) -> None:
    conditions: list[Any] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.method == "DELETE":
            conditions.append(json.loads(request.content)["preconditions"])
            return httpx2.Response(200, json={"kind": "Status", "status": "Success"})
        if "watch" in request.url.params:
            return frames(("MODIFIED", server("8")), ("DELETED", server("9")))
        return httpx2.Response(200, json=server())

    async def story() -> None:
        async with saying(answer) as store:
            gone = await store.delete(REF)
            assert gone.metadata.resource_version == "9"
            await store.delete(REF, uid="other", version="3")
        assert conditions == [{"uid": "u"}, {"uid": "other", "resourceVersion": "3"}]

    run(story())


def test_a_deletion_that_nobody_tells_of_is_one(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.method == "DELETE":
            return httpx2.Response(200, json={"kind": "Status", "status": "Success"})
        if "watch" in request.url.params:
            return status(500)(request)
        return httpx2.Response(200, json=server())

    async def story() -> None:
        async with saying(answer) as store:
            assert (await store.delete(REF)).metadata.resource_version == "7"

    run(story())
