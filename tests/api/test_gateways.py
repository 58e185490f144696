"""Where gateways report."""

import base64
from typing import Any

import msgspec
import pytest
from support.surface import Served

from mooring.core.load import Load
from mooring.core.reporting import Report

PATH = "/apis/view.mooring.dev/v1alpha1/gateways/{}/report"


def tell(api: Served, gateway: str, **report: Any) -> Report:
    answer = api.ask("POST", PATH.format(gateway), report)
    assert answer.status == 200, answer
    return msgspec.convert(answer.document, Report)


def test_each_gateway_hears_what_the_others_told(api: Served) -> None:
    tell(api, "2")
    tell(api, "1", loads={"u1": [3, 1]}, used=["AAAA"], ended=["BBBB"])
    heard = tell(api, "2", loads={"u1": [1, 0]})
    ended = base64.b64decode("BBBB")
    assert heard == Report(loads={"u1": (3, 1)}, used=(base64.b64decode("AAAA"),), ended=(ended,))
    assert tell(api, "1") == Report(loads={"u1": (1, 0)})


def test_the_daemon_knows_the_sum(api: Served) -> None:
    tell(api, "1", loads={"u1": [3, 1]})
    tell(api, "2", loads={"u1": [1, 0], "u2": [1, 1]})
    assert api.reports.loads(0.0) == {"u1": Load(4, 1), "u2": Load(1, 1)}


def test_what_a_newer_gateway_adds_is_no_mistake(api: Served) -> None:
    assert tell(api, "1", loads={"u1": [1, 0]}, novelties=["n"]) == Report()
    assert tell(api, "2") == Report(loads={"u1": (1, 0)})


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"loads": {"u": [-1, 0]}}', b'{"loads": {"u": "x"}}']
)
def test_nonsense_is_refused(api: Served, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = api.ask("POST", PATH.format("1"), body, headers)
    assert (answer.status, answer.document["reason"]) == (400, "BadRequest")
    answer = api.ask("POST", PATH.format("1"), body, {"content-type": "text/plain"})
    assert answer.status == 415
