"""Health, readiness, status and metrics."""

import json
from typing import Any

from support.standin import message

from mooring.core.elsewhere import from_elsewhere
from mooring.gateway import pages


def test_healthz_is_about_the_process_only(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            w.table(**{"notes-0": {"state": "ERROR"}})
            said = await w.ask(method="GET", path="/healthz")
            assert (said.status, said.body) == (200, b"ok\n")

    run(story())


def test_readyz_names_who_is_not_ready(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2, "time": 1}) as w:
            said = await w.ask(method="GET", path="/readyz")
            assert (said.status, said.json) == (200, {"ready": True, "notReady": []})
            w.table(**{"notes-0": {"state": "ERROR"}})  # the other one serves
            assert (await w.ask(method="GET", path="/readyz")).status == 200
            w.table(**{"time-0": {"health": "unhealthy"}})
            said = await w.ask(method="GET", path="/readyz")
            assert said.status == 503
            assert [server["name"] for server in said.json["notReady"]] == ["time"]
            status = await w.ask(method="GET", path="/status")
            assert (status.status, status.json["healthy"]) == (200, False)

    run(story())


def test_a_server_that_is_not_wanted_to_run_is_no_obstacle(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 0}) as w:
            assert (await w.ask(method="GET", path="/readyz")).status == 200

    run(story())


def test_before_the_table_is_read_nothing_is_ready() -> None:
    status, body = pages.readiness(None)
    assert (status, json.loads(body)["ready"]) == (503, False)
    assert json.loads(pages.status(None)) == {
        "healthy": False,
        "servers": [],
        "virtual": [],
        "sessionStore": {"available": True, "message": ""},
    }


def test_status_lists_servers_and_no_secrets(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            said = await w.ask(method="GET", path="/status")
            assert said.json == {
                "healthy": True,
                "servers": [
                    {
                        "namespace": "default", "name": "notes", "phase": "Ready",
                        "path": "/servers/notes/mcp", "readyInstances": 0, "replicas": 2,
                    }
                ],
                "virtual": [],
                "sessionStore": {"available": True, "message": ""},
            }  # fmt: skip

    run(story())


def test_trouble_with_the_store_and_with_instances_shows_and_ends_nothing(
    world: Any, run: Any
) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            page = (await w.ask(method="GET", path="/metrics")).body.decode()
            assert "mooring_session_store_up 1.0" in page
            assert "mooring_ejected_instances 0.0" in page
            w.gateway.tally.store = "redis does not answer"
            w.gateway.tally.ejections = lambda: {"u1": 30.0}
            page = (await w.ask(method="GET", path="/metrics")).body.decode()
            assert "mooring_session_store_up 0.0" in page
            assert "mooring_ejected_instances 1.0" in page
            said = (await w.ask(method="GET", path="/status")).json
            assert said["sessionStore"] == {"available": False, "message": "redis does not answer"}
            assert (await w.ask(method="GET", path="/readyz")).status == 200

    run(story())


def test_a_server_out_of_reach_says_how_much_of_it_is(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            w.gateway.seen = from_elsewhere
            w.table()
            (told,) = (await w.ask(method="GET", path="/status")).json["servers"]
            assert told["outOfReach"] == 2
            assert (await w.ask(method="GET", path="/readyz")).status == 503

    run(story())


def test_probes_may_come_under_any_name(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            for path in ("/healthz", "/readyz"):
                reader, writer = await w.raw(
                    f"GET {path} HTTP/1.1\r\nHost: 10.0.0.7\r\nConnection: close\r\n\r\n".encode()
                )
                assert b" 200 " in (await reader.readline())
                writer.close()

    run(story())


def test_pages_are_only_read(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            for path in ("/healthz", "/readyz", "/status", "/metrics"):
                said = await w.ask(b"{}", path=path)
                assert (said.status, said.headers[b"allow"]) == (405, b"GET, HEAD")
                assert (await w.ask(method="HEAD", path=path)).body == b""

    run(story())


def test_metrics_count_by_closed_sets_of_labels(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            await w.call(session=session)
            await w.ask(message("notifications/initialized"), mcp_session_id=session)
            for i in range(20):
                await w.ask(message(f"made/up-{i}", 1), mcp_session_id=session)
                await w.ask(method=("PUT", "PATCH")[i % 2])
            await w.call(session="forged")
            page = (await w.ask(method="GET", path="/metrics")).body.decode()
            lines = [x for x in page.splitlines() if x.startswith("mooring_requests_total{")]
            counts = {tuple(x.split('"')[1::2]): float(x.rpartition(" ")[2]) for x in lines}
            assert counts == {
                ("session", "initialize", "answered"): 1,
                ("session", "tools/call", "answered"): 1,
                ("session", "tools/call", "refused"): 1,
                ("session", "notification", "answered"): 1,
                ("session", "other", "answered"): 20,
                ("session", "other", "refused"): 20,
            }
            assert 'mooring_request_seconds_count{era="session"} 24.0' in page
            assert "mooring_sessions 1.0" in page

    run(story())
