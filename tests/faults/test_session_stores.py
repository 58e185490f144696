"""The store of session records goes away, comes back, and comes back empty; sessions end."""

import asyncio
import json
import os
import re
import signal
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.crowd import Crowd, Ledger, Member
from support.installation import Mooring, alive, wait_until
from support.redis_here import RedisHere, redis_here

from mooring.core.identity import ANONYMOUS, Identity
from mooring.kinds.ref import Ref
from mooring.programs import places
from mooring.sessions.key_file import KeyFile
from mooring.sessions.seal import SealedSession, Sealer

pytestmark = pytest.mark.process

PROGRAM = Path(__file__).resolve().parents[1] / "servers" / "ledger_http.py"
SECRET = "hush-hush"
SESSIONS = 20


@pytest.fixture
def mooring(tmp_path: Path) -> Iterator[Mooring]:
    installation = Mooring(tmp_path)
    yield installation
    installation.end()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisHere]:
    with redis_here(tmp_path / "redis", password=SECRET) as here:
        yield here


def manifest(mooring: Mooring, replicas: int, *names: str) -> str:
    return "---".join(
        f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: {name}}}
spec:
  source: {{command: ["{sys.executable}", "{PROGRAM}", "{mooring.home / name}"]}}
  transport: streamable-http
  replicas: {replicas}
"""
        for name in names
    )


def started(mooring: Mooring, replicas: int = 1, *names: str) -> None:
    mooring.start("serve")
    mooring.wait_for_api()
    mooring.apply(manifest(mooring, replicas, *names))
    for name in names:
        mooring.ready(name)


def instances(mooring: Mooring) -> list[int]:
    """Pids of the servers' processes."""
    return sorted(
        p for p in mooring.processes() if command(p)[:2] == [sys.executable, str(PROGRAM)]
    )


