"""The forker alone, spoken to as the keeper does; also as somebody who is not root."""

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.keeping import PATIENCE, gone, processes

from mooring.keeper import forker
from mooring.keeper.forker import descendants

pytestmark = pytest.mark.process
NOBODY = 65534


class Talk:
    """A forker, and the control sockets of its children."""

    def __init__(self, python: str = sys.executable, user: int | None = None) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        options: dict[str, Any] = {}
        if user is not None:
            options = {"user": user, "group": user, "extra_groups": []}
        command = [python, "-I", "-S", self.source(user), str(theirs.fileno()), "1024"]
        with theirs:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], cwd="/", **options
            )

    def source(self, user: int | None) -> str:
        """The program, at a place where that user can read it."""
        if user is None:
            return forker.__file__
        self._copy = Path(f"/tmp/forker-{os.getpid()}.py")
        shutil.copy(forker.__file__, self._copy)
        self._copy.chmod(0o644)
        return str(self._copy)

    def ask(self, argv: list[str], rung: str = "process-group", **more: Any) -> socket.socket:
        """The control socket of a new child."""
        request = {"rung": rung, "argv": argv, "env": {"PATH": "/usr/bin:/bin"}, "cwd": "",
                   "user": 0, "group": 0, "leaf": ""} | more  # fmt: skip
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(PATIENCE)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        memory, null = os.memfd_create("request"), os.open(os.devnull, os.O_RDWR)
        os.write(memory, json.dumps(request).encode())
        with theirs:
            descriptors = [memory, theirs.fileno(), null, null, null]
            socket.send_fds(self._channel, [b"fork"], descriptors)
        os.close(memory)
        os.close(null)
        return ours

    def close(self) -> None:
        self._channel.close()
        assert self.process.wait(PATIENCE) == 0
        if hasattr(self, "_copy"):
            self._copy.unlink()


@pytest.fixture
def talk() -> Iterator[Talk]:
    made = Talk()
    yield made
    made.close()


def hear(control: socket.socket) -> tuple[str, int]:
    """The next packet, and the pid of its sender as we see it."""
    packet, ancillary, _, _ = control.recvmsg(256, socket.CMSG_SPACE(12))
    pids = [struct.unpack("3i", content)[0] for _, _, content in ancillary]
    return packet.decode(), pids[0] if pids else 0


def story(control: socket.socket) -> list[str]:
    """All packets to the end."""
    told = []
    while packet := hear(control)[0]:
        told.append(packet)
    control.close()
    return told


def test_the_story_of_a_child_that_ends_by_itself(talk: Talk) -> None:
    assert story(talk.ask(["sh", "-c", "exit 3"])) == ["pid", "running", "exit 3 0"]


def test_the_story_of_one_that_is_never_born(talk: Talk) -> None:
    assert story(talk.ask(["no-such-command"])) == ["pid", "failed exec 2"]
    assert story(talk.ask(["true"], cwd="/nowhere")) == ["pid", "failed cwd 2"]
    assert story(talk.ask(["true"], leaf="/nowhere")) == ["pid", "failed init 2"]


def test_the_story_of_one_that_is_ended(talk: Talk) -> None:
    for word, end in ((b"T", "exit 0 15"), (b"K", "exit 0 9")):
        control = talk.ask(["sleep", "1000"])
        pid = hear(control)[1]
        assert hear(control)[0] == "running"
        assert processes()[pid] == b"sleep\x001000\x00"
        control.send(word)
        assert story(control) == [end]


def test_a_trial_waits_to_be_ended(talk: Talk) -> None:
    control = talk.ask([])
    assert [hear(control)[0] for _ in range(2)] == ["pid", "running"]
    control.send(b"K")
    assert story(control) == ["exit 0 9"]


def test_a_closed_line_ends_the_child(talk: Talk) -> None:
    control = talk.ask(["sh", "-c", "trap '' TERM; setsid sleep 1000 & sleep 1000"])
    pid = hear(control)[1]
    hear(control)
    control.close()
    assert gone([pid])


def test_a_line_that_closes_before_the_birth_leaves_nothing(talk: Talk) -> None:
    for _ in range(10):
        talk.ask(["sleep", "86399"]).close()
    assert story(talk.ask(["true"])) == ["pid", "running", "exit 0 0"]
    left = [pid for pid, words in processes().items() if words == b"sleep\x0086399\x00"]
    assert gone(left)


def test_when_the_keeper_closes_the_forker_leaves_and_no_init_stays() -> None:
    talk = Talk()
    control = talk.ask(["sleep", "1000"])
    pid = hear(control)[1]
    control.close()
    talk.close()
    assert gone([pid])
    assert descendants(talk.process.pid) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="is not root already")
def test_who_is_not_root_holds_children_in_a_user_namespace() -> None:
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python is None or not os.access(python, os.X_OK):
        pytest.skip("no interpreter that everybody may run")
    talk = Talk(python, NOBODY)
    try:
        control = talk.ask([], rung="pid-namespace")
        word, pid = hear(control)
        if word.startswith("failed"):
            control.close()
            pytest.skip("no user namespaces for everybody here")
        assert os.stat(f"/proc/{pid}").st_uid == NOBODY
        assert hear(control)[0] == "running"
        control.send(b"K")
        assert story(control) == ["exit 0 9"]

        script = "test $$ = 2 && test -d /proc/1 && test $(id -u) = 65534 && exit 7"
        said = story(talk.ask(["sh", "-c", script], rung="pid-namespace"))
        assert said == ["pid", "running", "exit 7 0"]

        control = talk.ask(
            ["sh", "-c", "env -i /usr/bin/setsid /bin/sleep 86397 & sleep 86397"],
            rung="pid-namespace",
        )
        members = [hear(control)[1]]
        hear(control)
        members += descendants(members[0])
        control.close()
        assert gone(members)
    finally:
        talk.close()


def test_descendants_are_found_however_deep() -> None:
    script = "sh -c 'sh -c \"sleep 1000 & echo up; wait\" & wait' & wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as top:
        assert top.stdout is not None
        assert top.stdout.readline() == b"up\n"
        family = descendants(top.pid)
        assert len(family) == 3
        assert len(set(family)) == 3
        for pid in [*family, top.pid]:
            os.kill(pid, 9)
    assert gone(family)


def test_nobody_descends_from_one_that_is_gone() -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    assert descendants(process.pid) == []
