"""Makes children: what a slot asks for becomes a process, or a sentence that says why not."""

import asyncio
import errno
import logging
import os
import pwd
import signal
from typing import Literal, Self

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.keeping import Exit, SlotSpec, secrets
from mooring.errors import Unavailable
from mooring.keeper.child import Child
from mooring.keeper.forking import LOST, Forker, ForkRequest, InitLine, Unborn
from mooring.keeper.ladder import MARKER, Ladder
from mooring.keeper.logfile import Drain, Logs

BIRTH = 10.0
"""Seconds until the command must run."""
LAST_WORDS = 0.05
"""Seconds after the end in which what a child wrote last is still read."""
HOST = "127.0.0.1"


class ForkSpawner:
    """The `Spawner` of the keeper."""

    def __init__(self, forker: Forker, ladder: Ladder, logs: Logs, clock: Clock) -> None:
        self._forker = forker
        self._ladder = ladder
        self._logs = logs
        self._clock = clock

    async def spawn(self, spec: SlotSpec, *, stdio: bool, port: int = 0) -> Child:
        """Starts the command and returns once it runs; see `Spawner`."""
        try:
            with _Pipes(stdio) as pipes:
                return await self._start(spec, pipes, self._request(spec, stdio, port))
        except Unborn as failure:
            raise Unavailable("CannotStart", words(spec, failure)) from failure
        except OSError as error:
            message = f"cannot start {spec.argv[0]}: {error.strerror or error}"
            raise Unavailable("CannotStart", message) from error

    async def _start(self, spec: SlotSpec, pipes: "_Pipes", request: ForkRequest) -> Child:
        """Raises Unborn and OSError."""
        drain = Drain(pipes.take("err"), self._logs.file(spec.log, secrets(spec)).stream())
        life = _Life(self._clock, self._ladder, drain, request.env[MARKER])
        try:
            line, pid = await self._bear(request, pipes, life)
        except BaseException:
            drain.close()
            raise
        child = Child(pid, line.strike, pipes.take("in"), pipes.take("out"))
        life.begin(child)
        return child

    async def _bear(
        self, request: ForkRequest, pipes: "_Pipes", life: "_Life"
    ) -> tuple[InitLine, int]:
        """The line to init, and the child's pid once its command runs; a lost one is repeated."""
        try:
            return await self._try(request, pipes, life)
        except Unborn as failure:
            if failure.stage != LOST:
                raise
        self._ladder.sweep(request.env[MARKER])
        return await self._try(request, pipes, life)

    async def _try(
        self, request: ForkRequest, pipes: "_Pipes", life: "_Life"
    ) -> tuple[InitLine, int]:
        line = await self._forker.fork(request, pipes.theirs, life.over)
        try:
            async with asyncio.timeout(BIRTH):
                return line, await asyncio.shield(line.born)
        except TimeoutError:
            line.cut()
            raise OSError(errno.ETIMEDOUT, f"it did not run within {BIRTH:g} s") from None
        except BaseException:
            line.cut()
            raise

    def _request(self, spec: SlotSpec, stdio: bool, port: int) -> ForkRequest:
        """What the forker needs to know; OSError where a cgroup cannot be made."""
        if not spec.argv:
            raise Unavailable("CannotStart", "no command was given")
        env = spec.env | self._ladder.marker(spec.uid)
        argv = spec.argv
        if not stdio:
            env |= {"PORT": str(port), "HOST": HOST}
            argv = tuple(word.replace("$(PORT)", str(port)) for word in argv)
        return ForkRequest(
            rung=self._ladder.rung,
            argv=argv,
            env=env,
            cwd=spec.cwd,
            user=spec.user,
            group=_group(spec.user),
            leaf=self._ladder.leaf(),
        )


class _Pipes:
    """The descriptors of one child, ours and theirs; closes those that nobody has taken."""

    def __init__(self, stdio: bool) -> None:
        self._ours: dict[str, int] = {}
        self._theirs: dict[str, int] = {}
        self._stdio = stdio

    def __enter__(self) -> Self:
        try:
            self._make("err", inward=True)
            if self._stdio:
                self._make("out", inward=True)
                self._make("in", inward=False)
            else:
                self._theirs["in"] = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
                self._theirs["out"] = os.dup(self._theirs["err"])
        except OSError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in (*self._ours.values(), *self._theirs.values()):
            os.close(descriptor)

    @property
    def theirs(self) -> tuple[int, int, int]:
        """stdin, stdout and stderr of the child."""
        return self._theirs["in"], self._theirs["out"], self._theirs["err"]

    def take(self, name: Literal["in", "out", "err"]) -> int:
        """Our end, -1 where there is none; it is the caller's now."""
        return self._ours.pop(name, -1)

    def _make(self, name: str, *, inward: bool) -> None:
        """A pipe; our end does not block."""
        read, write = os.pipe2(os.O_CLOEXEC)
        self._ours[name], self._theirs[name] = (read, write) if inward else (write, read)
        os.set_blocking(self._ours[name], False)


class _Life:
    """From birth to death: makes an `Exit` of what init says, and of the last words."""

    def __init__(self, clock: Clock, ladder: Ladder, drain: Drain, marker: str) -> None:
        self._clock = clock
        self._ladder = ladder
        self._drain = drain
        self._marker = marker
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    def begin(self, child: Child) -> None:
        """Ties this life to a child, which may have ended already."""

        def end(known: asyncio.Future[Exit]) -> None:
            if not child.exited.done():
                child.exited.set_result(known.result())

        self._exit.add_done_callback(end)

    def over(self, outcome: tuple[int, int] | None) -> None:
        """Init has said how the child ended, or was killed and can say nothing."""
        if outcome is None:
            killed = self._ladder.sweep(self._marker)
            telemetry.event("child.init_lost", logging.WARNING, marker=self._marker, killed=killed)
        code, sign = outcome or (0, int(signal.SIGKILL))
        asyncio.get_running_loop().call_later(LAST_WORDS, self._drain.close)
        self._drain.ended.add_done_callback(lambda _: self._settle(code, sign))

    def _settle(self, code: int, sign: int) -> None:
        """Everything it wrote is read."""
        at, last_line = self._clock.now().timestamp(), self._drain.last_line
        self._exit.set_result(Exit(code=code, signal=sign, at=at, last_line=last_line))


def words(spec: SlotSpec, failure: Unborn) -> str:
    """Why a child could not be started, for the user.

    The beginnings `command not found`, `not executable` and `working directory not found` are
    what others may rely on.
    """
    command, problem = spec.argv[0], os.strerror(failure.number)
    match failure.stage, failure.number:
        case "exec", errno.ENOENT:
            return f"command not found: {command}"
        case "exec", errno.EACCES:
            return f"not executable: {command}"
        case "exec", errno.ENOEXEC:
            return f"not executable: {command} (its interpreter is missing, or it is no program)"
        case "cwd", errno.ENOENT:
            return f"working directory not found: {spec.cwd}"
        case "cwd", _:
            return f"cannot enter working directory {spec.cwd}: {problem}"
        case "user", _:
            return f"cannot run {command} as uid {spec.user}: {problem}"
    return f"cannot start {command}: {problem}"


def _group(user: int) -> int:
    """The group to run under."""
    try:
        return pwd.getpwuid(user).pw_gid if user else 0
    except KeyError:
        return user
