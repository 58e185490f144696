"""Installed packages: each once, whole or not at all.

A directory is named by what is in it (package, exact version, and what else decides the
contents), made in place because environments hold their own path, and finished by a marker.
Whoever wants a package that is being installed waits with the one who began; at most four are
installed at once. No variable that a server declares is visible to an installation.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from mooring.clock import Clock
from mooring.core.installing import system_trouble
from mooring.core.packages import Complaint, Package, digest, normal, program
from mooring.errors import Invalid, MooringError, Unavailable
from mooring.kinds.server import Resolved
from mooring.runtimes.contents import Contents, discard, finish, lock, read, touch
from mooring.runtimes.environment import installing
from mooring.runtimes.npm import NpmInstaller
from mooring.runtimes.pypi import PypiInstaller
from mooring.runtimes.tool import Job, begin
from mooring.runtimes.trouble import ToolFailed, replaced, worded

AT_ONCE = 4
LOCK_SECONDS = 0.2
"""Seconds between two tries for a lock that another process holds."""

Say = Callable[[str], None]
"""Hears which phase an installation is in."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A package that can be run."""

    argv: tuple[str, ...]
    resolved: Resolved | None
    """Empty for a plain command."""


class Installer(Protocol):
    """One tool: pip or npm. Raises our errors, or ToolFailed with what the tool said."""

    def interpreter(self, asked: Package) -> str:
        """What decides the contents beside the package itself; raises NotFound."""
        ...

    async def resolve(self, asked: Package, job: Job, *, whole: bool) -> str:
        """The newest version; with `whole`, the newest whose requirements can be met."""
        ...

    async def install(self, exact: Package, directory: Path, job: Job) -> Contents:
        """Makes the directory, and installs exactly that version into it."""
        ...

    def argv(self, program: Path) -> tuple[str, ...]:
        """How an installed program is run."""
        ...


class _Flight:
    """One installation under way, and all who wait for it."""

    def __init__(self) -> None:
        self.over: asyncio.Future[tuple[Path, Contents]] = (
            asyncio.get_running_loop().create_future()
        )
        self.phase = ""
        self.heard_by: list[Say] = []

    def say(self, phase: str) -> None:
        self.phase = phase
        for say in tuple(self.heard_by):
            say(phase)


