"""What to do next about one server: told as stories, and held for all of them."""

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.core.actions import Start, Stop
from mooring.core.environment import Complaint, Resolution
from mooring.core.load import Load
from mooring.core.reconcile import Decision, decide
from mooring.core.revisions import as_it_was
from mooring.core.workload import RESTARTED, Ended, Observed, Workload, make, recorded
from mooring.core.world import Belief, World
from mooring.kinds.server import InstanceStatus, MCPServer, Resolved
from mooring.testing.clock import START
from mooring.testing.stage import server

SHAKEN = Belief(True, era="session")
REFUSED = Belief(False, message="handshake failed: no")
MISSING = Complaint("SecretNotFound", "secret resolution failed", "complaint")


class Pier:
    """A server and its instances: performs what is decided, and nothing else."""

    def __init__(self, **spec: Any) -> None:
        self.server = server("time", **spec)
        self.observed: dict[str, Observed] = {}
        self.beliefs: dict[str, Belief] = {}
        self.loads: dict[str, Load] = {}
        self.now: datetime = START
        self.target: Workload | Complaint | None = None
        self.greets: Belief | None = SHAKEN
        self.starts = 0

    def spec(self, **changes: Any) -> None:
        changed = self.server.spec.model_dump(by_alias=True, exclude_none=True) | changes
        kept = {"status": self.server.status, "metadata": self.server.metadata}
        self.server = server("time", **changed).model_copy(update=kept)

    def delete(self) -> None:
        meta = self.server.metadata.model_copy(update={"deletion_timestamp": self.now})
        self.server = self.server.model_copy(update={"metadata": meta})

    def restart(self, when: str) -> None:
        meta = self.server.metadata.model_copy(update={"annotations": {RESTARTED: when}})
        self.server = self.server.model_copy(update={"metadata": meta})

    def world(self) -> World:
        made = self._made(self.server)
        seen = tuple(self.observed.values())
        target = self.target or made
        then = [as_it_was(self.server, r) for r in self.server.status.revisions]
        works = [self._made(each) for each in then if each is not None]
        earlier = {work.checksum: work for work in works}
        return World(seen, target, self.beliefs, self.loads, "http://here", earlier)

    def _made(self, declared: MCPServer) -> Workload:
        return make(declared, Resolution({}, {}), recorded(declared))

    def look(self) -> Decision:
        """One pass: decide, perform, report."""
        found = decide(self.server, self.world(), self.now, 0.5)
        for action in found.actions:
            self._perform(action)
        self.server = self.server.model_copy(update={"status": found.status})
        return found

    def rest(self, seconds: float = 0) -> Decision:
        """Passes until nothing happens, for so long."""
        end = self.now + timedelta(seconds=seconds)
        for _ in range(2000):
            before = self.server.status
            found = self.look()
            if found.actions or found.status != before:
                continue
            if found.wake_at is None or found.wake_at > end:
                self.now = max(self.now, end)
                return found
            self.now = max(self.now, found.wake_at)
        raise AssertionError("it never comes to rest")

    def exit(self, name: str, code: int = 1) -> None:
        ended = Ended(self.now, code=code)
        self.observed[name] = replace(self.observed[name], state="exited", ended=ended)

    def rows(self) -> dict[str, InstanceStatus]:
        return {row.name: row for row in self.server.status.instances}

    def states(self) -> dict[str, str]:
        return {name: row.state for name, row in self.rows().items()}

    def _perform(self, action: Start | Stop) -> None:
        there = self.observed.get(action.name)
        if isinstance(action, Stop):
            assert there is not None
            assert there.uid == action.uid
            del self.observed[action.name]
            return
        assert there is None or there.state in ("exited", "failed")
        self.starts += 1
        uid = f"u{self.starts}"
        checksum = action.workload.checksum
        self.observed[action.name] = Observed(
            action.name, uid, checksum, "running", f"http://{uid}/mcp", started_at=self.now
        )
        if self.greets is not None:
            self.beliefs[uid] = self.greets


