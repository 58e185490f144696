"""What becomes of a request that does not reach the owner of its session; one row, one rule."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.recovery import (
    TOLD,
    VERDICTS,
    Met,
    Part,
    Verdict,
    notices,
    opened,
    part,
    pause,
    promised,
    unkept,
    verdict,
)

RULES: list[tuple[str, Met, Part, Verdict]] = [
    ("its owner is gone: a call was never sent, and goes to the new one", "gone", "request",
     "recover"),
    ("404, or a confirmed 400: it was refused, so it did not run", "forgotten", "request",
     "recover"),
    ("a stream is opened at the new owner", "forgotten", "stream", "recover"),
    ("roots/list_changed is told to the new owner", "forgotten", "news", "recover"),
    ("answers, cancelled and progress mean nothing to a new owner", "forgotten", "aside", "drop"),
    ("nor do they bring one about", "gone", "aside", "drop"),
    ("refused for two seconds: that request alone fails", "refused", "request", "fail"),
    ("though it could be repeated", "refused", "harmless", "fail"),
    ("cut before a byte: a call may have run", "cut", "request", "unknown"),
    ("reading is repeated", "cut", "harmless", "repeat"),
    ("in flight when its instance exited: never replayed", "exited", "harmless", "unknown"),
    ("it may be the cause", "exited", "request", "unknown"),
    ("nobody waits for the answer to a notification", "cut", "news", "drop"),
    ("an owner that is stopped keeps its sessions", "silent", "request", "fail"),
    ("a challenge is for whoever's credentials were used", "challenged", "request", "pass"),
    ("too busy is never a loss", "busy", "harmless", "pass"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "met", "what", "expected"), RULES, ids=[r[0] for r in RULES])
def test_the_rules(rule: str, met: Met, what: Part, expected: Verdict) -> None:
    assert verdict(met, what) == expected


@pytest.mark.parametrize("met", list(VERDICTS))
@pytest.mark.parametrize("what", ["request", "harmless", "news", "aside", "stream"])
def test_nothing_is_done_twice(met: Met, what: Part) -> None:
    assert verdict(met, what, repeated=True, replayed=True) not in ("recover", "repeat")
    assert verdict(met, what, repeated=True) != "repeat"
    assert verdict(met, what, replayed=True) != "recover"


@pytest.mark.parametrize("met", ["refused", "cut", "silent", "challenged", "busy"])
@pytest.mark.parametrize("what", ["request", "harmless", "news", "aside", "stream"])
def test_a_session_moves_only_on_proof(met: Met, what: Part) -> None:
    assert verdict(met, what) != "recover"


def test_a_second_refusal_is_passed_on() -> None:
    assert verdict("forgotten", "request", replayed=True) == "pass"
    assert verdict("gone", "request", replayed=True) == "fail"


def test_a_stream_that_was_cut_with_its_owner_is_opened_at_the_next() -> None:
    assert verdict("cut", "stream") == "repeat"
    assert verdict("exited", "stream", repeated=True) == "recover"


@pytest.mark.parametrize(
    ("kind", "method", "harmless", "expected"),
    [
        ("request", "tools/call", False, "request"),
        ("request", "tools/list", True, "harmless"),
        ("response", "", False, "aside"),
        ("notification", "notifications/cancelled", False, "aside"),
        ("notification", "notifications/progress", False, "aside"),
        ("notification", "notifications/initialized", False, "aside"),
        ("notification", "notifications/roots/list_changed", False, "news"),
    ],
)
def test_what_a_message_is(kind: str, method: str, harmless: bool, expected: Part) -> None:
    assert part(kind, method, harmless=harmless) == expected


def test_after_a_failed_recovery_a_session_tries_again_more_and_more_slowly() -> None:
    assert [pause(n) for n in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


def test_a_promise_is_what_is_declared_and_not_denied() -> None:
    told = {
        "logging": {},
        "tools": {"listChanged": True},
        "resources": {"subscribe": True, "listChanged": False},
        "completions": None,
        "experimental": {"x": True},
    }
    assert promised(told) == (
        "logging", "resources", "resources.subscribe", "tools", "tools.listChanged",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("version", "offered", "why"),
    [
        ("2025-11-25", ["tools", "logging"], ""),
        ("2025-06-18", ["tools"], "it speaks protocol version 2025-06-18, the session 2025-11-25"),
        ("", ["tools"], "it speaks protocol version unknown, the session 2025-11-25"),
        ("2025-11-25", ["logging"], "it does not offer tools"),
    ],
)
def test_an_instance_must_keep_what_was_promised(
    version: str, offered: list[str], why: str
) -> None:
    assert unkept("2025-11-25", ["tools"], version, offered) == why


@pytest.mark.parametrize(
    ("status", "kept", "read", "expected"),
    [
        (200, "", True, "taken"),
        (200, "it does not offer tools", True, "other"),
        (200, "", False, "next"),
        (401, "", False, "passed"),
        (403, "", False, "passed"),
        (429, "", False, "next"),
        (500, "", False, "next"),
        (503, "", False, "next"),
    ],
)
def test_what_an_answer_to_initialize_is_good_for(
    status: int, kept: str, read: bool, expected: str
) -> None:
    assert opened(status, kept, read=read) == expected


def methods(*capabilities: str, level: str = "") -> list[str]:
    return [json.loads(each)["method"] for each in notices(capabilities, level)]


def test_the_client_is_told_that_its_servers_state_is_lost() -> None:
    (told,) = notices(["logging"], "")
    assert json.loads(told)["params"] == {"level": "warning", "logger": "mooring", "data": TOLD}


@pytest.mark.parametrize(
    ("level", "told"), [("", True), ("debug", True), ("warning", True), ("error", False), ("?", 1)]
)
def test_but_not_where_it_asked_for_errors_only(level: str, told: bool) -> None:
    assert bool(methods("logging", level=level)) is bool(told)


def test_nor_where_its_server_never_promised_to_log() -> None:
    assert methods("tools") == []


def test_every_list_that_is_watched_may_have_changed() -> None:
    assert methods("tools.listChanged", "prompts.listChanged", "tools") == [
        "notifications/prompts/list_changed", "notifications/tools/list_changed",
    ]  # fmt: skip


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.text(),
       lambda inner: st.dictionaries(st.text(), inner))))  # fmt: skip
def test_a_server_that_answers_the_same_again_keeps_its_promises(told: dict[str, object]) -> None:
    assert unkept("v", promised(told), "v", promised(told)) == ""