def command(pid: int) -> list[str]:
    """What a process was started with; nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def kill_one(mooring: Mooring) -> None:
    """One of two instances ends at once, and is there again."""
    victim, *_ = instances(mooring)
    os.kill(victim, signal.SIGKILL)
    wait_until("its end", lambda: not alive(victim), 10)
    wait_until("the next one", lambda: len(instances(mooring)) == 2, 30)
    mooring.ready("ledger")


def visit(member: Member) -> int:
    """The status of a call."""
    return asyncio.run(member.call("look"))[0]


def guest(mooring: Mooring, name: str, server: str = "ledger") -> Member:
    """A session beside the crowd."""
    member = Member(name, [mooring.url(server)])
    asyncio.run(member.open())
    return member


def records(redis: RedisHere) -> int:
    return int(redis.ask("ZCARD", "{mooring}:due")[1:])


def store_condition(mooring: Mooring) -> str:
    """What the server says of the session store."""
    server = json.loads(mooring.moor("get", "server", "ledger", "-o", "json"))
    found = {each["type"]: each["status"] for each in server["status"]["conditions"]}
    return str(found.get("SessionStoreAvailable"))


def fine(crowd: Crowd) -> bool:
    """Nothing went wrong but calls that were under way when their instance was killed."""
    return set(crowd.failures) <= {"OutcomeUnknown", "UpstreamReset"}


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.soak)])
def test_sessions_go_on_without_redis_and_are_safe_with_it_again(
    mooring: Mooring, redis: RedisHere, seconds: int
) -> None:
    mooring.more |= {
        "MOORING_WORKERS": "2",
        "MOORING_SESSION_STORE": redis.url,
        "MOORING_SESSION_STORE_PASSWORD": SECRET,
    }
    started(mooring, 2, "ledger")
    with Crowd([mooring.url("ledger")], SESSIONS, pause=0.01) as crowd:
        deleted = guest(mooring, "deleted")
        assert asyncio.run(deleted.delete()) == 200
        assert records(redis) == SESSIONS + 1
        guests = [hung(mooring, redis, crowd)]
        guests += stopped(mooring, redis, crowd, seconds)
        assert visit(deleted) == 404
        emptied(redis, crowd, guests)
        kill_one(mooring)
        crowd.answered(200)
        assert {visit(member) for member in guests} == {200}
        assert fine(crowd), crowd.failures
        assert visit(deleted) == 404
    ledger = Ledger(mooring.home / "ledger")
    assert ledger.twice == []
    once = {f"m{number}" for number in range(SESSIONS)} | {member.name for member in guests}
    assert {ledger.count("initialize")[name] for name in once} == {1, 2}
    assert SECRET not in mooring.output
    assert not any(SECRET in word for pid in mooring.processes() for word in command(pid))


def hung(mooring: Mooring, redis: RedisHere, crowd: Crowd) -> Member:
    """Redis keeps its connections and says nothing: calls go on, a session opens."""
    redis.hang()
    crowd.answered(100)
    member = guest(mooring, "patient")
    assert visit(member) == 200
    assert crowd.failures == {}
    redis.go_on()
    wait_until("what is owed", lambda: records(redis) == SESSIONS + 2, 20)
    return member


def stopped(mooring: Mooring, redis: RedisHere, crowd: Crowd, seconds: int) -> list[Member]:
    """Redis is gone for a while, and comes back with what it had."""
    redis.stop()
    crowd.answered(100)
    wait_until("the condition", lambda: store_condition(mooring) == "False", 20)
    guests = [guest(mooring, f"g{number}") for number in range(seconds)]
    for _ in range(seconds):
        crowd.answered(SESSIONS * 5)
        assert {visit(member) for member in guests} == {200}
    assert crowd.failures == {}
    redis.start()
    wait_until("what is owed", lambda: records(redis) == SESSIONS + 2 + seconds, 30)
    crowd.answered(100)
    wait_until("the condition", lambda: store_condition(mooring) == "True", 20)
    return guests


def emptied(redis: RedisHere, crowd: Crowd, guests: list[Member]) -> None:
    """Redis comes back with nothing, and is given again what is used."""
    redis.kill()
    redis.start(empty=True)
    crowd.answered(200)

    def used_ones_are_back() -> bool:
        assert {visit(member) for member in guests} == {200}
        return records(redis) == SESSIONS + len(guests)

    wait_until("the records", used_ones_are_back, 30)
    assert crowd.failures == {}


def test_an_id_that_is_not_yours_here_and_now_is_404(mooring: Mooring) -> None:
    mooring.more |= {
        "MOORING_SESSION_LIFETIME_SECONDS": "4",
        "MOORING_SESSION_IDLE_SECONDS": "20",
    }
    started(mooring, 1, "ledger", "other")
    member = guest(mooring, "m")
    right = member.session
    kept = places.of(str(mooring.home / "data")).keys / "sessions.key"
    sealer = Sealer(*KeyFile(kept).keys())
    told = sealer.open(right)
    assert told is not None
    somebody = Identity("https://issuer.example", "mallory")
    foreign = SealedSession(told.server, told.uid, told.upstream_id, told.version, ANONYMOUS, 2**33)
    wrong = {
        "another identity": sealer.seal(told._replace(identity=somebody)),
        "another server": sealer.seal(told._replace(server=Ref("MCPServer", "default", "other"))),
        "another key": Sealer(bytes(32)).seal(foreign),
        "tampered": right[:-1] + ("A" if right[-1] != "A" else "B"),
        "truncated": right[: len(right) // 2],
        "oversized": right + "A" * 5000,
        "nonsense": "nonsense",
    }
    for what, id in wrong.items():
        member.session = id
        assert (what, visit(member)) == (what, 404)
    member.session, member.urls = right, [mooring.url("other")]
    assert visit(member) == 404
    member.urls = [mooring.url("ledger")]
    assert visit(member) == 200
    wait_until("its expiry", lambda: visit(member) == 404, 10)
    wait_until("its end", lambda: ended(mooring) == {"m": 1}, 10)


def ended(mooring: Mooring) -> dict[str, int]:
    """How often each session was ended at its owner; those of probes are left out."""
    found = Ledger(mooring.home / "ledger").count("delete")
    return {name: times for name, times in found.items() if name != "mooring"}


@pytest.mark.parametrize("count", [150, pytest.param(10_000, marks=pytest.mark.soak)])
def test_abandoned_sessions_are_gone_after_a_while(mooring: Mooring, count: int) -> None:
    mooring.more["MOORING_SESSION_IDLE_SECONDS"] = str(max(4, count // 60))
    started(mooring, 2, "ledger")
    crowd(mooring, 100, "warm")
    before = resident(mooring)
    crowd(mooring, count, "a")
    assert sessions(mooring) >= count
    if count >= 10_000:
        assert (resident(mooring) - before) / count < 10 * 1024
    wait_until("their end", lambda: len(ended(mooring)) == count + 100, 60 + count // 20)
    assert sessions(mooring) == 0
    assert set(ended(mooring).values()) == {1}


def crowd(mooring: Mooring, count: int, name: str) -> None:
    """Opens so many sessions, and leaves them."""

    async def opened() -> None:
        for start in range(0, count, 50):
            numbers = range(start, min(start + 50, count))
            members = [Member(f"{name}{number}", [mooring.url("ledger")]) for number in numbers]
            await asyncio.gather(*(member.open() for member in members))

    asyncio.run(opened())


def resident(mooring: Mooring) -> int:
    """Bytes of memory of the daemon."""
    assert mooring.daemon is not None
    status = Path(f"/proc/{mooring.daemon.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def sessions(mooring: Mooring) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{mooring.port}/metrics", timeout=10) as page:
        found = re.search(r"^mooring_sessions(?:{.*?})? (\S+)", page.read().decode(), re.M)
    assert found
    return int(float(found[1]))


def test_keys_are_rotated_under_load(mooring: Mooring) -> None:
    mooring.more["MOORING_WORKERS"] = "2"
    started(mooring, 1, "ledger")
    file = KeyFile(places.of(str(mooring.home / "data")).keys / "sessions.key")

    def sealed_with_the_first_key() -> bool:
        try:
            session = guest(mooring, "probe").session
        except AssertionError:
            return False  # the other worker does not know the new key yet
        return Sealer(file.keys()[0]).open(session) is not None

    with Crowd([mooring.url("ledger")], 5, pause=0.01) as crowd:
        mooring.moor("session-key", "rotate")
        wait_until("the new key in use", sealed_with_the_first_key, 20)
        crowd.answered(50)
        assert crowd.failures == {}, crowd.failures
        early = guest(mooring, "early")
        mooring.moor("session-key", "rotate", "--forget")
        wait_until("the end of all sessions", lambda: visit(early) == 404, 20)
        wait_until("the new key in use", sealed_with_the_first_key, 20)
    assert set(crowd.failures) <= {"SessionLost", "HTTP 404"}
