"""Values that servers refer to, read from the stores that they name."""

from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping
from typing import Any

from mooring.core.secret_places import Found, NoSecret, SecretPlace, marked
from mooring.errors import Denied
from mooring.kinds.base import Object
from mooring.kinds.ref import Ref
from mooring.stores.memory import MemoryStore
from mooring.testing.stage import Stage

Run = Callable[[Coroutine[Any, Any, None]], None]


def wants(store: str) -> list[dict[str, Any]]:
    ref = {"name": "creds", "key": "token", "store": store}
    return [{"name": "T", "valueFrom": {"secretKeyRef": ref}}]


class Shelf:
    """A store of secrets that a test fills; counts what it is asked."""

    def __init__(self, **values: str) -> None:
        self.values = values
        self.reads = 0
        self.polls = 0

    async def read(self, place: SecretPlace) -> Found:
        self.reads += 1
        value = self.values.get(place.name)
        if value is None:
            return NoSecret("SecretNotFound", f'secret "{place.name}" is not here', "put it there")
        return marked(place, value, b"pepper")

    async def stamps(self, asked: Iterable[SecretPlace]) -> Mapping[SecretPlace, Hashable]:
        self.polls += 1
        return {place: self.values.get(place.name) for place in asked}


class Closed(MemoryStore):
    """A store that shows no secrets."""

    async def get(self, ref: Ref) -> Object | None:
        if ref.kind == "Secret":
            raise Denied("Forbidden", "secrets are not for you")
        return await super().get(ref)


def test_a_secret_that_changes_outside_replaces_the_instances_that_use_it(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        shelf = stage.secrets["directory"] = Shelf(creds="one")
        async with stage.at_work():
            await stage.apply("user", env=wants("directory"))
            await stage.apply("other")
            before = {name: await stage.rows(name) for name in ("user", "other")}
            shelf.values["creds"] = "two"
            await stage.wait(10)
            (row,) = (await stage.rows("user")).values()
            assert row.uid not in {old.uid for old in before["user"].values()}
            assert stage.runtime.started[row.uid].env == {"T": "two"}
            assert await stage.rows("other") == before["other"]

    run(story())


def test_a_secret_that_appears_outside_makes_a_waiting_instance_due(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        shelf = stage.secrets["directory"] = Shelf()
        async with stage.at_work():
            await stage.apply("user", env=wants("directory"))
            await stage.wait(100)
            assert await stage.states("user") == {"user-0": "ERROR"}
            assert 'secret "creds" is not here. Fix: put it there' in (
                (await stage.rows("user"))["user-0"].message
            )
            shelf.values["creds"] = "one"
            await stage.wait(6)
            assert await stage.states("user") == {"user-0": "Ready"}

    run(story())


def test_what_does_not_move_outside_is_not_read_again(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        shelf = stage.secrets["directory"] = Shelf(creds="one")
        async with stage.at_work():
            await stage.apply("user", env=wants("directory"))
            found = await stage.find("user")
            reads, polls = shelf.reads, shelf.polls
            await stage.wait(50)
            assert (shelf.reads, shelf.polls) == (reads, polls + 10)
            assert await stage.find("user") == found

    run(story())


def test_a_store_that_is_not_configured_is_named(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("user", env=wants("directory"))
            (row,) = (await stage.rows("user")).values()
            assert (row.state, row.reason) == ("ERROR", "SecretStoreNotConfigured")
            assert row.message == (
                'secret resolution failed: server "user" env T: secret "creds" is in the store '
                '"directory", which is not configured. '
                "Fix: start Mooring with --secrets-dir DIR (MOORING_SECRETS_DIR)"
            )

    run(story())


def test_secret_objects_that_cannot_be_read_fail_the_attempt(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.store = Closed(stage.clock)
        async with stage.at_work():
            await stage.apply("user", env=wants("encrypted"))
            await stage.apply("other")
            (row,) = (await stage.rows("user")).values()
            assert (row.state, row.reason) == ("ERROR", "SecretStoreUnreadable")
            wrong = 'server "user" env T: secret "creds" cannot be read: secrets are not for you'
            assert wrong in row.message
            assert await stage.states("other") == {"other-0": "Ready"}
            assert len(stage.runtime.performed) == 1

    run(story())


def test_servers_that_are_gone_are_forgotten(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        shelf = stage.secrets["directory"] = Shelf(creds="one")
        async with stage.at_work():
            await stage.apply("user", env=wants("directory"))
            await stage.delete("user")
            await stage.wait(12)
            polls = shelf.polls
            await stage.wait(12)
            assert shelf.polls == polls

    run(story())