def started(found: Decision) -> list[str]:
    return [action.name for action in found.actions if isinstance(action, Start)]


def stopped(found: Decision) -> list[str]:
    return [action.name for action in found.actions if isinstance(action, Stop)]


def reasons(found: Decision) -> list[str]:
    return [happening.reason for happening in found.happenings]


def test_a_new_server_gets_its_instances() -> None:
    pier = Pier(replicas=3)
    found = pier.look()
    assert started(found) == ["time-0", "time-1", "time-2"]
    assert pier.states() == {"time-0": "Pending", "time-1": "Pending", "time-2": "Pending"}
    pier.rest()
    assert pier.server.status.message == "Ready 3/3"
    assert pier.server.status.url == "http://here/servers/time/mcp"


def test_a_remote_server_has_one_place_whatever_is_asked_for() -> None:
    pier = Pier(source={"url": "https://example.org/mcp"}, replicas=5)
    pier.rest()
    assert pier.states() == {"time-0": "Ready"}
    assert pier.server.status.replicas == 1


def test_a_remote_server_stays_ready_when_mooring_forgot_it() -> None:
    pier = Pier(source={"url": "https://example.org/mcp"})
    pier.rest()
    forgotten = replace(pier.world(), observed=())
    found = decide(pier.server, forgotten, pier.now, 0.5)
    assert started(found) == ["time-0"]
    assert (found.status, found.happenings) == (pier.server.status, ())


def test_more_and_fewer() -> None:
    pier = Pier(replicas=1)
    pier.rest()
    pier.spec(replicas=3)
    pier.rest()
    assert pier.states() == {"time-0": "Ready", "time-1": "Ready", "time-2": "Ready"}
    pier.spec(replicas=1)
    assert stopped(pier.look()) == []
    assert pier.states() == {"time-0": "Ready", "time-1": "Draining", "time-2": "Draining"}
    pier.rest(2)
    assert pier.states() == {"time-0": "Ready"}
    assert pier.observed.keys() == {"time-0"}


def test_none_are_wanted() -> None:
    pier = Pier(replicas=2)
    pier.rest()
    pier.spec(replicas=0)
    pier.rest(2)
    assert (pier.server.status.phase, pier.server.status.message) == ("Stopped", "Stopped")
    assert pier.observed == {}


def test_a_leaving_instance_keeps_its_sessions_for_a_while() -> None:
    pier = Pier(drainSeconds=20)
    pier.rest()
    pier.loads["u1"] = Load(sessions=2)
    pier.spec(replicas=0)
    pier.rest(19)
    assert pier.states() == {"time-0": "Draining"}
    pier.rest(1)
    assert pier.states() == {}


def test_a_change_starts_the_new_one_before_the_old_one_goes() -> None:
    pier = Pier(replicas=2)
    pier.rest()
    pier.greets = None
    pier.spec(args=["-v"])
    pier.rest(600)
    assert pier.states() == {"time-0": "Ready", "time-1": "Ready", "time-2": "Starting"}
    pier.beliefs["u3"] = SHAKEN
    pier.greets = SHAKEN
    pier.rest(5)
    rows = pier.rows()
    assert [row.state for row in rows.values()] == ["Ready", "Ready"]
    assert {row.checksum for row in rows.values()} == {pier.server.status.checksum}


def test_a_change_that_fails_leaves_the_old_ones_serving() -> None:
    pier = Pier(replicas=2)
    pier.rest()
    pier.greets = REFUSED
    pier.spec(args=["--broken"])
    pier.rest(3600)
    assert pier.states() == {"time-0": "Ready", "time-1": "Ready", "time-2": "ERROR"}
    assert pier.server.status.phase == "Ready"
    assert pier.server.status.message.endswith("2 instances to be updated")
    pier.greets = SHAKEN
    pier.spec(args=[])
    pier.rest(5)
    assert pier.states() == {"time-0": "Ready", "time-1": "Ready"}
    assert {row.uid for row in pier.rows().values()} == {"u1", "u2"}


