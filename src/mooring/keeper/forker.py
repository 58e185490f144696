"""The process that makes processes: a program of its own, small and without threads.

The keeper has a loop, threads and open sockets, and a fork of it would drag all that along.
So it runs this file once (`python -I -S forker.py FD LIMIT`, standard library only) and asks
it for children. For each child the forker forks an *init*, which belongs to that child alone,
collects whatever the child leaves behind, and ends all of it. Memory is shared with the forker,
so an init costs about one megabyte.

Keeper to forker: one packet per child with five descriptors: the request (JSON in a memory
file), the child's control socket, stdin, stdout, stderr. Init to keeper, on the control socket:
`pid` (sent by the child itself, whose credentials tell its pid as the keeper sees it),
`running`, `failed STAGE ERRNO`, `exit CODE SIGNAL`. Keeper to init: `T` (SIGTERM to the
child's group), `K` (end everything). When the control socket closes, the keeper is gone, and
init ends everything too; that needs no help from anybody who may have been killed as well.

Three ways of holding on to a child, see `ladder`. In a PID namespace init is process 1, and
the kernel ends all others with it. With a cgroup, `cgroup.kill` ends all members. Otherwise init
is a subreaper: whoever loses its parent becomes a child of init, so that the whole family is
found as init's descendants, whatever session, group or environment they gave themselves.
"""

import contextlib
import ctypes
import errno
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

PATIENCE = 2.0
"""Seconds that init waits for the killed to be gone."""
PACKET = 256
"""Most bytes of a packet, both ways."""

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x00020000, 0x10000000, 0x20000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_SLAVE = 2, 4, 8, 0x4000, 0x80000
PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 15, 36

Request = dict[str, Any]
"""rung, argv (empty: only a trial that waits to be killed), env, cwd, user, leaf (cgroup)."""


def main() -> None:
    """Serves requests until the keeper closes its end."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    limit = int(sys.argv[2])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # inits are nobody's zombies
    _call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _call("prctl", PR_SET_NAME, b"moor-forker", 0, 0, 0)
    gc.disable()
    gc.freeze()  # keeps memory shared with the forks
    while True:
        packet, descriptors, _, _ = socket.recv_fds(channel, PACKET, 5)
        if not packet:
            _wait_for_inits()
            return
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        _serve(channel, descriptors, limit)
        for descriptor in descriptors:
            os.close(descriptor)


def _wait_for_inits() -> None:
    """Leaves no zombie to others: the keeper has gone, so every init is on its way out."""
    signal.alarm(int(2 * PATIENCE))
    with contextlib.suppress(ChildProcessError):
        os.wait()


def _serve(channel: socket.socket, descriptors: list[int], limit: int) -> None:
    """Forks the init of one child; what goes wrong is told on the child's control socket."""
    memory, control, *stdio = descriptors
    request: Request = json.loads(os.pread(memory, os.fstat(memory).st_size, 0))
    try:
        forked = os.fork()
    except OSError as error:
        os.write(control, f"failed fork {error.errno}".encode())
        return
    if forked:
        return
    channel.close()
    os.close(memory)
    _guarded(control, lambda: _enter(request, control, stdio, limit))


def _guarded(control: int, work: Callable[[], None]) -> NoReturn:
    """Runs the rest of a forked process; it never returns into the forker's loop."""
    try:
        work()
    except OSError as error:
        with contextlib.suppress(OSError):
            os.write(control, f"failed init {error.errno}".encode())
    finally:
        os._exit(0)


