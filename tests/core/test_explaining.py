"""Why an instance is as it is."""

from datetime import UTC, datetime
from typing import Any

import pytest

from mooring.core.explaining import explain, last_probe

NOW = datetime(2026, 1, 1, 0, 10, tzinfo=UTC)
EARLIER = "2026-01-01T00:09:20Z"
SERVER = {"spec": {"healthCheck": {"intervalSeconds": 30, "failureThreshold": 3}}}


def explained(*events: dict[str, Any], **row: Any) -> list[str]:
    status = {"name": "gitea-0", "state": "Ready", "health": "healthy", **row}
    view = {"metadata": {"name": "gitea-0"}, "spec": {"server": "gitea"}, "status": status}
    return explain(view, SERVER, events, NOW)


def exited(message: str, at: str = EARLIER, count: int = 1) -> dict[str, Any]:
    return {"reason": "Exited", "message": message, "lastTimestamp": at, "count": count}


def test_all_is_well() -> None:
    last = {"at": EARLIER, "seconds": 0.003, "tool": "", "outcome": "answered", "message": ""}
    assert explained(since=EARLIER, healthSince=EARLIER, lastProbe=last) == [
        "instance/gitea-0 is Ready for 40s.",
        "Health: healthy for 40s: new sessions go to it.",
        "Last probe 40s ago: tools/list answered in 3 ms",
        "Next: moor tools gitea",
    ]


def test_a_wrong_token() -> None:
    last = {
        "at": EARLIER, "seconds": 0.015, "tool": "whoami", "outcome": "failed",
        "message": "token is required",
    }  # fmt: skip
    assert explained(
        health="unhealthy", healthSince=EARLIER, message="token is required",
        failedProbes=3, lastProbe=last,
    ) == [
        "instance/gitea-0 is Ready.",
        "Health: unhealthy for 40s: it gets no new sessions, and keeps those it has.",
        "Why: token is required",
        "Last probe 40s ago: whoami failed after 15 ms: token is required",
        "Failed probes in a row: 3 of 3; probed every 30 s.",
        "Next: moor probe inst gitea-0; what it says itself: moor logs gitea-0",
    ]  # fmt: skip


def test_a_missing_secret() -> None:
    message = (
        'secret resolution failed: server "gitea" env TOKEN: secret "creds" has no key "token". '
        "Fix: moor create secret creds --from-literal token=…"
    )
    assert explained(
        state="ERROR", health="unhealthy", reason="SecretKeyNotFound", message=message,
        since=EARLIER, attemptCount=2, lastAttemptAt=EARLIER, nextRetryAt="2026-01-01T00:10:16Z",
    ) == [
        "instance/gitea-0 is ERROR for 40s: it could not be brought up.",
        'Why: secret resolution failed: server "gitea" env TOKEN: secret "creds" has no key '
        '"token" (SecretKeyNotFound)',
        "Attempts: 2 since it was last ready, the last 40s ago; the next in 16s.",
        "Next: moor create secret creds --from-literal token=…",
    ]  # fmt: skip


def test_one_whose_tool_never_succeeded() -> None:
    named = {"spec": {"healthCheck": {"tool": "whoami"}}}
    row = {
        "name": "gitea-0", "state": "ERROR", "health": "unhealthy", "reason": "ProbeFailed",
        "message": "token is required", "failedProbes": 3,
    }  # fmt: skip
    view = {"metadata": {"name": "gitea-0"}, "spec": {"server": "gitea"}, "status": row}
    assert explain(view, named, [], NOW)[1:3] == [
        "Why: token is required (ProbeFailed)",
        "Health check: whoami has to succeed first; it failed 3 times in a row.",
    ]


def test_one_that_keeps_ending() -> None:
    assert explained(
        exited('gitea-0: exit 1, "boom"', count=4),
        exited("gitea-0: killed by SIGKILL", at="2026-01-01T00:01:00Z"),
        exited("gitea-1: exit 9", at="2026-01-01T00:09:59Z"),
        {"reason": "Ready", "message": "gitea-0: ready", "lastTimestamp": EARLIER},
        state="CrashLoopBackOff", health="unhealthy", reason="Exited", message='exit 1, "boom"',
        restarts=3, nextRetryAt=EARLIER,
    ) == [
        "instance/gitea-0 is CrashLoopBackOff: it keeps ending soon after its start, and is held "
        "back.",
        'Why: exit 1, "boom" (Exited)',
        "Restarts: 3; the next is due now.",
        'Last exit: exit 1, "boom" (40s ago, 4 times like this)',
        "Next: moor logs gitea-0",
    ]  # fmt: skip


def test_gateways_that_leave_it_alone() -> None:
    words = "no new sessions from gateway main for a while: connections to it fail"
    lately = {"reason": "Ejected", "message": f"gitea-0: {words}", "lastTimestamp": EARLIER}
    long_ago = {**lately, "lastTimestamp": "2026-01-01T00:00:00Z"}
    assert explained(lately)[-2] == f"Ejected: {words} (40s ago)"
    assert not any(line.startswith("Ejected") for line in explained(long_ago))


@pytest.mark.parametrize(
    ("row", "step"),
    [
        ({"state": "Pending", "health": "unknown"}, "moor get inst gitea-0 -w"),
        ({"state": "Installing", "health": "unknown"}, "moor get inst gitea-0 -w"),
        ({"state": "Starting", "health": "unknown"}, "moor logs gitea-0 -f"),
        ({"state": "Starting", "health": "degraded"}, "moor probe inst gitea-0; what"),
        ({"state": "ERROR", "health": "unhealthy"}, "moor logs gitea-0; then change"),
        ({"state": "ERROR", "health": "unhealthy", "reason": "Exited"}, "moor logs gitea-0"),
        ({"health": "unauthenticated"}, "log in with a client; its URL: moor describe"),
        ({"health": "degraded"}, "moor probe inst gitea-0; what"),
    ],
)
def test_there_is_always_a_next_step(row: dict[str, Any], step: str) -> None:
    assert explained(**row)[-1].startswith(f"Next: {step}")


@pytest.mark.parametrize(
    ("row", "step"),
    [
        ({"state": "Starting", "health": "unknown"}, "moor get inst far-0 -w"),
        (
            {"state": "ERROR", "health": "unhealthy", "message": "Connection refused"},
            "see that http://far/mcp answers; then moor rollout restart far, which retries at once",
        ),
        ({"health": "unhealthy", "message": "timed out"}, "moor probe inst far-0"),
        ({"health": "healthy"}, "moor tools far"),
        ({"health": "unauthenticated"}, "log in with a client; its URL: moor describe server far"),
    ],
)
def test_nobody_is_sent_to_the_log_of_a_remote_server(row: dict[str, Any], step: str) -> None:
    far = {"spec": {"source": {"url": "http://far/mcp"}}}
    status = {"name": "far-0", "state": "Ready", **row}
    view = {"metadata": {"name": "far-0"}, "spec": {"server": "far"}, "status": status}
    assert explain(view, far, [], NOW)[-1] == f"Next: {step}"


def test_a_probe_that_took_long_and_one_that_never_was() -> None:
    last = {"at": EARLIER, "seconds": 60.0, "outcome": "login"}
    assert last_probe({"lastProbe": last}, NOW) == (
        "40s ago: tools/list was told to log in after 60.0 s"
    )
    assert last_probe({}, NOW) == ""