def test_with_a_fixed_port_the_old_one_goes_first() -> None:
    pier = Pier(transport="streamable-http", port=8080)
    pier.rest()
    pier.spec(args=["-v"])
    pier.look()
    assert pier.states() == {"time-0": "Draining", "time-1": "Pending"}
    assert pier.rows()["time-1"].message == "waits until time-0 has ended"
    pier.rest(2)
    assert pier.states() == {"time-1": "Ready"}


def test_an_instance_of_an_old_spec_that_never_served_is_not_waited_for() -> None:
    pier = Pier()
    pier.greets = None
    pier.rest()
    assert pier.states() == {"time-0": "Starting"}
    pier.greets = SHAKEN
    pier.spec(args=["-v"])
    found = pier.look()
    assert stopped(found) == ["time-0"]
    assert "Outdated" in reasons(found)
    pier.rest()
    assert pier.states() == {"time-0": "Ready"}
    assert pier.rows()["time-0"].checksum == pier.server.status.checksum


def test_a_failed_attempt_is_retried_in_its_place_ever_less_often() -> None:
    pier = Pier()
    pier.greets = REFUSED
    pier.rest()
    waits = []
    for attempt in range(1, 9):
        row = pier.rows()["time-0"]
        assert (row.state, row.attempt_count) == ("ERROR", attempt)
        assert row.next_retry_at is not None
        waits.append((row.next_retry_at - pier.now).total_seconds())
        pier.rest(waits[-1] - 1)
        assert pier.rows()["time-0"] == row
        pier.rest(1)
    assert waits == [30] * 5 + [300] * 3


def test_success_resets_the_count() -> None:
    pier = Pier()
    pier.greets = REFUSED
    pier.rest(100)
    pier.greets = SHAKEN
    pier.rest(300)
    row = pier.rows()["time-0"]
    assert (row.state, row.attempt_count, row.next_retry_at) == ("Ready", 0, None)


def test_a_changed_spec_is_due_at_once() -> None:
    pier = Pier()
    pier.greets = REFUSED
    pier.rest()
    pier.greets = SHAKEN
    pier.spec(args=["-v"])
    pier.rest()
    assert pier.states() == {"time-0": "Ready"}


def test_a_complaint_is_a_failed_attempt_and_starts_nothing() -> None:
    pier = Pier(replicas=2)
    pier.target = MISSING
    found = pier.rest()
    assert pier.states() == {"time-0": "ERROR", "time-1": "ERROR"}
    row = pier.rows()["time-0"]
    assert (row.reason, row.message) == ("SecretNotFound", "secret resolution failed")
    assert (row.attempt_count, row.last_attempt_at) == (1, START)
    assert found.wake_at == START + timedelta(seconds=30)
    pier.rest(30)
    assert pier.rows()["time-0"].attempt_count == 2
    pier.target = None
    pier.rest()
    assert pier.states() == {"time-0": "Ready", "time-1": "Ready"}
    assert pier.starts == 2


def test_a_changed_complaint_is_due_at_once() -> None:
    pier = Pier()
    pier.target = MISSING
    pier.rest()
    pier.target = Complaint("SecretEmpty", "it is empty", "other")
    pier.rest()
    row = pier.rows()["time-0"]
    assert (row.attempt_count, row.message) == (2, "it is empty")


@pytest.mark.parametrize("spec", [{}, {"transport": "streamable-http", "port": 8080}])
def test_what_serves_goes_on_serving_when_its_secret_is_gone(spec: dict[str, Any]) -> None:
    pier = Pier(**spec)
    pier.rest()
    pier.target = MISSING
    pier.rest(3600)
    assert pier.states() == {"time-0": "Ready", "time-1": "ERROR"}
    pier.target = None
    pier.rest(5)
    assert pier.states() == {"time-0": "Ready"}
    assert pier.rows()["time-0"].uid == "u1"


