"""What gateways need for sessions, made from settings: keys, the store of records, limits.

A gateway in a process of its own is told the same on its command line, but for the password of
a store, which it finds where the daemon found it.
"""

import argparse
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mooring.clock import Clock
from mooring.core.session_record import SessionStore
from mooring.errors import Invalid
from mooring.programs.places import Places
from mooring.programs.session_keys import key_file
from mooring.programs.settings import Settings
from mooring.sessions.open_sessions import Terms
from mooring.stores.redis_address import SCHEMES, parse
from mooring.stores.sessions_memory import MemorySessions
from mooring.stores.sessions_sqlite import open_session_file

_OPTIONS = ("session-key", "session-store", "session-idle", "session-lifetime", "session-limit")


@dataclass(frozen=True, slots=True)
class SessionParts:
    """How sessions are kept here."""

    key: Path
    """File of the keys."""
    store: str
    """`memory`, the path of a file, or the address of a Redis without its password."""
    terms: Terms
    password: str = field(default="", repr=False)

    def arguments(self) -> list[str]:
        """For the command line of a gateway of its own."""
        values = (self.key, self.store, *self.terms)
        return [f"--{name}={value}" for name, value in zip(_OPTIONS, values, strict=True)]

    @asynccontextmanager
    async def records(self, clock: Clock) -> AsyncIterator[SessionStore]:
        """The store. Raises Unavailable where a file cannot be used; a Redis may be away."""
        if self.store == "memory":
            yield MemorySessions(clock)
        elif is_redis(self.store):
            # Imported only where one is used: it costs every start a twentieth of a second.
            from mooring.stores.sessions_redis import open_redis  # noqa: PLC0415

            async with open_redis(parse(self.store, self.password), clock) as redis:
                yield redis
        else:
            async with open_session_file(Path(self.store), clock) as file:
                yield file


def session_parts(settings: Settings, places: Places, environ: Mapping[str, str]) -> SessionParts:
    """How the settings have them; raises Invalid in words for a store that is none."""
    store, password = settings.session_store, ""
    if is_redis(store):
        password = _password(environ)
        store = parse(store).url
    elif store == "sqlite":
        store = str(places.sessions)
    elif store == "memory" and settings.worker_count > 1:
        what = "--session-store memory: several workers need one that they share"
        raise Invalid("Invalid", f"{what}. Fix: sqlite")
    elif store != "memory":
        raise Invalid("Invalid", "--session-store: expected sqlite, memory, or redis://HOST:PORT")
    return SessionParts(
        key_file(settings, places).path.absolute(),
        store,
        Terms(
            float(settings.session_idle_seconds),
            int(settings.session_lifetime_seconds),
            int(settings.session_limit),
        ),
        password,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that `SessionParts.arguments` makes."""
    for name in _OPTIONS:
        parser.add_argument(f"--{name}", required=True, help=argparse.SUPPRESS)


def parsed(given: argparse.Namespace, environ: Mapping[str, str]) -> SessionParts:
    """How a command line has them, in a process that was started with it."""
    store: str = given.session_store
    password = _password(environ) if is_redis(store) else ""
    return SessionParts(
        Path(given.session_key),
        store,
        Terms(float(given.session_idle), int(given.session_lifetime), int(given.session_limit)),
        password,
    )


def is_redis(store: str) -> bool:
    """Whether a store is a Redis."""
    return store.partition(":")[0] in SCHEMES and ":" in store


def _password(environ: Mapping[str, str]) -> str:
    """From its file, its variable, or an address in a variable; empty where there is none."""
    path = environ.get("MOORING_SESSION_STORE_PASSWORD_FILE")
    if path:
        try:
            return Path(path).expanduser().read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            what = f"MOORING_SESSION_STORE_PASSWORD_FILE {path}: {why}"
            raise Invalid("Invalid", what) from None
    address = environ.get("MOORING_SESSION_STORE", "")
    inside = parse(address).password if is_redis(address) else ""
    return environ.get("MOORING_SESSION_STORE_PASSWORD") or inside
