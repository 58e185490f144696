"""Counting by closed sets of labels."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.gateway.metrics import BOUNDS, METHODS, Metrics, method_class


class Call:
    """As much of a call as is counted."""

    def __init__(self, method: str, type: str = "request", verb: str = "POST") -> None:
        self.request: Any = self
        self.method = verb
        self.message: Any = None if verb != "POST" else type_of(type, method)
        self.era = "session"
        self.outcome = "answered"


def type_of(type: str, method: str) -> Any:
    class Message:
        pass

    message: Any = Message()
    message.type, message.method = type, method
    return message


@given(st.text(), st.sampled_from(["request", "notification", "response"]))
def test_whatever_clients_send_there_are_no_more_series(method: str, type: str) -> None:
    call: Any = Call(method, type)
    assert method_class(call) in METHODS | {"other", "notification", "response"}


@given(st.text())
def test_nor_of_other_verbs(verb: str) -> None:
    call: Any = Call("", verb=verb if verb != "POST" else "GET")
    assert method_class(call) in ("GET", "DELETE", "POST", "other")


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.0011, 59.9, 61.0])
def test_a_duration_is_in_every_bucket_above_it(seconds: float) -> None:
    metrics = Metrics({"mooring_things": ("Things.", lambda: 7)})
    call: Any = Call("tools/call")
    metrics.count(call, seconds)
    page = metrics.page().decode()
    for bound in BOUNDS:
        line = f'mooring_request_seconds_bucket{{era="session",le="{bound}"}} '
        assert f"{line}{1.0 if seconds <= bound else 0.0}" in page
    assert 'mooring_request_seconds_bucket{era="session",le="+Inf"} 1.0' in page
    assert "mooring_things 7.0" in page


def test_a_stream_has_no_duration() -> None:
    metrics = Metrics({})
    call: Any = Call("", verb="GET")
    metrics.count(call, 3600)
    assert "mooring_request_seconds_count" not in metrics.page().decode()


def test_one_of_several_gateways_labels_all_that_it_counts() -> None:
    metrics = Metrics({"mooring_things": ("Things.", lambda: 7)}, worker="2")
    call: Any = Call("tools/call")
    metrics.count(call, 0.1)
    lines = [line for line in metrics.page().decode().splitlines() if not line.startswith("#")]
    assert 'mooring_things{worker="2"} 7.0' in lines
    assert all('worker="2"' in line for line in lines if "_created" not in line)