def test_a_crash_is_restarted_at_once_under_the_same_name() -> None:
    pier = Pier(replicas=2)
    pier.rest()
    pier.exit("time-1")
    found = pier.look()
    assert started(found) == ["time-1"]
    assert reasons(found) == ["Exited"]
    pier.rest()
    row = pier.rows()["time-1"]
    assert (row.state, row.uid, row.restarts) == ("Ready", "u3", 1)


def test_a_server_that_keeps_crashing_is_held_back() -> None:
    pier = Pier()
    pier.rest()
    delays = []
    for _ in range(5):
        pier.exit("time-0")
        pier.look()
        retry = pier.rows()["time-0"].next_retry_at
        delays.append((retry - pier.now).total_seconds() if retry else 0)
        pier.rest(delays[-1])
    assert delays == [0, 1, 2, 4, 8]
    assert pier.rows()["time-0"].restarts == 5


def test_a_new_spec_ends_a_crash_loop() -> None:
    pier = Pier()
    pier.rest()
    for seconds in (5, 5, 0):
        pier.exit("time-0")
        pier.rest(seconds)
    assert pier.states() == {"time-0": "CrashLoopBackOff"}
    pier.spec(args=["--works"])
    pier.rest()
    row = pier.rows()["time-0"]
    assert (row.state, row.crashes, row.early_crashes) == ("Ready", 0, 0)


def test_a_deleted_server_drains_ends_and_is_released() -> None:
    pier = Pier(replicas=2)
    pier.rest()
    pier.delete()
    assert not pier.look().release
    assert set(pier.states().values()) == {"Draining"}
    found = pier.rest(2)
    assert found.release
    assert pier.server.status.phase == "Terminating"


def test_what_still_exists_holds_a_deleted_server() -> None:
    pier = Pier(replicas=0)
    pier.delete()
    pier.observed["odd"] = Observed("odd", "u9", "sum", "stopping")
    assert not pier.look().release


def test_an_instance_without_a_row_is_adopted() -> None:
    pier = Pier()
    checksum = pier.world().target.checksum
    pier.observed["time-0"] = Observed("time-0", "u7", checksum, "running", "http://u7/mcp")
    found = pier.look()
    assert started(found) == []
    assert pier.rows()["time-0"].uid == "u7"


def test_strangers_and_doubles_are_ended() -> None:
    pier = Pier()
    pier.rest()
    extra = replace(pier.observed["time-0"], uid="u0", state="exited")
    odd = Observed("time-x", "u9", "sum", "running")
    world = replace(pier.world(), observed=(*pier.observed.values(), extra, odd))
    found = decide(pier.server, world, pier.now, 0.5)
    assert [(a.name, a.uid) for a in found.actions if isinstance(a, Stop)] == [
        ("time-0", "u0"),
        ("time-x", "u9"),
    ]
    assert found.status == pier.server.status


def test_names_of_instances_that_are_ending_are_not_reused() -> None:
    pier = Pier()
    pier.observed["time-0"] = Observed("time-0", "u9", "sum", "stopping")
    assert started(pier.look()) == ["time-1"]


def test_what_a_package_turned_out_to_be_is_recorded_once() -> None:
    pier = Pier(source={"pypi": "mcp-server-time"})
    pier.rest()
    resolved = Resolved(package="mcp-server-time", version="1.2", hash="sha256:0")
    pier.observed["time-0"] = replace(pier.observed["time-0"], resolved=resolved)
    found = pier.look()
    kept = found.status.resolved
    assert kept is not None
    assert (kept.version, kept.hash, reasons(found)) == ("1.2", "sha256:0", ["Resolved"])
    assert found.happenings[0].message == "mcp-server-time is 1.2"
    assert reasons(pier.look()) == []
    pier.observed["time-0"] = replace(pier.observed["time-0"], resolved=None)
    assert pier.look().status.resolved == kept


def test_the_next_look_is_at_the_earliest_moment_that_changes_something() -> None:
    pier = Pier(replicas=2)
    pier.rest()
    assert pier.rest().wake_at is None
    pier.exit("time-0")
    pier.rest()
    pier.exit("time-0")
    pier.rest()
    pier.greets = REFUSED
    pier.exit("time-1")
    found = pier.rest()
    assert found.wake_at == min(r.next_retry_at for r in pier.rows().values() if r.next_retry_at)


