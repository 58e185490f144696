"""Whatever goes wrong is told in the shape that clients of Kubernetes read."""

import logging

import pytest
from support.surface import Served, server

from mooring.core.ports import Listing

SERVERS = "/apis/mooring.dev/v1alpha1/namespaces/default/mcpservers"


@pytest.mark.parametrize("path", ["/nope", f"{SERVERS}/time/scale", SERVERS + "/", "/api/v1/pods"])
def test_an_unknown_path_is_not_found(api: Served, path: str) -> None:
    answer = api.ask("GET", path)
    assert answer.status == 404
    assert answer.document["kind"] == "Status"
    assert answer.document["reason"] == "NotFound"
    assert path in answer.document["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/apis/mooring.dev/v1alpha1/mcpservers"),
        ("POST", "/api/v1/namespaces"),
        ("POST", "/apis/mooring.dev/v1alpha1/mcpservers"),
        ("DELETE", f"{SERVERS}/time/status"),
        ("POST", "/api/v1/namespaces/default/events"),
        ("DELETE", "/api/v1/namespaces/default/events/x"),
        ("DELETE", "/apis/view.mooring.dev/v1alpha1/namespaces/default/mcpinstances/x"),
    ],
)
def test_a_method_that_is_not_for_a_path_is_refused(api: Served, method: str, path: str) -> None:
    answer = api.ask(method, path, {} if method in ("POST", "PUT") else None)
    assert answer.status == 405
    assert answer.document["reason"] == "MethodNotAllowed"
    assert "GET" in answer.headers["allow"]


def test_who_asks_about_one_object_is_told_which(api: Served) -> None:
    details = api.ask("GET", f"{SERVERS}/none").document["details"]
    assert details == {"name": "none", "group": "mooring.dev", "kind": "MCPServer"}
    merge = {"content-type": "application/merge-patch+json"}
    api.put(server())
    details = api.ask("PATCH", f"{SERVERS}/time", {"spec": {"x": 1}}, merge).document["details"]
    assert (details["name"], details["causes"][0]["field"]) == ("time", "spec.x")
    details = api.ask("GET", "/api/v1/namespaces/team-a/secrets/none").document["details"]
    assert details == {"name": "none", "group": "", "kind": "Secret"}
    assert "details" not in api.ask("GET", "/apis/none").document


def test_a_missing_object_is_named(api: Served) -> None:
    answer = api.ask("GET", f"{SERVERS}/nobody")
    assert answer.status == 404
    assert answer.document == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "server/nobody does not exist",
        "reason": "NotFound",
        "code": 404,
        "details": {"name": "nobody", "group": "mooring.dev", "kind": "MCPServer"},
    }


def test_a_mistake_of_ours_is_owned_and_logged(
    api: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(kind: str, namespace: str | None = None) -> Listing:
        raise RuntimeError("do not tell")

    monkeypatch.setattr(api.store, "list", broken)
    with caplog.at_level(logging.ERROR):
        answer = api.ask("GET", SERVERS)
    assert answer.status == 500
    assert answer.document["reason"] == "InternalError"
    assert "do not tell" not in answer.document["message"]
    assert any("api.failed" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("labelSelector=a%20b", "label selector"),
        ("fieldSelector=spec.replicas%3D1", "is not a field to select by"),
        ("watch=true&timeoutSeconds=soon", "timeoutSeconds"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(api: Served, query: str, words: str) -> None:
    answer = api.ask("GET", f"{SERVERS}?{query}")
    assert answer.status == 400
    assert words in answer.document["message"]


@pytest.mark.parametrize(
    ("body", "kind", "status", "reason"),
    [
        (b"{", "application/json", 400, "BadRequest"),
        (b"[]", "application/json", 400, "BadRequest"),
        (b'{"a": NaN}', "application/json", 400, "BadRequest"),
        (b"\xff", "application/json", 400, "BadRequest"),
        (b"[" * 100_000, "application/json", 400, "BadRequest"),
        (b"{}", "text/plain", 415, "UnsupportedMediaType"),
        (b"{}", "application/vnd.kubernetes.protobuf", 415, "UnsupportedMediaType"),
        (b"x" * (4 * 1024 * 1024 + 1), "application/json", 413, "RequestEntityTooLarge"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    api: Served, body: bytes, kind: str, status: int, reason: str
) -> None:
    answer = api.ask("POST", SERVERS, body, {"content-type": kind})
    assert (answer.status, answer.document["reason"]) == (status, reason)


def test_a_connection_serves_many_requests(api: Served) -> None:
    api.put(server())
    with api.connection() as connection:
        for _ in range(3):
            connection.request("GET", f"{SERVERS}/time")
            response = connection.getresponse()
            assert response.status == 200
            response.read()
