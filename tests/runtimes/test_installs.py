"""Each package once, whole or not at all; pip and npm are stand-ins here."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from support.installing import StandInTool

from mooring.core.installing import Trouble
from mooring.core.packages import Package
from mooring.errors import Invalid, MooringError, NotFound, Unavailable
from mooring.kinds.server import Resolved
from mooring.runtimes.contents import MARKER, lock
from mooring.runtimes.installs import AT_ONCE, LOCK_SECONDS, Installed, Installs
from mooring.testing.clock import FakeClock

Run = Callable[[Coroutine[Any, Any, None]], None]
A = Package("pypi", "a")
A1 = Package("pypi", "a", version="1.0")


class Shop:
    """Installs with a stand-in, and what was said meanwhile."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tool = StandInTool()
        self.clock = FakeClock()
        self.said: list[str] = []
        self.installs = self.another()

    def another(self) -> Installs:
        """As after a restart of Mooring."""
        environ = {"PATH": "/bin", "PIP_INDEX_URL": "http://x", "TOKEN": "secret"}
        tools = {"pypi": self.tool}
        return Installs(
            self.root / "packages", self.root / "logs", environ, self.clock, tools=tools
        )

    async def install(self, asked: Package = A, seconds: float = 20) -> Installed:
        return await self.installs.install(asked, seconds, self.said.append)

    async def fails(self, asked: Package = A, seconds: float = 20) -> MooringError:
        with pytest.raises(MooringError) as caught:
            await self.install(asked, seconds)
        return caught.value


def there(installed: Installed) -> bool:
    return Path(installed.argv[0]).exists()


@pytest.fixture
def on_shop(run: Run, tmp_path: Path) -> Callable[[Callable[[Shop], Any]], None]:
    async def opened(test: Callable[[Shop], Any]) -> None:
        await test(Shop(tmp_path))

    return lambda test: run(opened(test))


OnShop = Callable[[Callable[[Shop], Any]], None]


def test_the_newest_version_is_installed_and_recorded(on_shop: OnShop) -> None:
    async def story(shop: Shop) -> None:
        found = await shop.install()
        assert found.resolved == Resolved(package="a", version="1.0", hash="sha256:1.0")
        assert there(found)
        assert shop.said == ["resolving a", "installing a 1.0"]

    on_shop(story)


def test_what_is_installed_is_not_installed_again(on_shop: OnShop) -> None:
    async def story(shop: Shop) -> None:
        first = await shop.install(A1)
        assert shop.installs.ready(A1) == first
        assert await shop.another().install(A1, 20, shop.said.append) == first
        assert shop.tool.began == ["a==1.0"]

    on_shop(story)


def test_a_newer_version_gets_a_directory_of_its_own(on_shop: OnShop) -> None:
    async def story(shop: Shop) -> None:
        old = await shop.install()
        shop.tool.newest = "2.0"
        new = await shop.install()
        assert old.argv != new.argv
        assert there(old)
        assert await shop.install(replace(A1, hash="sha256:1.0")) == old

    on_shop(story)


def test_nothing_is_ready_whose_version_is_not_known_or_not_there(on_shop: OnShop) -> None:
    async def story(shop: Shop) -> None:
        assert shop.installs.ready(A1) is None
        await shop.install(A1)
        assert shop.installs.ready(A) is None

    on_shop(story)


def test_a_half_made_directory_is_made_again(on_shop: OnShop) -> None:
    async def story(shop: Shop) -> None:
        path = Path((await shop.install(A1)).argv[0])
        (path.parent.parent / MARKER).unlink()
        assert shop.installs.ready(A1) is None
        assert Path((await shop.install(A1)).argv[0]) == path
        assert len(shop.tool.began) == 2

    on_shop(story)


def test_all_who_want_a_package_wait_for_one_installation(on_shop: OnShop) -> None:
    async def story(shop: Shop) -> None:
        shop.tool.gate.clear()
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(shop.install()) for _ in range(5)]
            await shop.tool.begun.wait()
            shop.tool.gate.set()
        assert len({task.result().argv for task in waiting}) == 1
        assert len(shop.tool.began) == 1
        assert shop.said.count("installing a 1.0") == 5

    on_shop(story)


def test_all_who_wait_are_told_of_the_failure(on_shop: OnShop) -> None:
    async def story(shop: Shop) -> None:
        shop.tool.gate.clear()
        shop.tool.trouble["1.0"] = Trouble("other", "boom")
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(shop.fails()) for _ in range(3)]
            await shop.tool.begun.wait()
            shop.tool.gate.set()
        assert {task.result().reason for task in waiting} == {"CannotInstall"}
        assert len(shop.tool.began) == 1
        assert str((await shop.fails()).message).startswith("pypi package 'a': boom. See ")

    on_shop(story)


def test_whoever_waits_goes_on_when_the_first_is_called_off(on_shop: OnShop) -> None:
    async def story(shop: Shop) -> None:
        shop.tool.gate.clear()
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(shop.install())
            await shop.tool.begun.wait()
            second = tasks.create_task(shop.install())
            await _turns()
            first.cancel()
            shop.tool.gate.set()
        assert first.cancelled()
        assert there(second.result())
        assert len(shop.tool.began) == 2

    on_shop(story)