STEPS = st.lists(
    st.sampled_from(
        ["more", "fewer", "none", "change", "back", "crash", "lose", "deny", "allow", "wait",
         "complain", "busy", "restart"]
    ),
    max_size=25,
)  # fmt: skip


def play(pier: Pier, steps: Iterable[str], chance: random.Random) -> None:
    """Whatever may happen to a server, in any order."""
    for step in steps:
        wish(pier, step)
        happen(pier, step, chance)
        if chance.random() < 0.7:
            pier.look()


def wish(pier: Pier, step: str) -> None:
    """Somebody wants something else."""
    replicas = pier.server.spec.replicas
    numbers = {"more": replicas + 1, "fewer": max(0, replicas - 1), "none": 0}
    if step in numbers:
        pier.spec(replicas=numbers[step])
    elif step in ("change", "back"):
        pier.spec(args=["-v"] if step == "change" else [])
    elif step == "restart":
        pier.restart(pier.now.isoformat())
    elif step == "complain":
        pier.target = None if pier.target else MISSING


def happen(pier: Pier, step: str, chance: random.Random) -> None:
    """Something happens by itself."""
    running = sorted(name for name, one in pier.observed.items() if one.state == "running")
    if step in ("deny", "allow"):
        pier.greets = {"deny": REFUSED, "allow": SHAKEN}[step]
    elif step == "wait":
        pier.now += timedelta(seconds=chance.choice([1, 10, 100]))
    elif running and step == "crash":
        pier.exit(chance.choice(running))
    elif running and step == "lose":
        del pier.observed[chance.choice(running)]
    elif running and step == "busy":
        pier.loads[pier.observed[running[0]].uid] = Load(sessions=1)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.integers(0, 3), st.randoms(use_true_random=False))
def test_whatever_happened_it_ends_with_what_is_wanted(
    steps: list[str], replicas: int, chance: random.Random
) -> None:
    pier = Pier(replicas=replicas)
    play(pier, steps, chance)
    pier.greets, pier.target = SHAKEN, None
    pier.rest(3600)
    wanted = pier.server.spec.replicas
    status = pier.server.status
    assert len(status.instances) == len(pier.observed) == wanted
    assert all(row.state == "Ready" for row in status.instances)
    assert all(row.checksum == status.checksum for row in status.instances)
    assert {r.uid for r in status.instances} == {o.uid for o in pier.observed.values()}


@settings(max_examples=100, deadline=None)
@given(STEPS, st.randoms(use_true_random=False))
def test_a_world_at_rest_is_left_alone_in_whatever_order_it_is_told(
    steps: list[str], chance: random.Random
) -> None:
    pier = Pier(replicas=2)
    play(pier, steps, chance)
    pier.rest()
    status = pier.server.status
    for _ in range(10):
        world = pier.world()
        seen = list(world.observed)
        chance.shuffle(seen)
        rows = list(status.instances)
        chance.shuffle(rows)
        shuffled = status.model_copy(update={"instances": tuple(rows)})
        told = pier.server.model_copy(update={"status": shuffled})
        found = decide(told, replace(world, observed=tuple(seen)), pier.now, chance.random())
        assert (found.actions, found.happenings, found.status) == ((), (), status)


@settings(max_examples=100, deadline=None)
@given(STEPS, st.randoms(use_true_random=False))
def test_a_change_of_spec_never_stops_the_last_one_that_serves(
    steps: list[str], chance: random.Random
) -> None:
    pier = Pier(replicas=2)
    pier.rest()
    harmless = [step for step in steps if step in ("change", "back", "deny", "allow", "wait")]
    for step in harmless:
        play(pier, [step], chance)
        pier.rest()
        serving = [row for row in pier.rows().values() if row.state == "Ready"]
        assert len(serving) >= 2
