"""What passes, what is changed, what is declined, what is kept back."""

import json
from typing import Any

import pytest

from mooring.core.identity import ANONYMOUS
from mooring.kinds.ref import Ref
from mooring.sessions.open_sessions import Session
from mooring.sessions.seal import SealedSession
from mooring.transports.sse import EventSplitter, SseEvent
from mooring.virtual.hearing import Hearing
from mooring.virtual.promises import promised
from mooring.virtual.states import SEEN, ClientState, Half

REF = Ref("VirtualMCPServer", "default", "all")


class Behalf:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.declined: list[tuple[bytes, str]] = []
        self.changes = 0

    def decline(self, state: ClientState, half: Half, id: bytes, method: str) -> None:
        self.declined.append((id, method))

    def changed(self, state: ClientState, half: Half) -> None:
        self.changes += 1


def hearing(**capabilities: Any) -> tuple[Hearing, Behalf, ClientState]:
    sealed = SealedSession(REF, "virtual", b"", "2025-11-25", ANONYMOUS, 0)
    state = ClientState(REF, Session("id", sealed, 1e9, 0), promised(capabilities, None))
    behalf = Behalf()
    half = state.half("notes")
    return Hearing(behalf, state, half, "7f", ("elicitation", "roots")), behalf, state


def event(**told: Any) -> SseEvent:
    text = json.dumps({"jsonrpc": "2.0", **told}).encode()
    (found,) = EventSplitter().feed(b"id: e1\nevent: message\ndata: %b\n\n" % text)
    return found


@pytest.mark.parametrize(
    "told",
    [
        {"id": 1, "result": {"content": []}},
        {"id": 1, "error": {"code": -1, "message": "no"}},
        {"method": "notifications/message", "params": {"level": "info", "data": "x"}},
        {"method": "notifications/progress", "params": {"progressToken": 1, "progress": 2}},
        {"method": "notifications/resources/updated", "params": {"uri": "x://1"}},
        {"method": "notifications/elicitation/complete", "params": {"elicitationId": "1"}},
    ],
)
def test_most_passes_as_the_bytes_that_came(told: dict[str, Any]) -> None:
    ear, behalf, _ = hearing()
    heard = event(**told)
    assert ear.event(heard) is heard.raw
    assert (behalf.declined, behalf.changes) == ([], 0)


def test_an_event_without_a_message_passes() -> None:
    ear, _, _ = hearing()
    (priming,) = EventSplitter().feed(b"id: e0\ndata: \n\n")
    assert ear.event(priming) is priming.raw


@pytest.mark.parametrize("kind", ["tools", "prompts", "resources"])
def test_a_change_of_lists_is_looked_into(kind: str) -> None:
    ear, behalf, _ = hearing()
    assert ear.event(event(method=f"notifications/{kind}/list_changed")) == b""
    assert behalf.changes == 1


def test_a_question_keeps_its_event_id_and_gets_another_one_of_its_own() -> None:
    ear, behalf, _ = hearing(elicitation={})
    params = {"message": "m", "_meta": {"progressToken": 5}}
    passed = ear.event(event(id=3, method="elicitation/create", params=params))
    (again,) = EventSplitter().feed(passed)
    told = json.loads(again.data)
    assert again.id == b"e1"
    assert told["id"] == "notes.7f:3"
    assert told["params"]["_meta"]["progressToken"] == "notes.7f:5"
    assert behalf.declined == []


@pytest.mark.parametrize("method", ["sampling/createMessage", "roots/list", "ping", "tasks/get"])
def test_what_the_client_is_not_asked_is_declined(method: str) -> None:
    ear, behalf, _ = hearing(sampling={}, elicitation={})
    assert ear.event(event(id="q", method=method)) == b""
    assert behalf.declined == [(b'"q"', method)]


def test_resources_that_an_answer_names_are_remembered_up_to_a_bound() -> None:
    ear, _, state = hearing()
    assert state.seen is None
    for n in range(SEEN + 5):
        ear.answer(b'{"id":1,"result":{"content":[{"uri":"x://%d"}]}}' % n)
    assert state.seen is not None
    assert len(state.seen) == SEEN
    assert state.seen[f"x://{SEEN + 4}"] == "notes"
    assert "x://0" not in state.seen
