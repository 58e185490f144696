"""Two gateways with one key: with one Redis they share all sessions; without, most."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.crowd import Broken, Ledger, Member
from support.gateway_here import Gateway
from support.installation import Mooring, process_of, wait_until
from support.redis_here import redis_here

from mooring.clock import SystemClock

pytestmark = pytest.mark.process

Run = Callable[[Coroutine[Any, Any, None]], None]
PROGRAM = Path(__file__).resolve().parents[1] / "servers" / "ledger_http.py"
PASSWORD = "hush-hush"
CLOCK = SystemClock()


@dataclass
class Site:
    """An installation with Redis, and two gateways of their own."""

    mooring: Mooring
    path: Path
    east: Gateway
    west: Gateway

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.path)

    def kill_owner(self, session: str) -> None:
        """Ends the instance that holds a session, as far as the ledger knows."""
        lines = [x for x in self.ledger.lines if x["session"] == session]
        last = next(x for x in reversed(lines) if x["what"] == "initialize")
        pid = process_of(last["space"], last["pid"], self.path)
        assert pid, "it is gone"
        os.kill(pid, signal.SIGKILL)
        wait_until("its end", lambda: not process_of(last["space"], last["pid"], self.path), 10)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("sharing")
    path = home / "ledger"
    with redis_here(home / "redis", password=PASSWORD) as redis:
        mooring = Mooring(home)
        mooring.more["MOORING_SESSION_STORE"] = redis.url
        mooring.more["MOORING_SESSION_STORE_PASSWORD"] = PASSWORD
        gateways = []
        try:
            mooring.start("serve")
            mooring.wait_for_api()
            mooring.apply(
                f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: ledger}}
spec:
  source: {{command: ["{sys.executable}", "{PROGRAM}", "{path}"]}}
  transport: streamable-http
  replicas: 2
"""
            )
            mooring.ready("ledger")
            gateways = [Gateway(mooring, name) for name in ("east", "west")]
            yield Site(mooring, path, *gateways)
        finally:
            for gateway in gateways:
                gateway.end(signal.SIGKILL)
            mooring.end()


async def opened(name: str, at: Gateway) -> Member:
    member = Member(name, [at.url()])
    await member.open()
    return member


def beside(member: Member, at: Gateway) -> Member:
    """The same session, used through another gateway."""
    other = Member(member.name, [at.url()])
    other.session, other.number = member.session, 1000
    return other


async def sum_of(member: Member, number: int = 1) -> int:
    """What the session's own sum is after this; asked again while its instance is being lost."""
    async with asyncio.timeout(30):
        while True:
            try:
                status, body = await member.call("add", number=number)
            except Broken:
                await CLOCK.sleep(0.05)
                continue
            if "result" in body:
                return int(body["result"]["content"][0]["text"])
            assert status != 404, body
            await CLOCK.sleep(0.05)


def test_the_second_serves_every_session_of_the_first(site: Site, run: Run) -> None:
    async def story() -> None:
        members = [await opened(f"heir-{n}", site.east) for n in range(8)]
        assert [await sum_of(member) for member in members] == [1] * 8
        site.east.end(signal.SIGKILL)
        there = [beside(member, site.west) for member in members]
        assert [await sum_of(member) for member in there] == [2] * 8
        found = site.ledger.count("initialize")
        assert {found[member.name] for member in members} == {1}

    try:
        run(story())
    finally:
        site.east.start()


def test_of_two_that_recover_one_session_one_wins_and_the_other_deletes_its_spare(
    site: Site, run: Run
) -> None:
    async def story() -> None:
        here = await opened("slow-race", site.east)
        there = beside(here, site.west)
        assert [await sum_of(here), await sum_of(there)] == [1, 2]
        site.kill_owner(here.name)
        sums = await asyncio.gather(sum_of(here), sum_of(there))
        assert sorted(sums) == [1, 2]  # of one and the same new owner
        await CLOCK.sleep(0)
        assert [await sum_of(there), await sum_of(here)] == [3, 4]

    run(story())
    opened_anew = site.ledger.count("initialize")["slow-race"] - 1
    assert opened_anew == 2
    wait_until("the spare's end", lambda: site.ledger.count("delete")["slow-race"] == 1, 10)
    assert site.ledger.count("initialized")["slow-race"] == 3


def test_a_session_that_one_has_moved_is_followed_by_the_other(site: Site, run: Run) -> None:
    async def story() -> None:
        here = await opened("moved", site.east)
        there = beside(here, site.west)
        assert [await sum_of(here), await sum_of(there)] == [1, 2]
        site.kill_owner(here.name)
        assert await sum_of(here) == 1
        assert [await sum_of(there), await sum_of(here)] == [2, 3]

    run(story())
    assert site.ledger.count("initialize")["moved"] == 2
    wait_until("the event", lambda: "SessionsRecovered" in site.mooring.moor("events"), 20)


def test_what_was_deleted_at_one_is_404_at_the_other_for_ever(site: Site, run: Run) -> None:
    def status(member: Member) -> int:
        return asyncio.run(member.call("look"))[0]

    async def story() -> None:
        here = await opened("deleted", site.east)
        assert await sum_of(beside(here, site.west)) == 1
        assert await here.delete() == 200
        members.append(here)

    members: list[Member] = []
    run(story())
    (here,) = members
    there = beside(here, site.west)
    wait_until("the news", lambda: status(there) == 404, 5)
    site.west.end(signal.SIGKILL)
    site.west.start()
    site.kill_owner(here.name)  # a tombstone is not recovered either
    assert [status(there) for _ in range(5)] == [404] * 5
    assert status(here) == 404
    assert site.ledger.count("initialize")["deleted"] == 1
    site.mooring.ready("ledger")


def test_without_a_common_store_sessions_that_never_moved_work_at_both(
    site: Site, run: Run
) -> None:
    gateways = [
        Gateway(site.mooring, name, "--session-store=memory") for name in ("north", "south")
    ]

    async def story() -> None:
        for here, there in (gateways, reversed(gateways)):
            members = [await opened(f"apart-{here.name}-{n}", here) for n in range(4)]
            assert [await sum_of(member) for member in members] == [1] * 4
            others = [beside(member, there) for member in members]
            assert [await sum_of(member) for member in others] == [2] * 4

    try:
        run(story())
    finally:
        for gateway in gateways:
            gateway.end(signal.SIGKILL)
    found = site.ledger.count("initialize")
    assert {times for name, times in found.items() if name.startswith("apart-")} == {1}
