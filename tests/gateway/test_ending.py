"""DELETE: a client ends its session."""

from typing import Any

import pytest
from support.standin import JSON, failure

from mooring.sessions import courier


def test_a_deleted_session_is_gone_on_both_sides(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            other = await w.open()
            said = await w.ask(method="DELETE", mcp_session_id=session)
            assert (said.status, said.body) == (200, b"")
            assert w.standins["notes"][0].sessions == {"notes-0-session-2"}
            seen = len(w.standins["notes"][0].seen)
            for method in ("POST", "GET", "DELETE"):
                said = await w.ask(b'{"jsonrpc":"2.0","id":1,"method":"ping"}', method=method,
                                   mcp_session_id=session)  # fmt: skip
                assert said.status == 404
            assert len(w.standins["notes"][0].seen) == seen
            assert (await w.call(session=other)).status == 200
            assert w.gateway.loads()["uid-notes-0"].sessions == 1

    run(story())


@pytest.mark.parametrize("status", [204, 404, 405])
def test_a_server_that_does_not_end_sessions_changes_nothing(
    world: Any, run: Any, status: int
) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()

            async def answering(exchange: Any) -> None:
                exchange.respond(status)

            w.standins["notes"][0].behaviour = answering
            assert (await w.ask(method="DELETE", mcp_session_id=session)).status == 200
            assert (await w.call(session=session)).status == 404

    run(story())


def test_no_answer_ends_it_too(world: Any, run: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(courier, "PATIENCE", 0.05)

    async def story() -> None:
        async with world() as w:
            session = await w.open()
            await w.standins["notes"][0].__aexit__()
            assert (await w.ask(method="DELETE", mcp_session_id=session)).status == 200
            assert (await w.call(session=session)).status == 404

    run(story())


@pytest.mark.parametrize("status", [401, 500])
def test_a_refusal_passes_and_the_session_is_over(world: Any, run: Any, status: int) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]

            async def refusing(exchange: Any) -> None:
                exchange.respond(status, (JSON,), failure(None, -32000))

            standin.behaviour = refusing
            said = await w.ask(method="DELETE", mcp_session_id=session)
            assert (said.status, said.body) == (status, failure(None, -32000))
            standin.behaviour = None
            assert (await w.call(session=session)).status == 404
            assert (await w.ask(method="DELETE", mcp_session_id=session)).status == 404

    run(story())


def test_without_a_session_there_is_nothing_to_end(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            said = await w.ask(method="DELETE")
            assert (said.status, said.reason) == (400, "BadRequest")
            assert w.standins["notes"][0].seen == []

    run(story())


def test_a_session_of_an_instance_that_is_gone_can_be_ended(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            w.table(**{"notes-0": {"uid": "new"}})
            assert (await w.ask(method="DELETE", mcp_session_id=session)).status == 200
            assert (await w.call(session=session)).status == 404
            assert w.standins["notes"][0].opened == 1

    run(story())
