"""What daemon and keeper say to each other goes on being understood by the previous one.

Fields may be added, with defaults; those below are what a keeper of protocol 1 sends and wants.
Whoever has to change this list raises `PROTOCOL`.
"""

from typing import Any

import msgspec
import pytest
from msgspec import NODEFAULT
from msgspec.structs import fields

from mooring.core import keeping

WANTED = {
    keeping.SlotSpec: {"uid", "instance", "server", "checksum", "argv", "env"},
    keeping.SlotState: {"uid", "instance", "server", "checksum", "state"},
    keeping.KeeperState: {"protocol", "version", "pid", "rung", "started_at"},
    keeping.Changes: {"sequence", "slots"},
    keeping.ListenerSpec: {"name", "host", "port"},
    keeping.ListenerState: {"name", "host", "port"},
    keeping.Exit: set(),
    keeping.Ending: set(),
    keeping.Refusal: {"reason", "message"},
}


@pytest.mark.parametrize("document", WANTED, ids=lambda document: document.__name__)
def test_nothing_is_wanted_that_an_older_one_does_not_send(document: Any) -> None:
    wanted = {
        each.name
        for each in fields(document)
        if each.default is NODEFAULT and each.default_factory is NODEFAULT
    }
    assert (wanted, keeping.PROTOCOL) == (WANTED[document], 1)


@pytest.mark.parametrize("document", WANTED, ids=lambda document: document.__name__)
def test_what_a_newer_one_adds_is_passed_over(document: Any) -> None:
    sent: dict[str, Any] = {"something": "new"}
    for name in WANTED[document]:
        sent[name] = EXAMPLES.get(name, "text")
    assert isinstance(msgspec.convert(sent, document), document)


EXAMPLES: dict[str, Any] = {
    "argv": ["run"], "env": {}, "state": "running", "protocol": 1, "pid": 7,
    "rung": "cgroup", "started_at": 1.5, "sequence": 3, "slots": [], "port": 80,
}  # fmt: skip
