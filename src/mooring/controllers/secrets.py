"""Values that servers refer to, read from the stores that they name.

Secret objects are watched by the loop, so that a change is acted on at once. What is kept outside
tells of no change: every few seconds it is asked whether anything moved, which reads no value and
writes nothing.
"""

import logging
from collections.abc import Callable, Hashable, Iterable, Mapping

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.ports import ObjectStore, SecretStore
from mooring.core.secret_places import Found, NoSecret, SecretPlace, in_object, places
from mooring.errors import MooringError
from mooring.kinds.ref import Ref
from mooring.kinds.secret import Secret
from mooring.kinds.server import MCPServer

POLL = 5.0
"""Seconds between two looks at what is kept outside."""

_SETTINGS = {
    "directory": "--secrets-dir DIR (MOORING_SECRETS_DIR)",
    "environment": "--secrets-env-prefix TEXT (MOORING_SECRETS_ENV_PREFIX)",
}

Stamps = dict[SecretPlace, Hashable]


class SecretReader:
    """Reads for every server what it refers to, and tells whose secrets moved since."""

    def __init__(
        self, objects: ObjectStore, outside: Mapping[str, SecretStore], clock: Clock
    ) -> None:
        """`outside` are the stores beside Secret objects, by name."""
        self._objects = objects
        self._outside = outside
        self._clock = clock
        self._seen: dict[Ref, Stamps] = {}

    async def read(self, server: MCPServer) -> Mapping[SecretPlace, Found]:
        """What is found in every place that a server refers to."""
        asked = places(server)
        outside = self._placed_outside(server)
        if outside:
            stamps = await self._stamps(outside)  # first: what moves meanwhile is noticed
            self._seen.setdefault(server.ref, {}).update(stamps)
        secrets: dict[str, Secret | NoSecret | None] = {}
        found: dict[SecretPlace, Found] = {}
        for place in asked:
            if place.store != "encrypted":
                found[place] = await self._read_outside(place)
                continue
            if place.name not in secrets:
                secrets[place.name] = await self._secret(place)
            held = secrets[place.name]
            found[place] = held if isinstance(held, NoSecret) else in_object(place, held)
        return found

    async def watch(
        self, servers: Callable[[], Iterable[MCPServer]], moved: Callable[[Ref], None]
    ) -> None:
        """Tells, for ever, of servers whose secrets outside may have moved since they were read."""
        while True:
            await self._clock.sleep(POLL)
            using = {one.ref: self._placed_outside(one) for one in servers()}
            for gone in self._seen.keys() - {ref for ref, asked in using.items() if asked}:
                del self._seen[gone]
            now = await self._stamps({place for asked in using.values() for place in asked})
            for ref, asked in using.items():
                seen = self._seen.get(ref)
                if seen is not None and any(seen.get(place) != now[place] for place in asked):
                    moved(ref)

    def _placed_outside(self, server: MCPServer) -> list[SecretPlace]:
        return [place for place in places(server) if place.store in self._outside]

    async def _stamps(self, asked: Iterable[SecretPlace]) -> Stamps:
        stamps: Stamps = {}
        wanted = sorted(asked)
        for name in sorted({place.store for place in wanted}):
            mine = [place for place in wanted if place.store == name]
            stamps.update(await self._outside[name].stamps(mine))
        return stamps

    async def _read_outside(self, place: SecretPlace) -> Found:
        store = self._outside.get(place.store)
        if store is not None:
            return await store.read(place)
        wrong = f'secret "{place.name}" is in the store "{place.store}", which is not configured'
        remedy = f"start Mooring with {_SETTINGS[place.store]}"
        return NoSecret("SecretStoreNotConfigured", wrong, remedy)

    async def _secret(self, place: SecretPlace) -> Secret | NoSecret | None:
        """A Secret object; where it cannot be read, that is what is wrong."""
        try:
            found = await self._objects.get(Ref("Secret", place.namespace, place.name))
        except MooringError as error:
            telemetry.event(
                "secret.unread", logging.WARNING, secret=place.name, reason=error.reason
            )
            wrong = f'secret "{place.name}" cannot be read: {error.message}'
            remedy = "see why the store of Mooring does not answer"
            return NoSecret("SecretStoreUnreadable", wrong, remedy)
        return found if isinstance(found, Secret) else None