class Installs:
    """Packages of one installation of Mooring."""

    def __init__(
        self,
        packages: Path,
        logs: Path,
        environ: Mapping[str, str],
        clock: Clock,
        tools: Mapping[str, Installer] | None = None,
    ) -> None:
        """`packages` and `logs` are directories; `environ` is Mooring's own environment.

        `tools` are pip and npm, unless others are given.
        """
        self._packages = packages
        self._logs = logs
        self._clock = clock
        self._environment = installing(environ)
        self._tools = tools or {"pypi": PypiInstaller(environ), "npm": NpmInstaller(environ)}
        self._flights: dict[Package, _Flight] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    def ready(self, asked: Package) -> Installed | None:
        """The package, where its exact version is known and it is installed already."""
        if not asked.version:
            return None
        directory = self.place(asked)
        contents = read(directory)
        return None if contents is None else self._runnable(asked, directory, contents)

    async def install(self, asked: Package, seconds: float, say: Say) -> Installed:
        """Installs it if need be; cancelling the call ends the installation.

        `seconds` is the time that one installation may take once it has begun. Raises NotFound
        ("PackageNotFound", "CommandNotFound"), Invalid ("NoEntryPoint") and Unavailable
        ("CannotInstall").
        """
        key = replace(asked, entry_point="", hash="")
        while flight := self._flights.get(key):
            if found := await self._join(flight, say):
                return self._runnable(asked, *found)
        flight = self._flights[key] = _Flight()
        flight.heard_by.append(say)
        try:
            found = await self._lead(key, seconds, flight)
        except MooringError as error:
            flight.over.set_exception(error)
            flight.over.exception()  # seen, even where nobody else waits
            raise
        else:
            flight.over.set_result(found)
        finally:
            del self._flights[key]
            flight.over.cancel()
        return self._runnable(asked, *found)

    async def _join(self, flight: _Flight, say: Say) -> tuple[Path, Contents] | None:
        """What the flight brings; None where the one who led it was called off."""
        flight.heard_by.append(say)
        say(flight.phase)
        try:
            await asyncio.wait([flight.over])
        finally:
            flight.heard_by.remove(say)
        return None if flight.over.cancelled() else flight.over.result()

    async def _lead(self, asked: Package, seconds: float, flight: _Flight) -> tuple[Path, Contents]:
        if self._room.locked():
            flight.say("waiting for other installations")
        name = normal(asked.name).lstrip("@").replace("/", "-")
        log = self._logs / f"{asked.type}-{name}-{digest(asked)[:8]}.log"
        async with self._room:
            try:
                async with asyncio.timeout(seconds):
                    return await self._through(asked, log, flight.say)
            except TimeoutError:
                raise Unavailable(
                    "CannotInstall",
                    f"{asked.type} package {asked.requirement!r}: not installed within "
                    f"{seconds:g} s. Fix: look at {log}, or raise installTimeoutSeconds",
                ) from None
            except ToolFailed as error:
                raise worded(error.trouble, asked, self._packages, log) from error
            except OSError as error:
                trouble = system_trouble(str(error))
                raise worded(trouble, asked, self._packages, log) from error

    async def _through(self, asked: Package, log: Path, say: Say) -> tuple[Path, Contents]:
        """Resolves what is open, then installs; asks for an older version only if it must."""
        begin(log)
        job = Job(self._environment, self._root(asked), log)
        if asked.version:
            return await self._build(asked, job, say)
        say(f"resolving {asked.requirement}")
        tool = self._tools[asked.type]
        newest = replace(asked, version=await tool.resolve(asked, job, whole=False))
        try:
            return await self._build(newest, job, say)
        except ToolFailed as error:
            if error.trouble.kind != "conflict":
                raise
            say(f"resolving {asked.requirement} with all that it requires")
            older = replace(asked, version=await tool.resolve(asked, job, whole=True))
            if older == newest:
                raise
        return await self._build(older, job, say)

    async def _build(self, exact: Package, job: Job, say: Say) -> tuple[Path, Contents]:
        directory = self.place(exact)
        if done := read(directory):
            return directory, done
        say(f"installing {exact.name} {exact.version}")
        async with self._held(directory) as descriptor:
            done = read(directory)  # another process may have been at it
            if done is None:
                await asyncio.to_thread(discard, directory)
                tool = self._tools[exact.type]
                done = await tool.install(exact, directory, replace(job, lock=descriptor))
                finish(directory, done)
        return directory, done

    @asynccontextmanager
    async def _held(self, directory: Path) -> AsyncIterator[int]:
        """The lock of a directory, which also an installation of a killed daemon may hold."""
        path = directory.with_name(f"{directory.name}.lock")
        while (descriptor := lock(path)) < 0:
            await self._clock.sleep(LOCK_SECONDS)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _runnable(self, asked: Package, directory: Path, contents: Contents) -> Installed:
        if asked.hash and contents.hash and asked.hash != contents.hash:
            raise Invalid("HashMismatch", replaced(asked, contents.hash))
        chosen = program(asked, contents.programs)
        if isinstance(chosen, Complaint):
            raise Invalid("NoEntryPoint", chosen.message)
        touch(directory, self._clock.now().timestamp())
        argv = self._tools[asked.type].argv(directory / contents.programs[chosen])
        return Installed(
            argv, Resolved(package=contents.package, version=contents.version, hash=contents.hash)
        )

    def place(self, exact: Package) -> Path:
        """Where a package of an exact version is; NotFound where its interpreter is not there."""
        return self._root(exact) / digest(exact, self._tools[exact.type].interpreter(exact))

    def _root(self, asked: Package) -> Path:
        root = self._packages / asked.type
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return root
