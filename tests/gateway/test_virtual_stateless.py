"""A virtual server as clients of the stateless era meet it."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from support.fronting import Said, eventually
from support.joining import Backend, Joined, joined, tool
from support.standin import JSON

from mooring.transports.http_server import Exchange
from mooring.transports.sse import EventSplitter

Run = Callable[[Any], Any]
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def able(name: str, **capabilities: Any) -> Backend:
    """A backend of this era."""
    backend = Backend(name)
    backend.stateless = True
    backend.capabilities = capabilities or {"tools": {"listChanged": True}}
    return backend


def request(method: str, id: Any = 1, **params: Any) -> bytes:
    params = {"_meta": META} | params
    return json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).encode()


def mirrored(method: str, **params: Any) -> dict[str, str]:
    headers = {"mcp_protocol_version": "2026-07-28", "mcp_method": method}
    name = params.get("uri" if method == "resources/read" else "name")
    return headers | ({"mcp_name": name} if name else {})


async def ask(joint: Joined, method: str, **params: Any) -> Said:
    return await joint.world.ask(request(method, **params), **mirrored(method, **params))


def test_it_is_discovered_and_listed_with_hints_for_caches(run: Run) -> None:
    async def story() -> None:
        notes, mail = able("notes"), able("mail")
        mail.hints = {"ttlMs": 50, "cacheScope": "public"}
        async with joined(notes, mail) as joint:
            told = (await ask(joint, "server/discover")).json["result"]
            assert told["supportedVersions"] == ["2026-07-28"]
            assert told["capabilities"] == {"tools": {"listChanged": True}}
            assert told["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "all"
            listed = (await ask(joint, "tools/list")).json["result"]
            assert len(listed["tools"]) == 4
            for each in (told, listed):
                assert each["resultType"] == "complete"
                assert (each["ttlMs"], each["cacheScope"]) == (50, "public")
            mail.hints = {"ttlMs": 50, "cacheScope": "private"}

    run(story())


def test_one_private_backend_makes_the_whole_list_private(run: Run) -> None:
    async def story() -> None:
        mine = able("mine")
        mine.hints = {"ttlMs": 9, "cacheScope": "private"}
        async with joined(able("notes"), mine) as joint:
            listed = (await ask(joint, "tools/list")).json["result"]
            assert listed["cacheScope"] == "private"

    run(story())


def test_a_call_goes_to_its_backend_with_the_name_that_it_knows_everywhere(run: Run) -> None:
    async def story() -> None:
        async with joined(able("notes"), able("mail")) as joint:
            given = {"region": "x"}
            body = request("tools/call", name="mail_add", arguments=given)
            headers = mirrored("tools/call", name="mail_add") | {"mcp_param_region": "x"}
            said = (await joint.world.ask(body, **headers)).json["result"]
            assert said["who"] == "mail"
            assert said["params"] == {"_meta": META, "name": "add", "arguments": given}
            assert said["headers"]["mcp-name"] == "add"
            assert said["headers"]["mcp-param-region"] == "x"
            assert "mcp-session-id" not in said["headers"]

    run(story())


@pytest.mark.parametrize(
    ("method", "params", "status", "code"),
    [
        ("initialize", {}, 404, -32601),
        ("ping", {}, 404, -32601),
        ("unknown/method", {}, 404, -32601),
        ("tools/call", {"name": "nothing"}, 400, -32602),
        ("resources/read", {"uri": "x://1"}, 400, -32602),
        ("tools/list", {"cursor": "made-up"}, 400, -32602),
        ("tools/list", {"_meta": {}}, 400, -32602),
    ],
)
def test_what_is_wrong_is_refused_under_the_status_that_it_has_here(
    run: Run, method: str, params: dict[str, Any], status: int, code: int
) -> None:
    async def story() -> None:
        async with joined(able("notes"), able("mail")) as joint:
            said = await ask(joint, method, **params)
            assert (said.status, said.json["error"]["code"]) == (status, code)
            assert said.json["id"] == 1

    run(story())


def test_headers_that_contradict_the_body_are_refused(run: Run) -> None:
    async def story() -> None:
        async with joined(able("notes")) as joint:
            body = request("tools/call", name="notes_add")
            said = await joint.world.ask(body, **mirrored("tools/call", name="notes_find"))
            assert (said.status, said.json["error"]["code"]) == (400, -32020)

    run(story())


def test_a_version_to_come_is_not_supported(run: Run) -> None:
    async def story() -> None:
        async with joined(able("notes")) as joint:
            meta = META | {"io.modelcontextprotocol/protocolVersion": "2027-01-01"}
            headers = mirrored("tools/list") | {"mcp_protocol_version": "2027-01-01"}
            said = await joint.world.ask(request("tools/list", _meta=meta), **headers)
            error = said.json["error"]
            assert (said.status, error["code"]) == (400, -32022)
            assert error["data"] == {"supported": ["2026-07-28"], "requested": "2027-01-01"}

    run(story())


def test_with_a_backend_that_knows_sessions_only_clients_are_told_to_fall_back(run: Run) -> None:
    async def story() -> None:
        async with joined(able("notes"), "old") as joint:
            said = await ask(joint, "server/discover")
            assert (said.status, said.json["error"]["code"]) == (404, -32601)
            assert len(await joint.listed(await joint.open())) == 4

    run(story())


class Ears:
    """A client that listens."""

    def __init__(self, joint: Joined) -> None:
        self._joint = joint
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def listen(self, id: Any, **wanted: Any) -> "Ears":
        body = request("subscriptions/listen", id, notifications=wanted)
        self.reader, self.writer = await self._joint.world.raw(
            b"POST /virtual/all/mcp HTTP/1.0\r\nhost: HOST\r\naccept: text/event-stream\r\n"
            b"content-type: application/json\r\nmcp-protocol-version: 2026-07-28\r\n"
            b"mcp-method: subscriptions/listen\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        await self.reader.readuntil(b"\r\n\r\n")
        self._joint.listeners.append(asyncio.ensure_future(self._hear()))
        return self

    async def _hear(self) -> None:
        splitter = EventSplitter()
        while chunk := await self.reader.read(65536):
            for event in splitter.feed(chunk):
                if event.data:
                    self.heard.put_nowait(json.loads(event.data))

    async def next(self) -> dict[str, Any]:
        return await asyncio.wait_for(self.heard.get(), 3)


ID = "io.modelcontextprotocol/subscriptionId"


def test_a_subscription_is_acknowledged_and_hears_what_it_asked_for(run: Run) -> None:
    async def story() -> None:
        notes = able("notes")
        async with joined(notes) as joint:
            ears = await Ears(joint).listen("l-1", toolsListChanged=True, promptsListChanged=True)
            others = await Ears(joint).listen(7, resourcesListChanged=True)
            first = await ears.next()
            assert first["method"] == "notifications/subscriptions/acknowledged"
            assert first["params"]["_meta"] == {ID: "l-1"}
            assert first["params"]["notifications"] == {"toolsListChanged": True}
            assert (await others.next())["params"]["notifications"] == {}
            await eventually(lambda: notes.heard)
            notes.tools.append(tool("count"))
            await notes.tell("notifications/tools/list_changed")
            note = await ears.next()
            assert note["method"] == "notifications/tools/list_changed"
            assert note["params"]["_meta"] == {ID: "l-1"}
            assert others.heard.empty()
            joint.gateway.close_streams()
            last = await ears.next()
            assert last["id"] == "l-1"
            assert last["result"]["resultType"] == "complete"

    run(story())


def test_resources_are_listened_to_at_their_backend_once_for_all(run: Run) -> None:
    async def story() -> None:
        notes, mail = able("notes", resources={"subscribe": True}), able("mail")
        notes.resources = [{"uri": "note://1", "name": "1"}, {"uri": "note://2", "name": "2"}]
        async with joined(notes, mail) as joint:
            one = await Ears(joint).listen(1, resourceSubscriptions=["note://1"])
            two = await Ears(joint).listen(2, resourceSubscriptions=["note://1", "x://none"])
            assert (await one.next())["params"]["notifications"] == {
                "resourceSubscriptions": ["note://1"]
            }
            await two.next()

            def subscribed() -> list[Any]:
                asked = notes.asked.get("subscriptions/listen", [])
                wanted = [told["params"]["notifications"] for told in asked]
                return [each for each in wanted if "resourceSubscriptions" in each]

            await eventually(lambda: len(notes.heard) == len(notes.asked["subscriptions/listen"]))
            await eventually(subscribed)
            await notes.tell("notifications/resources/updated", uri="note://1")
            for ears, id in ((one, 1), (two, 2)):
                note = await ears.next()
                assert note["method"] == "notifications/resources/updated"
                assert note["params"] == {"_meta": {ID: id}, "uri": "note://1"}

    run(story())


def test_a_client_that_leaves_ends_its_call(run: Run) -> None:
    async def story() -> None:
        notes = able("notes")
        async with joined(notes) as joint:
            await ask(joint, "tools/list")
            left = asyncio.Event()

            async def hang(exchange: Exchange) -> None:
                if b"tools/call" not in exchange.request.body:
                    await notes.serve(exchange)
                    return
                exchange.on_gone(left.set)
                await left.wait()

            notes.behaviour = hang
            body = request("tools/call", name="notes_add")
            _, writer = await joint.world.raw(
                b"POST /virtual/all/mcp HTTP/1.1\r\nhost: HOST\r\naccept: application/json\r\n"
                b"content-type: application/json\r\nmcp-protocol-version: 2026-07-28\r\n"
                b"mcp-method: tools/call\r\nmcp-name: notes_add\r\ncontent-length: %d\r\n\r\n%b"
                % (len(body), body)
            )
            await eventually(lambda: any(b"tools/call" in r.body for r in notes.seen))
            writer.transport.abort()
            await asyncio.wait_for(left.wait(), 3)

    run(story())


def test_a_state_comes_back_to_the_backend_that_gave_it(run: Run) -> None:
    async def story() -> None:
        notes = able("notes")

        async def rounds(exchange: Exchange) -> None:
            told = json.loads(exchange.request.body)
            if told["method"] != "tools/call":
                await notes.serve(exchange)
                return
            given = told["params"].get("requestState")
            answer = {"resultType": "complete", "given": given, "name": told["params"]["name"]}
            if given is None:
                answer = {
                    "resultType": "input_required",
                    "requestState": "mine",
                    "inputRequests": {},
                }
            body = json.dumps({"jsonrpc": "2.0", "id": told["id"], "result": answer}).encode()
            exchange.respond(200, (JSON,), body)

        notes.behaviour = rounds
        async with joined(notes) as joint:
            said = await ask(joint, "tools/call", name="notes_add", arguments={})
            state = said.json["result"]["requestState"]
            assert state != "mine"
            again = {"name": "notes_add", "arguments": {}, "inputResponses": {}}
            said = await ask(joint, "tools/call", **again, requestState=state)
            assert said.json["result"]["given"] == "mine"
            said = await ask(joint, "tools/call", **again, requestState="forged")
            assert (said.status, said.json["error"]["code"]) == (400, -32602)

    run(story())


def test_a_backend_that_is_declared_to_have_sessions_is_used_with_sessions_only(run: Run) -> None:
    async def story() -> None:
        async with joined(able("notes"), able("mail")) as joint:
            joint.specs["notes"] = {"eras": "session"}
            joint.table()
            refused = await ask(joint, "server/discover")
            assert (refused.status, refused.json["error"]["code"]) == (404, -32601)
            session = await joint.open()
            assert "notes_add" in await joint.listed(session)
            joint.specs.clear()
            joint.table()
            assert (await ask(joint, "server/discover")).status == 200

    run(story())


def test_a_backend_that_is_declared_to_have_none_is_not_used_with_sessions(run: Run) -> None:
    async def story() -> None:
        async with joined(able("notes"), "mail") as joint:
            joint.specs["notes"] = {"eras": "stateless"}
            joint.table()
            assert await joint.listed(await joint.open()) == ["mail_add", "mail_find"]

    run(story())
