"""What a client says travels in its session id, and backends hear what is relayed."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.virtual.promises import LIMIT, promised, understood, unpacked

OBJECT: Any = st.dictionaries(st.text(max_size=8), st.text(max_size=400), max_size=6)
CAPABILITIES = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("sampling", "elicitation", "roots", "experimental"), OBJECT)
)


@settings(max_examples=40, deadline=None)
@given(CAPABILITIES, OBJECT | st.none(), st.text(max_size=300))
def test_it_always_fits_and_what_questions_are_answered_survives(
    capabilities: dict[str, Any], client: Any, name: str
) -> None:
    who = client if client is None else client | {"name": name, "version": "1"}
    promises = promised(capabilities, who)
    assert len(promises.packed) <= LIMIT
    again = unpacked(promises.packed)
    for kind in ("sampling", "elicitation", "roots"):
        assert again.answers(kind) == promises.answers(kind) == (kind in capabilities)
    assert again.client["name"][:20] == (name[:20] if who else "client")


def test_a_backend_hears_of_nothing_that_is_not_relayed_to_it() -> None:
    extensions = {"io.modelcontextprotocol/tasks": {}, "io.modelcontextprotocol/ui": {"a": 1}}
    told = {"sampling": {}, "elicitation": {"form": {}}, "tasks": {}, "extensions": extensions}
    promises = promised(told, {"name": "x", "version": "1"})
    heard = promises.told(("elicitation",))
    assert heard == {
        "elicitation": {"form": {}},
        "extensions": {"io.modelcontextprotocol/ui": {"a": 1}},
    }


def test_a_version_is_answered_as_asked_or_with_the_newest_of_the_era() -> None:
    def version(asked: Any) -> str:
        body = {"id": 1, "method": "initialize", "params": {"protocolVersion": asked}}
        return understood(json.dumps(body).encode())[0]

    assert version("2024-11-05") == "2024-11-05"
    for odd in ("2026-07-28", "2099-01-01", "", 7, None):
        assert version(odd) == "2025-11-25"
    assert understood(b'{"id":1}')[0] == "2025-11-25"
    assert understood(b"[]")[0] == "2025-11-25"


def test_what_is_no_promise_is_none() -> None:
    for packed in (b"", b"{}", b"[1]", b"junk"):
        assert unpacked(packed).capabilities == {}
