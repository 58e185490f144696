"""`moor delete`."""

from typing import Any

import pytest
from support.surface import Served, secret, server

from mooring.kinds.base import FINALIZER
from mooring.kinds.ref import Ref

Moor = Any
TIME = Ref("MCPServer", "default", "time")
MANIFEST = """\
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {name: time}
spec: {source: {pypi: mcp-server-time}}
---
apiVersion: v1
kind: Secret
metadata: {name: creds}
"""


def finalized(api: Served) -> None:
    held = server("time")
    meta = held.metadata.model_copy(update={"finalizers": (FINALIZER,)})
    api.put(held.model_copy(update={"metadata": meta}))


def free(api: Served) -> None:
    held = api.get(TIME)
    meta = held.metadata.model_copy(update={"finalizers": ()})
    api.put(held.model_copy(update={"metadata": meta}))


def test_what_goes_at_once_is_deleted(api: Served, moor: Moor) -> None:
    api.put(server("time"))
    api.put(secret(token="x"))
    assert moor("delete", "server", "time").out == "server/time deleted\n"
    assert moor("delete", "secret/creds").out == "secret/creds deleted\n"
    assert api.get(TIME) is None


def test_what_still_has_instances_says_so(api: Served, moor: Moor) -> None:
    finalized(api)
    said = moor("delete", "server", "time")
    assert (said.code, said.out) == (0, "server/time deleted, its instances drain\n")
    assert api.get(TIME).metadata.deletion_timestamp is not None


def test_the_end_can_be_waited_for(api: Served, begin: Any) -> None:
    finalized(api)
    running = begin("delete", "server", "time", "--wait")
    assert running.line() == "server/time deleted, its instances drain"
    free(api)
    assert running.finish() == 0
    assert api.get(TIME) is None


def test_waiting_has_an_end_too(api: Served, moor: Moor) -> None:
    finalized(api)
    said = moor("delete", "server", "time", "--wait", "--timeout", "50ms")
    assert said.code == 4
    assert "server/time is not gone after 0.05 s" in said.err


def test_what_is_missing_is_an_error_unless_that_is_fine(api: Served, moor: Moor) -> None:
    api.put(server("time"))
    said = moor("delete", "servers", "nobody", "time")
    assert (said.code, said.out) == (3, "server/time deleted\n")
    assert said.err == "Error: server/nobody does not exist\n"
    assert moor("delete", "server", "nobody", "--ignore-not-found").code == 0


def test_what_a_file_declares_is_deleted(api: Served, moor: Moor) -> None:
    finalized(api)
    said = moor("delete", "-f", "-", text=MANIFEST)
    assert said.code == 0
    assert said.out == "server/time deleted, its instances drain\n"
    assert said.err == "secret/creds was not there\n"


@pytest.mark.parametrize(
    "arguments", [[], ["server"], ["server", "time", "-f", "x"], ["server", "x", "--timeout", "y"]]
)
def test_wrong_usage_deletes_nothing(api: Served, moor: Moor, arguments: list[str]) -> None:
    api.put(server("time"))
    assert moor("delete", *arguments).code == 2
    assert api.get(TIME) is not None
