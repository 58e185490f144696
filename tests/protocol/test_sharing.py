"""Many clients on one server, through the whole of Mooring: each has only what is its own."""

import json
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from support.installation import ROOT, Mooring, wait_until
from support.talking import Client

pytestmark = pytest.mark.process

CLIENTS = 10
MANIFEST = f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: toy}}
spec:
  source: {{command: ["{sys.executable}", "{ROOT}/tests/servers/toy.py"]}}
---
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: notes}}
spec:
  source: {{command: ["{sys.executable}", "{ROOT}/examples/notes.py"]}}
  transport: streamable-http
  replicas: 2
"""


@pytest.fixture(scope="module")
def mooring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mooring]:
    installation = Mooring(tmp_path_factory.mktemp("sharing"))
    installation.start("serve")
    try:
        installation.wait_for_api()
        installation.apply(MANIFEST)
        for server in ("toy", "notes"):
            installation.ready(server)
        yield installation
    finally:
        installation.end()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        yield pool


def hold(client: Client, key: str) -> dict[str, object]:
    """A call that is answered once somebody releases its key; its id is always 1."""
    params = {"name": "hold", "arguments": {"key": key}}
    return client.post({"id": 1, "method": "tools/call", "params": params})[1]


def text(answer: dict[str, object]) -> str:
    return json.loads(json.dumps(answer))["result"]["content"][0]["text"]


def wait_for_held(client: Client, keys: list[str]) -> None:
    wait_until(f"{keys} to be held", lambda: json.loads(client.call("held")) == keys, 10)


def test_clients_with_the_same_ids_each_get_their_own_answer(
    mooring: Mooring, threads: ThreadPoolExecutor
) -> None:
    keys = [f"key-{number}" for number in range(CLIENTS)]
    clients = [Client(mooring.url("toy")).open() for _ in keys]
    other = Client(mooring.url("toy")).open()
    calls: dict[str, Future[dict[str, object]]] = {
        key: threads.submit(hold, client, key) for key, client in zip(keys, clients, strict=True)
    }
    wait_for_held(other, keys)
    for key in reversed(keys):
        assert other.call("release", key=key) == "True"
    answers = {key: call.result(10) for key, call in calls.items()}
    assert {key: text(answer) for key, answer in answers.items()} == {
        key: f"released {key}" for key in keys
    }
    assert {json.dumps(answer["id"]) for answer in answers.values()} == {"1"}
    assert other.call("counted") == "1"


def test_a_cancellation_reaches_the_call_that_is_meant(
    mooring: Mooring, threads: ThreadPoolExecutor
) -> None:
    mine, yours = (Client(mooring.url("toy")).open() for _ in range(2))
    other = Client(mooring.url("toy")).open()
    cancelled = threads.submit(hold, mine, "mine")
    kept = threads.submit(hold, yours, "yours")
    wait_for_held(other, ["mine", "yours"])
    note = {"method": "notifications/cancelled", "params": {"requestId": 1}}
    assert mine.post(note)[0] == 202
    wait_for_held(other, ["yours"])
    assert "error" in cancelled.result(10)
    assert not kept.done()
    assert other.call("release", key="yours") == "True"
    assert text(kept.result(10)) == "released yours"


def test_sessions_see_their_own_state_and_stay_with_their_instance(mooring: Mooring) -> None:
    clients = [Client(mooring.url("notes")).open() for _ in range(6)]
    homes = [client.call("which_instance") for client in clients]
    assert sorted(homes.count(home) for home in set(homes)) == [3, 3]
    for round_ in range(3):
        for number, client in enumerate(clients):
            assert client.call("add_note", text=f"{number}") == f"kept note {round_ + 1}"
    for number, client in enumerate(clients):
        found = client.ask("tools/call", {"name": "list_notes", "arguments": {}})
        assert found["structuredContent"]["result"] == [f"{number}"] * 3
        assert client.call("which_instance") == homes[number]
