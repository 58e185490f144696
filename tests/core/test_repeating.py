"""Which requests may be sent twice."""

import pytest

from mooring.core.repeating import repeatable


@pytest.mark.parametrize("method", ["tools/list", "resources/read", "ping", "server/discover"])
def test_reading_may_be_repeated(method: str) -> None:
    assert repeatable(method, b"{}")


@pytest.mark.parametrize(
    "method", ["tools/call", "initialize", "notifications/initialized", "tasks/cancel", "", "x"]
)
def test_what_may_change_something_may_not(method: str) -> None:
    assert not repeatable(method, b"{}")


@pytest.mark.parametrize("member", [b'"inputResponses":{}', b'"requestState":"v1"'])
def test_the_answer_to_a_question_is_given_once(member: bytes) -> None:
    assert not repeatable("prompts/get", b'{"params":{' + member + b"}}")
