"""What is computed: instances, their logs, tools and calls."""

from datetime import UTC, datetime

import pytest
from support.surface import Served, row, server

from mooring.api.reach import LogQuery
from mooring.core.health import Finding, Probe
from mooring.errors import Unavailable
from mooring.kinds.ref import Ref

VIEW = "/apis/view.mooring.dev/v1alpha1/namespaces/default"
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
TIME = Ref("MCPServer", "default", "time")


@pytest.fixture
def fleet(api: Served) -> Served:
    api.report(
        api.put(server("time", replicas=2, labels={"team": "core"})),
        phase="Degraded",
        instances=(row("time-0", uid="u0"), row("time-1", "ERROR")),
    )
    api.report(api.put(server("other")), instances=(row("other-0"),))
    return api


def test_instances_are_listed_and_selected(fleet: Served) -> None:
    def names(query: str = "") -> list[str]:
        items = fleet.ask("GET", f"{VIEW}/mcpinstances?{query}").document["items"]
        return [item["metadata"]["name"] for item in items]

    assert names() == ["other-0", "time-0", "time-1"]
    assert names("labelSelector=mooring.dev/server%3Dtime") == ["time-0", "time-1"]
    assert names("labelSelector=team%3Dcore") == ["time-0", "time-1"]
    assert names("fieldSelector=spec.server%3Dother") == ["other-0"]
    everywhere = fleet.ask("GET", "/apis/view.mooring.dev/v1alpha1/mcpinstances")
    assert len(everywhere.document["items"]) == 3
    rows = fleet.ask("GET", f"{VIEW}/mcpinstances", headers=TABLE).document["rows"]
    assert rows[1]["cells"][:4] == ["time-0", "time", "Ready", "healthy"]


def test_one_instance_is_read(fleet: Served) -> None:
    found = fleet.ask("GET", f"{VIEW}/mcpinstances/time-0").document
    assert found["metadata"]["uid"] == "u0"
    assert found["status"]["state"] == "Ready"
    missing = fleet.ask("GET", f"{VIEW}/mcpinstances/time-7")
    assert missing.status == 404
    assert missing.document["message"] == "instance/time-7 does not exist"


def test_a_log_is_plain_text(fleet: Served) -> None:
    fleet.script.lines["time-0"] = [b"one\n", b"two\n", b"three\n"]
    answer = fleet.ask("GET", f"{VIEW}/mcpinstances/time-0/log?tail=2&since=5&previous=true")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.body == b"two\nthree\n"
    assert fleet.script.queries == [("time-0", LogQuery(2, 5.0, previous=True))]


def test_an_empty_log_is_an_empty_answer(fleet: Served) -> None:
    fleet.script.lines["time-0"] = []
    answer = fleet.ask("GET", f"{VIEW}/mcpinstances/time-0/log")
    assert (answer.status, answer.body) == (200, b"")


def test_a_log_is_followed_until_the_api_ends(fleet: Served) -> None:
    fleet.script.lines["time-0"] = [b"one\n"]
    with fleet.connection() as connection:
        connection.request("GET", f"{VIEW}/mcpinstances/time-0/log?follow=true")
        response = connection.getresponse()
        assert response.readline() == b"one\n"
        fleet.stop()
        assert response.read() == b""


@pytest.mark.parametrize("name", ["time-0", "nobody-0", "nobody"])
def test_a_log_that_is_not_there_is_not_found(fleet: Served, name: str) -> None:
    answer = fleet.ask("GET", f"{VIEW}/mcpinstances/{name}/log")
    assert answer.status == 404
    assert name in answer.document["message"]


def test_the_log_of_a_former_instance_is_read_through_its_server(fleet: Served) -> None:
    fleet.script.lines["time-7"] = [b"last words\n"]
    assert fleet.ask("GET", f"{VIEW}/mcpinstances/time-7/log").body == b"last words\n"


PROBED = Probe(
    datetime(2026, 1, 1, tzinfo=UTC), 0.015, Finding("failed", "no token"), "degraded", "whoami"
)


def test_an_instance_is_probed_now(fleet: Served) -> None:
    fleet.script.probes["time-0"] = PROBED
    found = fleet.ask("POST", f"{VIEW}/mcpinstances/time-0/probe").document
    assert found == {
        "kind": "InstanceProbe",
        "apiVersion": "view.mooring.dev/v1alpha1",
        "metadata": {"name": "time-0", "namespace": "default"},
        "at": "2026-01-01T00:00:00Z",
        "seconds": 0.015,
        "tool": "whoami",
        "outcome": "failed",
        "message": "no token",
        "health": "degraded",
    }
    assert fleet.ask("POST", f"{VIEW}/mcpinstances/time-7/probe").status == 404
    assert fleet.ask("GET", f"{VIEW}/mcpinstances/time-0/probe").status == 405


def test_one_that_does_not_run_says_how_far_it_has_come(fleet: Served) -> None:
    refused = fleet.ask("POST", f"{VIEW}/mcpinstances/time-1/probe")
    assert refused.status == 409
    assert refused.document["message"] == "instance/time-1 is not running (ERROR)"
    assert refused.document["reason"] == "NotRunning"


def test_the_last_probe_is_shown_with_its_instance(fleet: Served) -> None:
    fleet.script.probed["u0"] = PROBED
    found = fleet.ask("GET", f"{VIEW}/mcpinstances/time-0").document
    assert found["status"]["lastProbe"]["message"] == "no token"
    other = fleet.ask("GET", f"{VIEW}/mcpinstances/time-1").document
    assert "lastProbe" not in other["status"]


def test_tools_are_what_the_server_says(fleet: Served) -> None:
    fleet.script.tools_of["time"] = [{"name": "now", "inputSchema": {"type": "object"}}]
    found = fleet.ask("GET", f"{VIEW}/mcpservers/time/tools").document
    assert found["items"] == [{"name": "now", "inputSchema": {"type": "object"}}]
    assert fleet.ask("GET", f"{VIEW}/mcpservers/nobody/tools").status == 404


def test_a_call_answers_the_tools_own_result(fleet: Served) -> None:
    result = {"content": [{"type": "text", "text": "12:00"}], "isError": False}
    fleet.script.results["now"] = result
    body = {"tool": "now", "arguments": {"timezone": "UTC"}}
    assert fleet.ask("POST", f"{VIEW}/mcpservers/time/call", body).document == result
    assert fleet.script.calls == [(TIME, "now", {"timezone": "UTC"})]


@pytest.mark.parametrize("body", [{}, {"tool": 3}, {"tool": "now", "arguments": []}])
def test_a_call_that_makes_no_sense_is_refused(fleet: Served, body: dict[str, object]) -> None:
    answer = fleet.ask("POST", f"{VIEW}/mcpservers/time/call", body)
    assert (answer.status, answer.document["reason"]) == (400, "BadRequest")


def test_an_error_of_the_server_keeps_its_words(
    fleet: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = fleet.ask("POST", f"{VIEW}/mcpservers/time/call", {"tool": "nope"})
    assert (answer.status, answer.document["message"]) == (400, "Unknown tool: nope")

    async def away(ref: Ref) -> None:
        raise Unavailable("UpstreamTimeout", f"{ref} did not answer within 30 s")

    monkeypatch.setattr(fleet.script, "tools", away)
    late = fleet.ask("GET", f"{VIEW}/mcpservers/time/tools")
    assert (late.status, late.document["reason"]) == (504, "Timeout")
    assert late.document["details"]["causes"][0]["reason"] == "UpstreamTimeout"
