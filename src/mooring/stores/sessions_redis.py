"""Session records in Redis, shared by gateways of any machines.

What must happen in one step is a script (`redis_scripts`). Changes are published, and a
published message that nobody hears is gone: so a new connection to listen on is a gap. Every
wait has a bound, and after one that ran out the store is held to be away for a moment, so that
requests do not queue for it.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection
from redis.asyncio.client import PubSub
from redis.asyncio.connection import AbstractConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    MovedError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeout

from mooring.clock import Clock
from mooring.core.session_record import Gap, Held, Moved, Until
from mooring.errors import Conflict, Unavailable
from mooring.stores import redis_scripts as scripts
from mooring.stores.redis_address import RedisAddress
from mooring.stores.sessions_memory import first_revision

T = TypeVar("T")
WAIT_SECONDS = 3.0
"""How long an operation may take, connecting included."""
AWAY_SECONDS = 1.0
"""How long the store is not asked again after it did not answer."""
QUIET_SECONDS = 5.0
"""Silence after which a listener asks whether it is still connected; twice that is too long."""
CONNECTIONS = 16
KEEP_SECONDS = 3600
"""How much longer than its absolute time a record stays, for want of a sweeper."""
BATCH = 500
"""Records that one script touches."""


@asynccontextmanager
async def open_redis(address: RedisAddress, clock: Clock) -> AsyncIterator["RedisSessions"]:
    """The store in that Redis, which may be away: then every operation says so."""
    store = RedisSessions(address, clock)
    try:
        yield store
    finally:
        await store.close()


class RedisSessions:
    """Passes the contract of `core.session_record.SessionStore`."""

    def __init__(self, address: RedisAddress, clock: Clock) -> None:
        self.address = address
        self._clock = clock
        self._tag = f"{{{address.prefix}}}"
        self._due = f"{self._tag}:due"
        self._channel = f"{self._tag}:changes"
        self._away_until = 0.0
        self._closed = False
        self._elsewhere = False
        self._redis = Redis.from_pool(_pool(address, address.host, address.port))
        self._scripts = {text: self._redis.register_script(text) for text in scripts.ALL}

    async def create(self, key: bytes, value: bytes, until: Until) -> Held:
        idle, absolute = _text(until.idle), _text(until.absolute)
        revision = await self._call(
            scripts.CREATE, key, value, first_revision(), idle, absolute, self._keep(until.absolute)
        )
        if revision is None:
            raise Conflict("AlreadyExists", "there is a record of this session, or it has ended")
        return Held(key, value, int(revision), Until(_seconds(idle), _seconds(absolute)))

    async def read(self, key: bytes) -> Held | None:
        async def work() -> Any:
            return await self._run(scripts.READ, [self._record(key)], [])

        return _held(key, await self._bounded(work))

    async def replace(self, key: bytes, value: bytes, revision: int) -> Held:
        held = _held(key, await self._call(scripts.REPLACE, key, value, revision))
        if held is None:
            raise Conflict("StaleVersion", "the record of this session was changed; read it again")
        return held

    async def end(self, key: bytes, absolute: float) -> Held | None:
        rest = _text(absolute), self._keep(absolute), first_revision()
        return _ended(_held(key, await self._call(scripts.END, key, *rest)))

    async def touch(self, keys: Collection[bytes], idle: float) -> tuple[bytes, ...]:
        every = tuple(keys)
        missing: list[bytes] = []
        for start in range(0, len(every), BATCH):
            some = every[start : start + BATCH]

            async def work(some: Sequence[bytes] = some) -> Any:
                names = [*(self._record(key) for key in some), self._due]
                told = [_text(idle), *(key.hex() for key in some)]
                return await self._run(scripts.TOUCH, names, told)

            missing += [some[number - 1] for number in await self._bounded(work)]
        return tuple(missing)

    async def due(self, now: float) -> bool:
        return bool(await self._due_first(now, 1))

    async def sweep(self, now: float, limit: int) -> tuple[Held, ...]:
        over: list[Held] = []
        try:
            while len(over) < limit:
                wanted = limit - len(over)
                keys = await self._due_first(now, wanted)
                for key in keys:
                    held = _held(key, await self._call(scripts.EXPIRE, key, _text(now)))
                    over += [ended] if (ended := _ended(held)) else []
                if len(keys) < wanted:
                    break
        except Unavailable:
            if not over:
                raise  # else: whoever is told of these ends their upstream half
        return tuple(over)

    async def lease(self, name: str, holder: str, seconds: float) -> bool:
        async def work() -> Any:
            names = [f"{self._tag}:lease:{name}"]
            return await self._run(scripts.LEASE, names, [holder, int(seconds * 1000)])

        return bool(await self._bounded(work))

    async def changes(self) -> AsyncIterator[Moved | Gap]:
        listener = self._redis.pubsub()
        try:
            await self._bounded(lambda: listener.subscribe(self._channel))
            while True:
                told = await self._heard(listener)
                if told is not None:
                    yield told
        finally:
            await listener.aclose()  # type: ignore[no-untyped-call]  # of the library

    async def close(self) -> None:
        self._closed = True
        await self._redis.aclose()

    async def _heard(self, listener: PubSub) -> Moved | Gap | None:
        """The next thing told; None for one of no meaning. Raises Unavailable after silence."""

        async def next_one() -> Any:
            return await listener.get_message(timeout=QUIET_SECONDS)

        message = await self._listened(next_one())
        if message is None:
            await self._bounded(lambda: listener.ping())
            message = await self._listened(next_one())
        if message is None or self._closed:
            raise self._unavailable("was closed" if self._closed else "does not answer")
        match message["type"]:
            case "subscribe":
                return Gap()
            case "message":
                key, revision, ended = message["data"].split(b" ")
                return Moved(bytes.fromhex(key.decode("ascii")), int(revision), ended == b"1")
        return None

    async def _listened(self, hearing: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(QUIET_SECONDS + WAIT_SECONDS):
                return await hearing
        except (TimeoutError, RedisTimeout):
            raise self._unavailable("does not answer") from None
        except (RedisError, OSError) as error:
            raise self._unavailable(_words(error)) from None

    async def _due_first(self, now: float, limit: int) -> list[bytes]:
        """Keys of what is due, the oldest first."""

        async def work() -> Any:
            return await self._redis.zrangebyscore(self._due, "-inf", _text(now), 0, limit)

        return [bytes.fromhex(name.decode("ascii")) for name in await self._bounded(work)]

    async def _call(self, script: str, key: bytes, *arguments: bytes | int | str) -> Any:
        names = [self._record(key), self._due]
        told = [key.hex(), self._channel, *arguments]
        return await self._bounded(lambda: self._run(script, names, told))

    async def _run(self, script: str, names: Sequence[str], told: Sequence[Any]) -> Any:
        return await self._scripts[script](names, told, self._redis)

    async def _bounded(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """The result of some work; Unavailable where Redis does not do it in time."""
        if self._closed:
            raise self._unavailable("was closed")
        now = self._clock.monotonic()
        if now < self._away_until:
            raise self._unavailable("does not answer")
        if self._away_until:  # one asks whether it is back; nobody else waits for that
            self._away_until = now + WAIT_SECONDS
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                result = await self._followed(work)
        except (TimeoutError, RedisTimeout):
            self._away_until = self._clock.monotonic() + AWAY_SECONDS
            await self._return()
            raise self._unavailable("does not answer") from None
        except (RedisError, OSError) as error:
            self._away_until = 0.0
            if isinstance(error, ReadOnlyError):  # its name may lead elsewhere now
                await self._redis.connection_pool.disconnect()
            if not isinstance(error, ResponseError):
                await self._return()
            raise self._unavailable(_words(error)) from None
        self._away_until = 0.0
        return result

    async def _followed(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """The work, at the node of a cluster that has our slot: all that is ours lies in one."""
        try:
            return await work()
        except MovedError as moved:
            await self._aim(moved.host, moved.port)
            return await work()

    async def _return(self) -> None:
        """Asks the server of the address again, where it led to another one that is gone."""
        if self._elsewhere:
            await self._aim(self.address.host, self.address.port)
            self._elsewhere = False

    async def _aim(self, host: str, port: int) -> None:
        """From now on that is the server that is asked."""
        self._elsewhere = True
        before, self._redis = self._redis, Redis.from_pool(_pool(self.address, host, port))
        await before.aclose()

    def _record(self, key: bytes) -> str:
        return f"{self._tag}:s:{key.hex()}"

    def _keep(self, absolute: float) -> int:
        """Milliseconds for which a record is kept."""
        left = absolute - self._clock.now().timestamp()
        return int((max(left, 0.0) + KEEP_SECONDS) * 1000)

    def _unavailable(self, what: str) -> Unavailable:
        where = f"the session store {self.address}"
        return Unavailable("SessionStoreUnavailable", f"{where} {what}")


def _pool(address: RedisAddress, host: str, port: int) -> BlockingConnectionPool:
    where: dict[str, Any] = {"host": host, "port": port}
    kind: type[AbstractConnection] = Connection
    if address.socket:
        where, kind = {"path": address.socket}, UnixDomainSocketConnection
    elif address.tls:
        kind = SSLConnection
        where["ssl_ca_certs"] = address.ca or ssl.get_default_verify_paths().cafile
    return BlockingConnectionPool(
        max_connections=CONNECTIONS,
        timeout=WAIT_SECONDS,
        connection_class=kind,
        db=address.db,
        username=address.username or None,
        password=address.password or None,
        protocol=2,
        retry=Retry(NoBackoff(), 1),  # for a connection that broke while it was not in use
        socket_timeout=WAIT_SECONDS,
        socket_connect_timeout=WAIT_SECONDS,
        **where,
    )


def _text(seconds: float) -> str:
    """A time as scripts have it."""
    return str(round(seconds * 1000))


def _seconds(text: bytes | str) -> float:
    return int(text) / 1000


def _held(key: bytes, told: Sequence[bytes | None] | None) -> Held | None:
    """What a script answered: value, revision, idle, absolute, ended."""
    if told is None:
        return None
    value, revision, idle, absolute, ended = told
    if value is None or revision is None or idle is None or absolute is None:
        return None
    until = Until(_seconds(idle), _seconds(absolute))
    return Held(key, value, int(revision), until, ended == b"1")


def _ended(held: Held | None) -> Held | None:
    return held and Held(held.key, held.value, held.revision, held.until, ended=True)


def _words(error: Exception) -> str:
    """What went wrong, for a person; nothing secret is in it."""
    match error:
        case AuthenticationError():
            return "does not accept the password. Fix: give the right one, in its file or variable"
        case NoPermissionError():
            return "does not let its user do this: it needs the commands of scripts and channels"
        case ReadOnlyError():
            return "is a replica that takes no writes; name the primary"
        case ResponseError():
            return f"refuses: {str(error)[:200]}"
        case ssl.SSLCertVerificationError():
            return f"shows a certificate that is not trusted ({error.verify_message})"
    return f"cannot be reached: {str(error)[:200]}"
