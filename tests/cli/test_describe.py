"""`moor describe`: everything about one object."""

import re
from datetime import timedelta
from typing import Any

from support.surface import Served, made, row, secret, server

from mooring.clock import SystemClock
from mooring.core.health import Finding, Probe

Moor = Any


def happened(name: str, reason: str, about: str = "time", kind: str = "MCPServer") -> Any:
    return made(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name},
            "involvedObject": {"kind": kind, "name": about},
            "reason": reason,
            "message": f"{reason} it is",
            "lastTimestamp": "2026-01-01T00:00:00Z",
        }
    )


def without_ages(text: str) -> str:
    return re.sub(r"\S+Z \(\w+ ago\)", "WHEN", text)


def test_everything_about_a_server(api: Served, moor: Moor) -> None:
    env = [
        {"name": "PLAIN", "value": "x"},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "creds", "key": "token"}}},
        {"name": "HOME2", "valueFrom": {"env": "HOME"}},
        {
            "name": "PEM",
            "valueFrom": {"secretKeyRef": {"name": "tls", "key": "key", "store": "directory"}},
        },
    ]
    held = server("time", replicas=2, args=["--tz", "UTC"], env=env, labels={"team": "core"})
    condition = {
        "type": "Ready", "status": "False", "reason": "NoInstancesReady", "message": "m",
        "last_transition_time": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    api.report(
        api.put(held),
        phase="Degraded",
        message="Ready 1/2, 1 instance ERROR",
        url="http://127.0.0.1:8470/servers/time/mcp",
        conditions=(condition,),
        instances=(
            row("time-0", since="2026-01-01T00:00:00Z"),
            row("time-1", "ERROR", message="exit 1", restarts=3),
        ),
    )
    api.script.lines["time-0"] = [b"listening\n", b"\x1b[31mred\tline\n"]
    api.put(happened("e1", "Started"))
    api.put(happened("e2", "Elsewhere", about="other"))
    said = moor("describe", "server", "time")
    assert said.code == 0
    assert without_ages(said.out) == (
        "Name:       time\n"
        "Namespace:  default\n"
        "Labels:     team=core\n"
        "Created:    WHEN\n"
        "Status:     Degraded\n"
        "Message:    Ready 1/2, 1 instance ERROR\n"
        "URL:        http://127.0.0.1:8470/servers/time/mcp\n"
        "Source:     pypi: mcp-server-time\n"
        "Args:       --tz UTC\n"
        "Replicas:   2\n"
        "Transport:  stdio\n"
        "Isolation:  shared\n"
        "Eras:       auto\n"
        "Path:       /mcp\n"
        "Probes:     tools/list every 30 s, for 10 s; unhealthy after 3 failures in a row\n"
        "Env:        PLAIN=x\n"
        "Env:        KEY (from key token of secret creds)\n"
        "Env:        HOME2 (from variable HOME of Mooring)\n"
        "Env:        PEM (from key key of secret tls in the store directory)\n"
        "Conditions:\n"
        "  TYPE    STATUS   REASON             SINCE                             MESSAGE\n"
        "  Ready   False    NoInstancesReady   WHEN   m\n"
        "Instances:\n"
        "  NAME     STATE   HEALTH    RESTARTS   SINCE                             MESSAGE\n"
        "  time-0   Ready   healthy   0          WHEN\n"
        "  time-1   ERROR   unknown   3          <none>                            exit 1\n"
        "Last log lines:\n"
        "  time-0 | listening\n"
        "  time-0 | \\x1b[31mred\tline\n"
        "  time-1 | (time-1 has written nothing yet)\n"
        "Events:\n"
        "  LAST SEEN                         TYPE     REASON    COUNT   MESSAGE\n"
        "  WHEN   Normal   Started   1       Started it is\n"
    )


def test_how_far_a_rollout_is(api: Served, moor: Moor) -> None:
    at = "2026-01-01T00:00:00Z"
    rollout = {"state": "Stalled", "checksum": "c", "beganAt": at, "steppedAt": at}
    revisions = ({"number": 4, "spec": {}, "since": at},)
    api.report(api.put(server("time")), rollout=rollout, revisions=revisions)
    lines = without_ages(moor("describe", "server", "time").out).splitlines()
    assert "Rollout:    revision 4, Stalled, WHEN" in lines


def test_a_server_that_nobody_looked_at(api: Served, moor: Moor) -> None:
    api.put(server("time"))
    said = moor("describe", "server/time")
    assert "Status:     Pending" in said.out
    assert said.out.endswith(
        "Conditions: <none>\nInstances: <none>\nLast log lines:\n  <none>\nEvents: <none>\n"
    )


def test_an_instance_with_its_servers_events(fleet: Served, moor: Moor) -> None:
    fleet.put(happened("e1", "Exited", about="gitea"))
    fleet.script.lines["gitea-0"] = [b"missing API key\n"]
    said = moor("describe", "inst", "gitea-0")
    assert re.search(r"Server: +gitea", said.out)
    assert re.search(r"State: +ERROR", said.out)
    assert "  gitea-0 | missing API key" in said.out
    assert "Exited it is" in said.out


def test_an_instance_without_what_happened_to_its_siblings(fleet: Served, moor: Moor) -> None:
    for number in range(2):
        event = happened(f"e{number}", "Exited", about="gitea")
        fleet.put(event.model_copy(update={"message": f"gitea-{number}: exit {number}"}))
    said = moor("describe", "inst", "gitea-0")
    assert "gitea-0: exit 0" in said.out
    assert "gitea-1" not in said.out


def test_an_instance_with_why_and_when_it_is_tried_again(api: Served, moor: Moor) -> None:
    due = SystemClock().now() + timedelta(minutes=30)
    waiting = row(
        "gitea-0", "ERROR", reason="SecretNotFound", message="no secret", attemptCount=6,
        nextRetryAt=due.isoformat(),
    )  # fmt: skip
    api.report(api.put(server("gitea")), instances=(waiting,))
    said = moor("describe", "inst", "gitea-0").out
    assert re.search(r"^Reason: +SecretNotFound$", said, re.MULTILINE)
    assert re.search(r"^Attempts: +6$", said, re.MULTILINE)
    assert re.search(r"^Next attempt: +\S+Z \(in 29m\)$", said, re.MULTILINE)


def test_a_secret_shows_its_keys_and_no_values(api: Served, moor: Moor) -> None:
    api.put(secret(token="s3cret", user="ada"))
    said = moor("describe", "secret", "creds")
    assert re.search(r"Keys: +token, user", said.out)
    assert "s3cret" not in said.out


def test_a_group_and_an_event(api: Served, moor: Moor) -> None:
    group = made({"apiVersion": "mooring.dev/v1alpha1", "kind": "MCPGroup",
                  "metadata": {"name": "tools"}})  # fmt: skip
    status = group.status.model_copy(update={"servers": ("a", "b"), "server_count": 2})
    api.run(api.store.report(api.put(group).model_copy(update={"status": status})))
    api.put(happened("e1", "Joined", about="tools", kind="MCPGroup"))
    said = moor("describe", "group", "tools")
    assert re.search(r"Ready: +0/2", said.out)
    assert "Servers:  a, b" in said.out
    assert "Joined it is" in said.out
    assert re.search(r"Reason: +Joined", moor("describe", "event", "e1").out)


def test_several_objects_one_after_the_other(fleet: Served, moor: Moor) -> None:
    said = moor("describe", "server", "time", "gitea")
    assert re.findall(r"^Name: +(\w+)", said.out, re.MULTILINE) == ["time", "gitea"]


def test_what_is_not_there_ends_with_3(api: Served, moor: Moor) -> None:
    said = moor("describe", "server", "nobody")
    assert (said.code, said.err) == (3, "Error: server/nobody does not exist\n")
    assert moor("describe", "server").code == 2


def test_an_object_that_leaves_says_since_when(api: Served, moor: Moor) -> None:
    held = server("time")
    meta = held.metadata.model_copy(update={"finalizers": ("mooring.dev/instances",)})
    api.put(held.model_copy(update={"metadata": meta}))
    moor("delete", "server", "time")
    said = moor("describe", "server", "time").out
    assert "Deleting since:" in said
    assert re.search(r"Status: +Terminating", said)


def test_an_instance_with_its_last_probe(api: Served, moor: Moor) -> None:
    check = {"tool": "whoami", "arguments": {"a": 1}, "timeoutSeconds": 0.5}
    since = "2026-01-01T00:00:00Z"
    api.report(
        api.put(server("gitea", healthCheck=check)),
        instances=(
            row("gitea-0", uid="u0", health="unhealthy", healthSince=since, message="no token",
                safeTools=["get", "list"]),
        ),
    )  # fmt: skip
    finding = Finding("failed", "no token")
    api.script.probed["u0"] = Probe(SystemClock().now(), 0.0151, finding, "unhealthy", "whoami")
    lines = [" ".join(line.split()) for line in moor("describe", "inst", "gitea-0").lines]
    assert "Last probe: 0s ago: whoami failed after 15 ms: no token" in lines
    assert "Safe tools: get, list" in lines
    assert any(line.startswith("Health since: 2026-01-01T00:00:00Z") for line in lines)
    lines = moor("describe", "server", "gitea").lines
    probes = 'whoami {"a": 1} every 30 s, for 0.5 s; unhealthy after 3 failures in a row'
    assert f"Probes:     {probes}" in lines
    wide = moor("get", "inst", "-o", "wide").lines
    assert wide[0].split()[-2:] == ["PROBED", "MESSAGE"]
    assert wide[1].endswith("0s       no token")
