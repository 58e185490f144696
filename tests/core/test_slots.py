"""From workloads to slots, and from slots to what is observed."""

import dataclasses
from datetime import UTC, datetime
from typing import Literal

import pytest
from msgspec.structs import replace

from mooring.core.keeping import Exit, SlotState
from mooring.core.slots import Birth, failure, left_behind, name, newer, observed, owner, slot
from mooring.core.workload import Ended, Workload
from mooring.kinds.ref import Ref
from mooring.kinds.server import Resolved, Source

REF = Ref("MCPServer", "team", "notes")
WORK = Workload(REF, "c1", Source(command=("python", "notes.py")), args=("--all",))
BIRTH = Birth(
    uid="u1",
    name="notes-0",
    argv=("python", "notes.py"),
    base={"PATH": "/bin", "HOME": "/root"},
    directory="/srv",
    log="/logs/team/notes-0.log",
)
STATE = SlotState(
    uid="u1",
    instance="team/notes-0",
    server="team/notes",
    checksum="c1",
    state="running",
    transport="streamable-http",
    port=4123,
    path="/mcp",
    started_at=1.5,
)


def work(**changes: object) -> Workload:
    return dataclasses.replace(WORK, **changes)


def test_a_slot_knows_its_instance_and_server() -> None:
    made = slot(WORK, BIRTH)
    assert (made.uid, made.instance, made.server) == ("u1", "team/notes-0", "team/notes")
    assert made.argv == ("python", "notes.py", "--all")
    assert (made.checksum, made.log) == ("c1", "/logs/team/notes-0.log")


def test_a_slot_carries_all_that_the_workload_says() -> None:
    asked = work(
        transport="streamable-http", port=8000, path="/x", isolation="session", max_children=3,
        idle_seconds=4, spares=1, eras="stateless",
    )  # fmt: skip
    made = slot(asked, BIRTH)
    told = (made.transport, made.port, made.path, made.isolation, made.max_children)
    assert told == ("streamable-http", 8000, "/x", "session", 3)
    assert (made.idle_seconds, made.spares, made.eras) == (4, 1, "stateless")


def test_declared_variables_hide_those_that_every_server_sees() -> None:
    made = slot(work(env={"HOME": "/other", "TOKEN": "s"}), BIRTH)
    assert made.env == {"PATH": "/bin", "HOME": "/other", "TOKEN": "s"}


@pytest.mark.parametrize(
    ("wanted", "found"), [("", "/srv"), ("/abs", "/abs"), ("sub/dir", "/srv/sub/dir")]
)
def test_a_working_directory_is_taken_from_where_servers_run(wanted: str, found: str) -> None:
    assert slot(work(working_directory=wanted), BIRTH).cwd == found


def test_a_slot_says_whose_it_is() -> None:
    assert (owner(STATE), name(STATE)) == (REF, "notes-0")


def test_a_running_slot_has_an_address() -> None:
    seen = observed(STATE, "/run/k.sock", Resolved(package="p", version="1"))
    assert (seen.state, seen.address) == ("running", "http://127.0.0.1:4123/mcp")
    assert seen.started_at == datetime(1970, 1, 1, 0, 0, 1, 500000, UTC)
    assert seen.resolved == Resolved(package="p", version="1")
    stdio = observed(replace(STATE, transport="stdio", port=0), "/run/k.sock")
    assert stdio.address == "unix:///run/k.sock#/i/u1"


def test_an_exited_slot_says_how() -> None:
    exit = Exit(code=3, at=2.0, last_line="missing API key")
    seen = observed(replace(STATE, state="exited", exit=exit), "/run/k.sock")
    assert seen.state == "exited"
    assert seen.ended == Ended(datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC), 3, 0, "missing API key")


def test_a_slot_that_never_ran_failed() -> None:
    exit = Exit(reason="command not found: foo")
    seen = observed(replace(STATE, state="exited", exit=exit), "/run/k.sock")
    assert (seen.state, seen.reason, seen.permanent) == ("failed", "CommandNotFound", True)
    assert seen.message == "command not found: foo. Fix: install it, or give its whole path"
    assert seen.ended is None


@pytest.mark.parametrize(
    ("told", "word", "permanent"),
    [
        ("not executable: ./x", "CommandNotFound", True),
        ("working directory not found: /x", "CannotStart", True),
        ("port 80 is in use", "PortInUse", False),
        ("cannot start x: Cannot allocate memory", "CannotStart", False),
    ],
)
def test_only_what_no_retry_mends_is_permanent(told: str, word: str, permanent: bool) -> None:
    assert (failure(told)[0], failure(told)[2]) == (word, permanent)


@pytest.mark.parametrize("earlier", ["running", "stopping", "exited"])
@pytest.mark.parametrize("later", ["running", "stopping", "exited"])
def test_of_two_accounts_the_one_further_on_holds(
    earlier: Literal["running", "stopping", "exited"],
    later: Literal["running", "stopping", "exited"],
) -> None:
    first, second = replace(STATE, state=earlier), replace(STATE, state=later)
    assert newer(first, second).state == newer(second, first).state
    assert newer(None, first) == first


def test_an_account_from_before_the_start_takes_no_port_away() -> None:
    unborn = replace(STATE, port=0)
    assert newer(STATE, unborn) == STATE
    assert newer(unborn, STATE) == STATE


def test_with_the_keeper_everything_that_ran_has_ended() -> None:
    done = replace(STATE, uid="u2", state="exited", exit=Exit(code=1, at=1.0))
    over = left_behind((STATE, done), 9.0)
    assert [state.state for state in over] == ["exited", "exited"]
    assert over[0].exit == Exit(signal=9, at=9.0, last_line="the keeper ended")
    assert over[1] == done
