"""`moor rollout`: how a change goes, what there was before, and the way back."""

import json
from typing import Any

from support.surface import Served, server

from mooring.kinds.ref import Ref
from mooring.kinds.server import MCPServer

Moor = Any
AT = "2026-01-01T00:00:00Z"


def revision(number: int, cause: str = "", **spec: Any) -> dict[str, Any]:
    wish = {"source": {"pypi": "mcp-server-time"}, **spec}
    return {"number": number, "since": AT, "cause": cause, "spec": wish}


def claim(status: str, reason: str, message: str) -> dict[str, Any]:
    return {"type": "Progressing", "status": status, "reason": reason, "message": message,
            "observed_generation": 1, "last_transition_time": AT}  # fmt: skip


def going(state: str, message: str = "revision 2: 0 of 1 updated") -> dict[str, Any]:
    """A status of the present spec whose rollout is in that state."""
    holds = "False" if state == "Stalled" else "True"
    rollout = {"state": state, "checksum": "c", "beganAt": AT, "steppedAt": AT}
    return {
        "rollout": rollout,
        "conditions": (claim(holds, state, message),),
        "observed_generation": 1,
    }


def known(api: Served, *revisions: dict[str, Any], **more: Any) -> None:
    declared = api.put(server("time", **revisions[-1]["spec"], replicas=3))
    api.report(declared, revisions=revisions, observed_generation=1, **more)


def stored(api: Served) -> MCPServer:
    found = api.get(Ref("MCPServer", "default", "time"))
    assert isinstance(found, MCPServer)
    return found


def test_a_rollout_that_is_complete_is_told_at_once(api: Served, moor: Moor) -> None:
    api.report(api.put(server("time")), **going("Complete", "revision 2 is rolled out"))
    for words in (("time",), ("server/time",), ("server", "time")):
        said = moor("rollout", "status", *words)
        assert (said.code, said.out) == (
            0,
            "server/time rolled out (revision 2 is rolled out)\n",
        )


def test_a_rollout_is_waited_for(api: Served, begin: Any) -> None:
    time = api.put(server("time"))
    running = begin("rollout", "status", "time", "--timeout", "10s")
    api.report(time, **going("Progressing"))
    api.report(time, **going("Complete", "done"))
    assert running.line() == "server/time rolled out (done)"
    assert running.finish() == 0


def test_a_rollout_that_stalls_ends_the_wait_with_the_way_back(api: Served, moor: Moor) -> None:
    api.report(api.put(server("time")), **going("Stalled", "no step; exit 1"))
    said = moor("rollout", "status", "time")
    assert (said.code, said.out) == (4, "")
    assert said.err == (
        "Error: server/time: no step; exit 1. To see why: moor describe server/time. "
        "To go back: moor rollout undo server/time\n"
    )


def test_a_wait_for_a_rollout_has_a_deadline(api: Served, moor: Moor) -> None:
    api.report(api.put(server("time")), **going("Progressing"))
    said = moor("rollout", "status", "time", "--timeout", "50ms")
    assert said.code == 4
    assert "is not rolled out in time: revision 2: 0 of 1 updated" in said.err
    assert moor("rollout", "status", "time", "--timeout", "soon").code == 2


def test_a_restart_that_nobody_saw_yet_is_not_complete(api: Served, moor: Moor) -> None:
    api.report(api.put(server("time")), **going("Complete", "done"))
    assert moor("rollout", "restart", "time").out == "server/time restarted\n"
    assert moor("rollout", "status", "time", "--timeout", "50ms").code == 4
    asked = stored(api).metadata.annotations["mooring.dev/restartedAt"]
    api.report(stored(api), **going("Complete", "done"), restarted_at=asked)
    assert moor("rollout", "status", "time").code == 0


def test_a_server_that_is_not_there_is_no_rollout(api: Served, moor: Moor) -> None:
    for verb in ("status", "history", "undo", "restart"):
        assert moor("rollout", verb, "nobody").code == 3
        assert moor("rollout", verb).code == 2