def test_programs_of_one_package_share_its_installation(on_shop: OnShop) -> None:
    async def story(shop: Shop) -> None:
        shop.tool.programs = {"a": "bin/a", "b": "bin/a"}
        await shop.install(replace(A1, entry_point="b"))
        await shop.install(A1)
        assert len(shop.tool.began) == 1

    on_shop(story)


def test_only_so_many_are_installed_at_once(on_shop: OnShop) -> None:
    async def story(shop: Shop) -> None:
        shop.tool.gate.clear()
        async with asyncio.TaskGroup() as tasks:
            for n in range(AT_ONCE + 3):
                tasks.create_task(shop.install(Package("pypi", f"p{n}", entry_point="a")))
            await _turns(lambda: shop.tool.at_work == AT_ONCE)
            shop.tool.gate.set()
        assert shop.tool.most == AT_ONCE
        assert shop.said.count("waiting for other installations") == 3

    on_shop(story)


def test_an_installation_has_a_budget_of_time(on_shop: OnShop) -> None:
    async def story(shop: Shop) -> None:
        shop.tool.gate.clear()
        error = await shop.fails(seconds=0.05)
        assert isinstance(error, Unavailable)
        assert "not installed within 0.05 s" in error.message
        assert "installTimeoutSeconds" in error.message
        assert shop.tool.at_work == 0

    on_shop(story)


def test_an_older_version_is_asked_for_only_when_the_newest_cannot_be_had(on_shop: OnShop) -> None:
    async def story(shop: Shop) -> None:
        shop.tool.newest, shop.tool.fitting = "2.0", "1.5"
        shop.tool.trouble["2.0"] = Trouble("conflict", "a 2.0 depends on b>9")
        found = await shop.install()
        assert found.resolved is not None
        assert found.resolved.version == "1.5"
        assert shop.tool.resolved == [False, True]

    on_shop(story)


def test_a_pinned_version_is_never_exchanged(on_shop: OnShop) -> None:
    async def story(shop: Shop) -> None:
        shop.tool.fitting = "0.9"
        shop.tool.trouble["1.0"] = Trouble("conflict", "a 1.0 depends on b>9")
        error = await shop.fails(A1)
        assert "what it requires cannot be met: a 1.0 depends on b>9" in error.message
        assert shop.tool.resolved == []

    on_shop(story)


@pytest.mark.parametrize(
    ("kind", "family", "reason", "words"),
    [
        ("absent", NotFound, "PackageNotFound", "was not found: it said"),
        ("network", Unavailable, "CannotInstall", "the package index could not be read: it said"),
        ("no-space", Unavailable, "CannotInstall", "no space left on the disk of"),
        ("other", Unavailable, "CannotInstall", "'a': it said. See"),
    ],
)
def test_trouble_is_worded(
    on_shop: OnShop,
    kind: Literal["absent", "network", "no-space", "other"],
    family: type[MooringError],
    reason: str,
    words: str,
) -> None:
    async def story(shop: Shop) -> None:
        shop.tool.trouble["1.0"] = Trouble(kind, "it said")
        error = await shop.fails()
        assert isinstance(error, family)
        assert error.reason == reason
        assert words in error.message

    on_shop(story)


def test_a_full_disk_of_our_own_is_worded_too(on_shop: OnShop) -> None:
    async def story(shop: Shop) -> None:
        shop.tool.trouble["1.0"] = OSError(28, "No space left on device")
        assert "no space left on the disk of" in (await shop.fails()).message

    on_shop(story)


def test_a_package_that_is_not_what_was_recorded_is_not_run(on_shop: OnShop) -> None:
    async def story(shop: Shop) -> None:
        error = await shop.fails(replace(A1, hash="sha256:other"))
        assert isinstance(error, Invalid)
        assert error.reason == "HashMismatch"
        assert "sha256:other is recorded" in error.message

    on_shop(story)


def test_a_program_that_cannot_be_told_is_asked_for(on_shop: OnShop) -> None:
    async def story(shop: Shop) -> None:
        error = await shop.fails(replace(A1, entry_point="zzz"))
        assert isinstance(error, Invalid)
        assert "found a" in error.message

    on_shop(story)


def test_no_secret_is_visible_to_an_installation(on_shop: OnShop) -> None:
    async def story(shop: Shop) -> None:
        await shop.install()
        assert shop.tool.jobs[0].environment == {"PATH": "/bin", "PIP_INDEX_URL": "http://x"}

    on_shop(story)


def test_an_installation_of_another_process_is_waited_for(on_shop: OnShop) -> None:
    async def story(shop: Shop) -> None:
        directory = Path((await shop.install(A1)).argv[0]).parent.parent
        (directory / MARKER).unlink()
        held = lock(directory.with_name(f"{directory.name}.lock"))
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(shop.install(A1))
            await _turns(lambda: shop.clock.sleepers == 1)
            assert len(shop.tool.began) == 1
            os.close(held)
            await shop.clock.advance(LOCK_SECONDS)
        assert there(waiting.result())
        assert len(shop.tool.began) == 2

    on_shop(story)


async def _turns(until: Callable[[], bool] = lambda: True) -> None:
    """Lets others work, threads included, until something holds."""
    for _ in range(10_000):
        await asyncio.to_thread(lambda: None)
        if until():
            return
    raise AssertionError("it never came true")
