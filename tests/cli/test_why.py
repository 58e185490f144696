"""`moor why`."""

from typing import Any

from support.surface import Served, row, server

from mooring.kinds.base import ObjectMeta
from mooring.kinds.event import Event, Involved

Moor = Any


def exited(name: str, message: str) -> Event:
    about = Involved(kind="MCPServer", namespace="default", name="gitea")
    meta = ObjectMeta(name=name)
    return Event(metadata=meta, involved_object=about, reason="Exited", message=message)


def test_an_instance_is_explained(api: Served, moor: Moor) -> None:
    rows = (row("gitea-0", "ERROR", reason="SecretNotFound", attemptCount=3,
                message='secret "x" does not exist. Fix: moor create secret x'),)  # fmt: skip
    api.report(api.put(server("gitea")), instances=rows)
    api.put(exited("e1", 'gitea-0: exit 1, "missing API key"'))
    api.put(exited("e2", "gitea-1: exit 9"))
    said = moor("why", "inst", "gitea-0")
    assert (said.code, said.err) == (0, "")
    assert said.lines[0] == "instance/gitea-0 is ERROR: it could not be brought up."
    assert said.lines[1] == 'Why: secret "x" does not exist (SecretNotFound)'
    assert said.lines[2] == "Attempts: 3 since it was last ready."
    assert said.lines[3].startswith('Last exit: exit 1, "missing API key" (')
    assert said.lines[-1] == "Next: moor create secret x"


def test_a_server_is_explained_by_its_instances(fleet: Served, moor: Moor) -> None:
    said = moor("why", "server/time")
    assert said.code == 0
    assert said.lines[0] == "server/time: Ready 2/2"
    assert [line.split()[0] for line in said.lines if line.startswith("instance/")] == [
        "instance/time-0",
        "instance/time-1",
    ]


def test_what_it_knows_nothing_of_is_refused(fleet: Served, moor: Moor) -> None:
    assert moor("why", "secret/x").code == 2
    assert moor("why", "inst").code == 2
    assert moor("why", "inst", "nobody-0").code == 3
