"""The keeper as a program: how it begins, how it ends, and what it weighs."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.keeping import (
    Family,
    Keeper,
    children_of,
    gone,
    processes,
    shell,
    short_directory,
    spec,
)

from mooring.core.keeping import PROTOCOL
from mooring.core.logline import parse
from mooring.programs import keeper as program

pytestmark = pytest.mark.process
Start = Callable[..., Keeper]
HEAVY = ("pydantic", "redis", "cryptography", "mooring.kinds", "click", "yaml", "starlette")


@pytest.fixture
def home() -> Iterator[Path]:
    with short_directory() as path:
        yield path


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    started: list[Keeper] = []

    def begin(*options: str) -> Keeper:
        started.append(Keeper(home, *options))
        return started[-1]

    yield begin
    for keeper in started:
        keeper.close()


@pytest.fixture
def family(home: Path) -> Iterator[Family]:
    made = Family(home)
    yield made
    made.close()


def web(script: str, **changes: Any) -> Any:
    return shell(script, transport="streamable-http", **changes)


def test_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, mooring.programs.keeper\n"
        f"print([m for m in sys.modules if m.startswith({HEAVY!r})])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=True)
    assert done.stdout == b"[]\n"


def test_it_is_small(start: Start) -> None:
    keeper = start()
    status = Path(f"/proc/{keeper.process.pid}/status").read_text()
    resident = int(status.split("VmRSS:")[1].split()[0])
    assert resident < 40 * 1024


def test_it_says_who_it_is(start: Start) -> None:
    keeper = start()
    status, about = keeper.ask("GET", "/v1/keeper")
    assert status == 200
    assert about["protocol"] == PROTOCOL
    assert about["pid"] == keeper.process.pid
    assert about["rung"] in ("pid-namespace", "cgroup", "process-group")


def test_its_socket_is_ours_alone(start: Start) -> None:
    keeper = start()
    assert keeper.socket.stat().st_mode & 0o777 == 0o600
    assert keeper.directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_children_and_itself(
    start: Start, family: Family, number: signal.Signals
) -> None:
    keeper = start()
    keeper.put(web(family.script))
    keeper.put(spec("cat"))
    family.wait()
    below = children_of(keeper.process.pid)
    keeper.process.send_signal(number)
    assert keeper.wait() == 0
    assert family.members() == []
    assert gone(below)
    assert not keeper.socket.exists()


def test_a_request_ends_all_children_and_itself(start: Start, family: Family) -> None:
    keeper = start()
    keeper.put(web(family.script))
    family.wait()
    status, about = keeper.ask("POST", "/v1/shutdown", {"grace": 5})
    assert (status, about["pid"]) == (202, keeper.process.pid)
    assert keeper.wait() == 0
    assert family.members() == []


def test_children_end_in_parallel(start: Start) -> None:
    keeper = start()
    for _ in range(5):
        keeper.put(web("trap '' TERM; while :; do sleep 0.1; done"))
    keeper.ask("POST", "/v1/shutdown", {"grace": 0.5})
    before = time.monotonic()
    assert keeper.wait() == 0
    assert time.monotonic() - before < 2.0


def test_while_it_ends_it_still_answers_and_starts_nothing(start: Start) -> None:
    keeper = start()
    keeper.put(web("trap '' TERM; while :; do sleep 0.1; done", uid="u1"))
    keeper.ask("POST", "/v1/shutdown", {"grace": 0.5})
    assert keeper.state("u1")["state"] == "stopping"
    assert keeper.ask("GET", "/v1/keeper")[1]["ending"]
    document = {"uid": "u2", "instance": "", "server": "", "checksum": "", "argv": ["true"]}
    status, refusal = keeper.ask("PUT", "/v1/slots/u2", document | {"env": {}})
    assert (status, refusal["reason"]) == (503, "KeeperGone")
    assert keeper.wait() == 0


def test_it_ends_by_itself_when_nobody_comes(start: Start, family: Family) -> None:
    keeper = start("--alone-seconds", "0.5")
    keeper.put(web(family.script))
    family.wait()
    assert keeper.wait() == 0
    assert family.members() == []
    assert b"why=alone" in keeper.log.read_bytes()


def test_a_long_poll_keeps_it(start: Start) -> None:
    keeper = start("--alone-seconds", "0.2")
    sequence = keeper.ask("GET", "/v1/changes?since=0")[1]["sequence"]
    assert keeper.ask("GET", f"/v1/changes?since={sequence}&wait=0.6")[0] == 200
    assert keeper.process.poll() is None


def test_an_exit_is_told_within_a_tenth_of_a_second(start: Start) -> None:
    keeper = start()
    state = keeper.put(web("echo up; exec sleep 1000", uid="u1"))
    os.kill(state["pid"], signal.SIGKILL)
    before = time.monotonic()
    assert keeper.until("u1", "exited")["exit"]["signal"] == 9
    assert time.monotonic() - before < 0.1


def test_a_second_keeper_is_refused_in_words(start: Start, home: Path) -> None:
    keeper = start()
    done = subprocess.run(
        [sys.executable, "-m", "mooring.programs.keeper", "--socket", str(keeper.socket)],
        capture_output=True,
        timeout=30,
    )
    assert done.returncode == 1
    words = f"moor keeper: another keeper (pid {keeper.process.pid}) already serves"
    assert done.stderr.decode().startswith(words)
    assert b"Traceback" not in done.stderr
    assert keeper.ask("GET", "/v1/keeper")[0] == 200


def test_a_directory_that_is_not_ours_alone_is_refused_in_words(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.chmod(0o755)
    where = os.getcwd()
    try:
        assert program.main(["--socket", str(home / "k.sock")]) == 1
    finally:
        os.chdir(where)
    assert "make it yours alone" in capsys.readouterr().err


def test_its_log_tells_its_story_without_secrets(start: Start) -> None:
    keeper = start()
    wanted = web("echo $TOKEN", uid="u1", env={"TOKEN": "hush", "PATH": os.environ["PATH"]})
    keeper.put(wanted)
    keeper.until("u1", "exited")
    assert keeper.terminate() == 0
    story = keeper.log.read_text()
    for event in ("keeper.started", "slot.started uid=u1", "slot.ended uid=u1", "keeper.ended"):
        assert event in story
    assert "hush" not in story


def test_secrets_are_in_no_command_line(start: Start) -> None:
    keeper = start()
    keeper.put(web("sleep 1000", env={"TOKEN": "hush-4711", "PATH": os.environ["PATH"]}))
    assert not [words for words in processes().values() if b"hush-4711" in words]


def test_nothing_is_inherited_from_the_keeper(home: Path, start: Start) -> None:
    os.environ["LEAK"] = "from outside"
    try:
        keeper = start()
    finally:
        del os.environ["LEAK"]
    log = home / "a.log"
    keeper.put(web("env; ls /proc/self/fd", uid="u1", log=str(log)))
    keeper.until("u1", "exited")
    assert keeper.terminate() == 0
    text = log.read_text()
    assert "LEAK" not in text
    assert "PORT=" in text
    assert "Z 4\n" not in text


def test_logs_are_written_before_it_ends(start: Start, home: Path) -> None:
    keeper = start()
    log = home / "logs" / "default" / "a-0.log"
    keeper.put(web("trap 'echo goodbye; exit 3' TERM; echo hello; sleep 1000 & wait",
                   uid="u1", log=str(log)))  # fmt: skip
    while b"hello" not in (log.read_bytes() if log.exists() else b""):
        keeper.ask("GET", "/v1/changes?since=0")
    assert keeper.terminate() == 0
    lines = [parse(line) for line in log.read_bytes().splitlines()]
    assert [(line.mark, line.text) for line in lines if line] == [
        (True, "started u1"),
        (False, "hello"),
        (False, "goodbye"),
        (True, "ended u1 code 3"),
    ]


def test_a_fixed_port_in_use_is_told(start: Start) -> None:
    keeper = start()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        state = keeper.put(web("true", port=port))
    assert state["exit"]["reason"] == f"port {port} is in use"


def test_an_unknown_rung_is_refused_by_the_parser(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["--socket", "/x", "--rung", "hope"])
    assert "--rung" in capsys.readouterr().err
