"""Everything is killed in turn under sessions that call without pause: none is lost, no call
runs twice.

The order is chance, from a seed that is told when the test fails.
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.crowd import Broken, Crowd, Ledger
from support.gateway_here import Gateway
from support.installation import Mooring, alive, wait_until
from support.redis_here import RedisHere, redis_here

from mooring.clock import SystemClock

pytestmark = pytest.mark.process

SERVERS = Path(__file__).resolve().parents[1] / "servers"
SESSIONS = 12
PASSWORD = "hush-hush"
CLOCK = SystemClock()
ALLOWED = {
    "refused": "a gateway of its own was killed",
    "cut": "whoever answered was killed",
    "OutcomeUnknown": "the instance was killed after the call was sent",
    "UpstreamReset": "likewise",
    "UpstreamRefused": "the instance is not up again, and its end is not known yet",
    "UpstreamTimeout": "likewise",
    "ChildExited": "the call was with a child of a stdio server that was killed",
    "RecoveryFailed": "no instance is ready",
    "SessionStoreUnavailable": "the session lost its instance while Redis was away",
}
"""What a call may end in; never in the end of its session."""


class Storm:
    """A whole site, and the ways in which its parts are lost."""

    def __init__(self, mooring: Mooring, redis: RedisHere, program: Path) -> None:
        self.mooring = mooring
        self.redis = redis
        self.program = program
        self.gateways = [Gateway(mooring, name) for name in ("east", "west")]
        self.faults: list[Callable[[], None]] = [
            self.daemon_killed, self.daemon_restarted, self.instance_killed, self.keeper_killed,
            self.gateway_killed, self.gateway_restarted, self.redis_killed,
        ]  # fmt: skip

    @property
    def urls(self) -> list[str]:
        return [self.mooring.url("ledger"), *(gateway.url() for gateway in self.gateways)]

    def daemon_killed(self) -> None:
        assert self.mooring.daemon is not None
        self.mooring.daemon.kill()
        self.mooring.daemon.wait(10)
        self.mooring.start("serve")
        self.mooring.wait_for_api()

    def daemon_restarted(self) -> None:
        assert self.mooring.stop(signal.SIGTERM) == 0
        self.mooring.start("serve")
        self.mooring.wait_for_api()

    def instance_killed(self) -> None:
        found = self.instances()
        if found:
            os.kill(random.choice(found), signal.SIGKILL)

    def keeper_killed(self) -> None:
        pid = self.keeper()
        os.kill(pid, signal.SIGKILL)
        wait_until("another keeper", lambda: self.keeper() not in (0, pid), 20)

    def keeper(self) -> int:
        (lock,) = (self.mooring.home / "run").glob("*/k.sock.lock")
        pid = int(lock.read_text() or 0)
        return pid if alive(pid) else 0

    def gateway_killed(self) -> None:
        gateway = random.choice(self.gateways)
        gateway.end(signal.SIGKILL)
        gateway.start()

    def gateway_restarted(self) -> None:
        gateway = random.choice(self.gateways)
        assert gateway.end() == 0
        gateway.start()

    def redis_killed(self) -> None:
        self.redis.stop()
        time.sleep(1)
        self.redis.start()

    def instances(self) -> list[int]:
        found = []
        for pid in self.mooring.processes():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[:2] == [sys.executable.encode(), str(self.program).encode()]:
                found.append(pid)
        return found

    def end(self) -> None:
        for gateway in self.gateways:
            gateway.end(signal.SIGKILL)


@pytest.fixture
def mooring(tmp_path: Path) -> Iterator[Mooring]:
    installation = Mooring(tmp_path)
    yield installation
    installation.end()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisHere]:
    with redis_here(tmp_path / "redis", password=PASSWORD) as here:
        yield here


async def all_well(crowd: Crowd) -> None:
    """Every session answers at every gateway."""
    async with asyncio.timeout(60):
        for member in crowd.members:
            for _ in member.urls:
                while not await _answers(member.call("look")):
                    await CLOCK.sleep(0.2)


async def _answers(call: Awaitable[tuple[int, Any]]) -> bool:
    try:
        status, body = await call
    except Broken:
        return False
    assert status != 404, body
    return status == 200 and "result" in body


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [
        ("http", 0),
        pytest.param("http", 60, marks=pytest.mark.soak),
        pytest.param("stdio", 60, marks=pytest.mark.soak),
    ],
)
def test_no_session_is_lost_and_no_call_runs_twice(
    mooring: Mooring, redis: RedisHere, kind: str, seconds: int
) -> None:
    seed = int(os.environ.get("STORM_SEED", "7" if not seconds else str(time.time_ns() % 10**9)))
    random.seed(seed)
    mooring.more["MOORING_SESSION_STORE"] = redis.url
    mooring.more["MOORING_SESSION_STORE_PASSWORD"] = PASSWORD
    program = SERVERS / ("ledger_http.py" if kind == "http" else "ledger.py")
    how = "transport: streamable-http" if kind == "http" else "isolation: session"
    mooring.start("serve")
    mooring.wait_for_api()
    mooring.apply(
        f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: ledger}}
spec:
  source: {{command: ["{sys.executable}", "{program}", "{mooring.home / "ledger"}"]}}
  {how}
  replicas: 2
"""
    )
    mooring.ready("ledger")
    storm = Storm(mooring, redis, program)
    done = []
    try:
        with Crowd(storm.urls, SESSIONS, pause=0.02) as crowd:
            end = time.monotonic() + seconds
            while not done or time.monotonic() < end:
                for fault in random.sample(storm.faults, len(storm.faults)):
                    fault()
                    done.append(fault.__name__)
                    crowd.answered(20, 60)
        asyncio.run(all_well(crowd))
    finally:
        storm.end()
    told = f"seed {seed}: {' '.join(done)}"
    assert set(crowd.failures) <= set(ALLOWED), f"{crowd.failures} {told}"
    assert crowd.refused[mooring.port] == 0, told
    assert Ledger(mooring.home / "ledger").twice == [], told
    wait_until("the daemon", lambda: mooring.moor("get", "servers"), 30)