def test_the_history_tells_what_each_revision_changed(api: Served, moor: Moor) -> None:
    known(api, revision(1), revision(2, "why not", args=["-v"], eras="session"))
    said = moor("rollout", "history", "server/time")
    assert said.code == 0
    heads, *rows = [line.split("   ") for line in said.lines]
    assert [head.strip() for head in heads if head.strip()] == [
        "REVISION", "AGE", "CHANGED", "CAUSE",
    ]  # fmt: skip
    assert rows[0][0].strip() == "1"
    assert said.lines[2].endswith("args, eras   why not")


def test_one_revision_is_shown_as_it_was_wanted(api: Served, moor: Moor) -> None:
    known(api, revision(1), revision(2, args=["-v"]))
    assert moor("rollout", "history", "time", "--revision", "1").out == (
        "source:\n  pypi: mcp-server-time\n"
    )
    said = moor("rollout", "history", "time", "--revision", "9")
    assert (said.code, "it has 1, 2" in said.err) == (3, True)
    listed = json.loads(moor("rollout", "history", "time", "-o", "json").out)
    assert [each["number"] for each in listed] == [1, 2]


def test_a_server_that_nobody_looked_at_has_no_history(api: Served, moor: Moor) -> None:
    api.put(server("time"))
    said = moor("rollout", "history", "time")
    assert (said.code, said.out) == (0, "")
    assert "No revisions of server/time" in said.err
    assert moor("rollout", "undo", "time").code == 1


def test_undo_declares_the_revision_before(api: Served, moor: Moor) -> None:
    known(api, revision(4, args=["-a"]), revision(5, args=["-b"]))
    said = moor("rollout", "undo", "time")
    assert (said.code, said.out) == (0, "server/time rolled back to revision 4\n")
    spec = stored(api).spec
    assert (spec.args, spec.replicas, stored(api).metadata.generation) == (("-a",), 3, 2)


def test_undo_takes_away_what_was_not_there(api: Served, moor: Moor) -> None:
    env = [{"name": "A", "value": "1"}]
    known(api, revision(1), revision(2, env=env, args=["-v"]))
    assert moor("rollout", "undo", "time", "--to-revision", "1").code == 0
    assert (stored(api).spec.env, stored(api).spec.args) == ((), ())


def test_undo_to_the_present_changes_nothing(api: Served, moor: Moor) -> None:
    known(api, revision(1), revision(2, args=["-v"]))
    said = moor("rollout", "undo", "time", "--to-revision", "2")
    assert (said.code, said.out) == (0, "server/time unchanged (it is at revision 2)\n")
    assert stored(api).metadata.generation == 1
    assert moor("rollout", "undo", "time", "--to-revision", "7").code == 3


def test_undo_of_a_change_that_nobody_saw_yet_goes_to_the_last_revision(
    api: Served, moor: Moor
) -> None:
    known(api, revision(1, args=["-a"]), revision(2, args=["-b"]))
    patch = stored(api).model_copy(
        update={"spec": stored(api).spec.model_copy(update={"args": ("-c",)})}
    )
    api.put(patch)
    assert moor("rollout", "undo", "time").out == "server/time rolled back to revision 2\n"
    assert stored(api).spec.args == ("-b",)


def test_several_servers_are_restarted_in_one_go(api: Served, moor: Moor) -> None:
    api.put(server("time"))
    api.put(server("notes"))
    said = moor("rollout", "restart", "server", "time", "notes")
    assert said.lines == ["server/time restarted", "server/notes restarted"]
    first = stored(api).metadata.annotations["mooring.dev/restartedAt"]
    moor("rollout", "restart", "time")
    assert stored(api).metadata.annotations["mooring.dev/restartedAt"] > first
    assert stored(api).metadata.generation == 1
