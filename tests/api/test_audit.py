"""Every write and every call leaves a line: who, what, which object, how it ended."""

import json
import logging
import os
from typing import Any

import pytest
from starlette.requests import Request
from support.surface import Served, row, secret, server

from mooring.api.audit import who
from mooring.core.identity import ANONYMOUS, Identity

SERVERS = "/apis/mooring.dev/v1alpha1/namespaces/default/mcpservers"
VIEW = "/apis/view.mooring.dev/v1alpha1"
ME = f"uid:{os.getuid()}"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    def said() -> list[str]:
        found = [r.getMessage() for r in caplog.records if r.getMessage().startswith("audit ")]
        caplog.clear()
        return found

    with caplog.at_level(logging.INFO, "mooring"):
        yield said


def test_every_write_is_told(api: Served, lines: Any) -> None:
    document = server().document()
    merge = {"content-type": "application/merge-patch+json"}
    api.ask("POST", SERVERS, document)
    api.ask("POST", SERVERS, document)
    api.ask("PUT", f"{SERVERS}/time", document)
    api.ask("PATCH", f"{SERVERS}/time", b'{"spec": {"replicas": 2}}', merge)
    api.ask("POST", f"{VIEW}/manifests", json.dumps(document).encode())
    api.ask("DELETE", f"{SERVERS}/time")
    api.ask("DELETE", f"{SERVERS}/time")
    api.ask("DELETE", f"{VIEW}/manifests", json.dumps(document).encode())
    assert lines() == [
        f"audit who={ME} verb=create object=server/time outcome=ok",
        f"audit who={ME} verb=create object=server/time outcome=AlreadyExists",
        f"audit who={ME} verb=update object=server/time outcome=ok",
        f"audit who={ME} verb=patch object=server/time outcome=ok",
        f"audit who={ME} verb=apply object=server/time outcome=ok",
        f"audit who={ME} verb=delete object=server/time outcome=ok",
        f"audit who={ME} verb=delete object=server/time outcome=NotFound",
        f"audit who={ME} verb=delete object=server/time outcome=NotFound",
    ]


def test_a_call_is_told_without_its_arguments(api: Served, lines: Any) -> None:
    api.put(server())
    api.script.results["login"] = {"content": []}
    body = {"tool": "login", "arguments": {"password": "s3cret"}}
    api.ask("POST", f"{VIEW}/namespaces/default/mcpservers/time/call", body)
    assert lines() == [f'audit who={ME} verb=call object="server/time login" outcome=ok']


def test_a_probe_is_told(api: Served, lines: Any) -> None:
    api.report(api.put(server()), instances=(row("time-0", "Starting"),))
    api.ask("POST", f"{VIEW}/namespaces/default/mcpinstances/time-0/probe")
    assert lines() == [f"audit who={ME} verb=probe object=instance/time-0 outcome=NotRunning"]


def test_values_of_secrets_are_never_logged(
    api: Served, caplog: pytest.LogCaptureFixture, lines: Any
) -> None:
    document = secret(token="s3cret").document()
    with caplog.at_level(logging.DEBUG):
        api.ask("POST", "/api/v1/namespaces/default/secrets", document)
        assert len(caplog.records) >= 1
        assert document["data"]["token"] not in caplog.text
    assert lines()


def test_what_is_refused_before_it_is_tried_is_told_by_its_path(api: Served, lines: Any) -> None:
    api.ask("POST", SERVERS, b'{"secret": ')
    api.ask("PATCH", f"{SERVERS}/time", b"{}", {"content-type": "text/plain"})
    api.ask("POST", f"{VIEW}/manifests", b"kind: Nothing")
    api.ask("POST", f"{VIEW}/namespaces/default/mcpservers/ghost/call", {"tool": "t"})
    api.ask("POST", f"{SERVERS}?dryRun=All", b'{"secret": ')
    api.ask("GET", f"{SERVERS}/ghost")
    assert lines() == [
        f"audit who={ME} verb=post object={SERVERS} outcome=BadRequest",
        f"audit who={ME} verb=patch object={SERVERS}/time outcome=UnsupportedMediaType",
        f"audit who={ME} verb=post object={VIEW}/manifests outcome=Invalid",
        f"audit who={ME} verb=post object={VIEW}/namespaces/default/mcpservers/ghost/call "
        "outcome=NotFound",
    ]


def test_looking_and_dry_runs_leave_no_line(api: Served, lines: Any) -> None:
    api.ask("GET", SERVERS)
    api.ask("POST", f"{SERVERS}?dryRun=All", server().document())
    assert lines() == []


def test_who_it_was_is_what_the_kernel_says() -> None:
    def request(**state: Any) -> Request:
        return Request({"type": "http", "headers": [], "state": state})

    assert who(request(peer_uid=1000)) == Identity("unix", "uid:1000")
    assert who(request()) == ANONYMOUS


def test_who_came_with_a_token_is_told_by_it() -> None:
    named = Identity("token", "token:0123abcd")
    assert who(Request({"type": "http", "headers": [], "state": {"caller": named}})) == named
