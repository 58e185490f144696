"""One subscription made of several."""

import json
from typing import Any

import pytest

from mooring.core.subscriptions import SUBSCRIPTION, agreed, farewell, missed, together


def ack(**notifications: Any) -> bytes:
    told = {
        "jsonrpc": "2.0",
        "method": "notifications/subscriptions/acknowledged",
        "params": {"_meta": {SUBSCRIPTION: "l"}, "notifications": notifications},
    }
    return json.dumps(told).encode()


def test_instances_that_agree_are_repeated_word_for_word() -> None:
    said = ack(toolsListChanged=True)
    assert together([said, said], b'"l"') == said


def test_what_any_instance_agreed_to_is_agreed_to() -> None:
    said = together(
        [
            ack(toolsListChanged=True, resourceSubscriptions=["a", "b"]),
            ack(toolsListChanged=False, promptsListChanged=True, resourceSubscriptions=["b", "c"]),
        ],
        b'"l"',
    )
    assert agreed(said) == {
        "toolsListChanged": True,
        "promptsListChanged": True,
        "resourceSubscriptions": ["a", "b", "c"],
    }
    assert json.loads(said)["params"]["_meta"][SUBSCRIPTION] == "l"


def test_after_a_gap_all_that_was_agreed_to_may_have_changed() -> None:
    agreement = agreed(ack(toolsListChanged=True, resourceSubscriptions=["a"], other=[1]))
    told = [json.loads(note) for note in missed(agreement, b"7")]
    assert [(note["method"], note["params"].get("uri")) for note in told] == [
        ("notifications/tools/list_changed", None),
        ("notifications/resources/updated", "a"),
    ]
    assert {note["params"]["_meta"][SUBSCRIPTION] for note in told} == {7}


def test_it_ends_with_its_result() -> None:
    told = json.loads(farewell(b'"l"'))
    assert (told["id"], told["result"]["resultType"]) == ("l", "complete")
    assert told["result"]["_meta"][SUBSCRIPTION] == "l"


@pytest.mark.parametrize("text", [b"x", b"{}", b'{"params":[]}', b'{"params":{"notifications":1}}'])
def test_an_agreement_that_cannot_be_read_is_to_nothing(text: bytes) -> None:
    assert agreed(text) == {}
