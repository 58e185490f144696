"""A session whose instance this gateway cannot reach is not lost: others can."""

from typing import Any

from support.standin import message

from mooring.core.elsewhere import from_elsewhere


def test_it_is_told_so_and_goes_on_where_it_can(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            w.gateway.seen = from_elsewhere
            w.table()
            for _ in range(2):
                said = await w.call(session=session)
                assert (said.status, said.reason) == (200, "NotRoutableHere")
            note = message("notifications/roots/list_changed")
            assert (await w.ask(note, mcp_session_id=session)).status == 202
            said = await w.ask(method="GET", mcp_session_id=session)
            assert (said.status, said.reason) == (503, "NotRoutableHere")
            w.gateway.seen = lambda table: table
            w.table()
            assert (await w.call(session=session)).status == 200
            assert sum(standin.opened for standin in w.standins["notes"]) == 1

    run(story())