def _enter(request: Request, control: int, stdio: list[int], limit: int) -> None:
    """Becomes init: directly, or as process 1 of a new namespace."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    os.setsid()
    _call("prctl", PR_SET_NAME, b"moor-init", 0, 0, 0)
    if request["rung"] != "pid-namespace":
        _call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        Init(request, control, limit).run(stdio)
        return
    _unshare()
    if os.fork() == 0:
        _guarded(control, lambda: _first(request, control, stdio, limit))


def _unshare() -> None:
    """New PID and mount namespaces; not being root, under a user namespace of our own."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        _call("unshare", CLONE_NEWNS | CLONE_NEWPID)
        return
    _call("unshare", CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {uid} 1")
    _write("/proc/self/gid_map", f"{gid} {gid} 1")


def _first(request: Request, control: int, stdio: list[int], limit: int) -> None:
    """Process 1: shows its family their own /proc; what the host mounts stays visible."""
    _call("mount", None, b"/", None, MS_REC | MS_SLAVE, None)
    _call("mount", b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, None)
    Init(request, control, limit).run(stdio)


def _call(name: str, *arguments: Any) -> None:
    """One call into the C library; OSError where it fails."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


class Init:
    """Starts one child, waits for it, and leaves nothing of it behind."""

    def __init__(self, request: Request, control: int, limit: int) -> None:
        self._request = request
        self._control = control
        self._limit = limit
        self._child = 0
        self._status: int | None = None

    def run(self, stdio: list[int]) -> None:
        """From the fork of the child to the last message."""
        wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        birth, born = os.pipe2(os.O_CLOEXEC)
        self._child = os.fork()
        if self._child == 0:
            Birth(self._request, self._control, born, self._limit).become(stdio)
        for descriptor in (*stdio, born):
            os.close(descriptor)
        failure = self._attend(wake, birth)
        self._end_all()
        if failure:
            self._tell(f"failed {failure}")
            return
        code, sign = _outcome(self._status)
        self._tell(f"exit {code} {sign}")

    def _attend(self, wake: int, birth: int) -> str:
        """Obeys the keeper until the child is gone; returns why it was not born, or nothing."""
        poll = select.poll()
        for descriptor in (wake, birth, self._control):
            poll.register(descriptor, select.POLLIN)
        failure = ""
        while self._status is None:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if birth in ready:
                poll.unregister(birth)
                failure = os.read(birth, PACKET).decode()
                if not failure:
                    self._tell("running")
            if self._control in ready and not self._obey():
                return failure
            if wake in ready:
                os.read(wake, 512)
                self._reap()
        return failure

    def _obey(self) -> bool:
        """One word of the keeper; False: end everything."""
        try:
            word = os.read(self._control, PACKET)
        except ConnectionError:
            return False
        if word != b"T":
            return False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child, signal.SIGTERM)
        return True

    def _reap(self) -> bool:
        """Collects all that have ended; False when there is nobody left to wait for."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._child:
                self._status = status

    def _end_all(self) -> None:
        """Kills what is left until nothing is, or for as long as our patience lasts."""
        leaf = self._request["leaf"]
        deadline = time.monotonic() + PATIENCE
        while self._kill(leaf) or self._reap():
            if time.monotonic() > deadline:
                break
            time.sleep(0.002)
        while leaf and time.monotonic() < deadline:
            try:
                os.rmdir(leaf)
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.002)

    def _kill(self, leaf: str) -> bool:
        """SIGKILL to everybody; whether somebody was seen who may not be ours to wait for."""
        if self._request["rung"] == "pid-namespace":
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
            return False
        if leaf:
            with contextlib.suppress(OSError):
                _write(f"{leaf}/cgroup.kill", "1")
        family = descendants(os.getpid())
        for blow in (signal.SIGSTOP, signal.SIGKILL):
            for pid in family:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, blow)
        return bool(family)

    def _tell(self, words: str) -> None:
        with contextlib.suppress(OSError):
            os.write(self._control, words.encode())


class Birth:
    """The last steps of a forked process until it is the wanted command."""

    def __init__(self, request: Request, control: int, born: int, limit: int) -> None:
        self._request = request
        self._control = control
        self._born = born
        self._limit = limit

    def become(self, stdio: list[int]) -> NoReturn:
        """Never returns; a failure goes to init through the pipe that a successful exec closes."""
        stage = "init"
        try:
            os.write(self._control, b"pid")
            os.setsid()
            self._settle(stdio)
            if not self._request["argv"]:
                os.close(self._born)
                signal.pause()
            stage = "user"
            self._drop()
            stage = "cwd"
            os.chdir(self._request["cwd"] or "/")
            stage = "exec"
            self._execute()
        except (OSError, ValueError) as error:  # ValueError: a NUL in an argument or variable
            number = getattr(error, "errno", errno.EINVAL)
            with contextlib.suppress(OSError):
                os.write(self._born, f"{stage} {number}".encode())
        finally:
            os._exit(127)

    def _settle(self, stdio: list[int]) -> None:
        """Puts signals, limits, cgroup and the three descriptors as a new process expects them."""
        for number in (
            signal.SIGCHLD,
            signal.SIGTERM,
            signal.SIGINT,
            signal.SIGHUP,
            signal.SIGPIPE,
            signal.SIGXFSZ,
        ):
            signal.signal(number, signal.SIG_DFL)
        if self._request["leaf"]:
            _write(f"{self._request['leaf']}/cgroup.procs", "0")
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._limit, hard))
        for target, descriptor in enumerate(stdio):
            os.dup2(descriptor, target)
        for first, last in ((3, self._born), (self._born + 1, max(hard, 4096))):
            os.closerange(first, last)

    def _drop(self) -> None:
        """Becomes the wanted user, for good."""
        user = self._request["user"]
        if not user or user == os.geteuid():
            return
        os.setgroups([])
        os.setgid(self._request["group"])
        os.setuid(user)

    def _execute(self) -> None:
        """Raises OSError: ENOENT for no such command, ENOEXEC for one without its interpreter."""
        argv, env = self._request["argv"], self._request["env"]
        try:
            os.execvpe(argv[0], argv, env)
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            folders = [""] if "/" in argv[0] else os.get_exec_path(env)
            found = any(os.path.exists(os.path.join(folder, argv[0])) for folder in folders)
            if found and isinstance(error, FileNotFoundError):
                raise OSError(errno.ENOEXEC, "no interpreter") from None
            if not found and "/" not in argv[0]:
                raise OSError(errno.ENOENT, "no command") from None
            raise


def descendants(root: int) -> list[int]:
    """Pids of all descendants of `root`, zombies left out."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                stat = file.read()
        except OSError:
            continue
        state, parent = stat[stat.rindex(b")") + 2 :].split(None, 2)[:2]
        if state not in b"ZX":
            parents.setdefault(int(parent), []).append(int(name))
    found, queue = [], [root]
    while queue:
        children = parents.get(queue.pop(), [])
        found += children
        queue += children
    return found


def _outcome(status: int | None) -> tuple[int, int]:
    """Exit code and signal of a wait status; one that nobody saw end was killed."""
    if status is None:
        return 0, int(signal.SIGKILL)
    if os.WIFSIGNALED(status):
        return 0, os.WTERMSIG(status)
    return os.waitstatus_to_exitcode(status), 0


if __name__ == "__main__":
    main()
