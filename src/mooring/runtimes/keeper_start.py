"""Finds the living keeper, or starts one.

The keeper is a process on its own: another session, no terminal, hardly any environment. It
outlives the daemon that started it, so nobody waits for it; its remains are collected when
somebody looks for it again.
"""

import contextlib
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mooring.clock import Clock
from mooring.core.installing import clean
from mooring.core.keeping import PROTOCOL, KeeperState, ListenerSpec
from mooring.errors import Conflict, Unavailable
from mooring.runtimes.environment import base
from mooring.runtimes.keeper_client import KeeperClient

BIRTH = 15.0
"""Seconds until a new keeper has to answer."""
LOOK = 0.02
"""Seconds between two tries."""
SAID = 5
"""Lines of the log that are shown when it does not."""
LISTENER = 3
"""Descriptor under which it finds a listening socket."""

_Dup = tuple[int, int, int]


class KeeperStart:
    """The way to a keeper."""

    def __init__(
        self,
        client: KeeperClient,
        log: Path,
        environ: Mapping[str, str],
        clock: Clock,
        options: Sequence[str] = (),
    ) -> None:
        """`options` are further arguments for the keeper's program."""
        self._client = client
        self._log = log
        self._environment = base(environ)
        self._clock = clock
        self._argv = [sys.executable, "-m", "mooring.programs.keeper"]
        self._argv += ["--socket", str(client.socket_path), "--log", str(log), *options]
        self._pid = 0
        self._held: tuple[ListenerSpec, socket.socket] | None = None

    def hold(self, spec: ListenerSpec, listener: socket.socket) -> None:
        """A keeper that is started from now on begins with this listening socket.

        So it outlives a keeper that was killed, as it does a daemon. The socket stays the
        caller's.
        """
        self.release()
        self._held = spec, listener.dup()

    def release(self) -> None:
        """Holds no socket any more; harmless twice."""
        if self._held is not None:
            self._held[1].close()
            self._held = None

    async def ensure(self) -> KeeperState:
        """The state of the keeper, which is started if there is none.

        Raises Conflict("KeeperVersion") for one that cannot be spoken with, and Unavailable
        ("KeeperGone") with its last words where none comes up.
        """
        state = await self._living()
        if state is None:
            self._collect()
            beginning = _size(self._log)
            self._pid = self._spawn()
            state = await self._born(beginning)
        return self._understood(state)

    def _spawn(self) -> int:
        argv: list[str] = self._argv
        passed: tuple[_Dup, ...] = ()
        if self._held is not None:
            spec, listener = self._held
            told = (spec.name, spec.host, str(spec.port), str(LISTENER))
            argv = [*argv, "--listener", *told]
            passed = ((os.POSIX_SPAWN_DUP2, listener.fileno(), LISTENER),)
        return _spawn(argv, self._environment, self._log, passed)

    async def _living(self) -> KeeperState | None:
        """Who is there; one that is just ending cuts connections, and is then asked again."""
        deadline = self._clock.monotonic() + BIRTH
        while True:
            try:
                return await self._client.state()
            except Unavailable as error:
                if error.reason == "KeeperGone":
                    return None
                if error.reason != "UpstreamReset" or self._clock.monotonic() > deadline:
                    raise
            await self._clock.sleep(LOOK)

    def _understood(self, state: KeeperState) -> KeeperState:
        if state.protocol == PROTOCOL:
            return state
        older = "older" if state.protocol < PROTOCOL else "newer"
        raise Conflict(
            "KeeperVersion",
            f"the keeper (pid {state.pid}, Mooring {state.version}) is {older}: it speaks "
            f"protocol {state.protocol}, this is {PROTOCOL}. Fix: moor down with that version, "
            "then start again",
        )

    async def _born(self, beginning: int) -> KeeperState:
        deadline = self._clock.monotonic() + BIRTH
        while True:
            ended = self._collect()
            try:
                return await self._client.state()
            except Unavailable as error:
                if error.reason != "KeeperGone":
                    raise
            if ended or self._clock.monotonic() > deadline:
                how = "ended at once" if ended else f"does not answer after {BIRTH:g} s"
                said = _said(self._log, beginning)
                raise Unavailable("KeeperGone", f"the keeper {how}: {said}. See {self._log}")
            await self._clock.sleep(LOOK)

    def _collect(self) -> bool:
        """Whether the keeper that we started has ended."""
        if not self._pid:
            return False
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(self._pid, os.WNOHANG) == (0, 0):
                return False
        self._pid = 0
        return True


def _spawn(
    argv: list[str], environment: Mapping[str, str], log: Path, passed: tuple[_Dup, ...]
) -> int:
    """Starts it in a session of its own; returns its pid."""
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
        *passed,
    ]
    try:
        return os.posix_spawn(argv[0], argv, environment, file_actions=actions, setsid=True)
    except OSError as error:
        raise Unavailable("KeeperGone", f"cannot start a keeper: {error}") from error


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def _said(log: Path, beginning: int) -> str:
    """The last lines that were written since."""
    try:
        with log.open("rb") as file:
            file.seek(max(beginning, _size(log) - 8192))
            lines = file.read(8192).decode(errors="replace").splitlines()
    except OSError as error:
        return f"{log} cannot be read: {error.strerror}"
    return " | ".join(clean(line) for line in lines[-SAID:] if line.strip()) or "it said nothing"
