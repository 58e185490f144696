"""Lists are ready before they are asked for, and pages lose nothing."""

import json
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.core.aggregate import View, merge
from mooring.core.aggregate_items import Lists, catalog
from mooring.core.identity import ANONYMOUS, Identity
from mooring.kinds.ref import Ref
from mooring.kinds.virtual import Aggregation
from mooring.sessions.ring import Ring
from mooring.virtual import sight as module
from mooring.virtual.cursors import Cursors, Whose
from mooring.virtual.sight import Backend, Sight

CURSORS = Cursors(Ring(bytes(32)))
ALL = Whose(Ref("VirtualMCPServer", "default", "all"), ANONYMOUS)


def view(backends: int, tools: int) -> View:
    items = [
        json.dumps(
            {"name": f"t{n:03}", "description": "x" * 200, "inputSchema": {"type": "object"}}
        )
        for n in range(tools)
    ]
    lists = Lists(tools=[item.encode() for item in items])
    return merge([catalog(f"s{n:02}", lists) for n in range(backends)], Aggregation())


def page(sight: Sight, cursor: Any = None, whose: Whose = ALL) -> dict[str, Any]:
    text = sight.listed("tools/list", cursor, CURSORS, whose, {})
    assert text is not None
    return dict(json.loads(text + b"}"))


def test_a_thousand_tools_are_listed_in_a_millisecond() -> None:
    sight = Sight(view(20, 50), {}, {})
    assert len(page(sight)["tools"]) == 1000
    best = 1.0
    for _ in range(20):
        began = time.process_time()
        text = sight.listed("tools/list", None, CURSORS, ALL, {})
        b'{"jsonrpc":"2.0","id":1,"result":%b}}' % (text or b"")
        best = min(best, time.process_time() - began)
    assert best < 0.001


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 40), st.integers(1, 12))
def test_pages_put_together_are_the_list(count: int, size: int) -> None:
    before, module.PAGE = module.PAGE, size  # type: ignore[misc]
    try:
        sight = Sight(view(1, count), {}, {})
        names, cursor = [], None
        while True:
            found = page(sight, cursor)
            assert len(found["tools"]) <= size
            names += [tool["name"] for tool in found["tools"]]
            cursor = found.get("nextCursor")
            if cursor is None:
                break
        assert names == list(sight.view.tools)
    finally:
        module.PAGE = before  # type: ignore[misc]


def test_a_cursor_goes_on_behind_its_name_in_a_list_that_has_changed() -> None:
    before, module.PAGE = module.PAGE, 10  # type: ignore[misc]
    try:
        cursor = page(Sight(view(1, 30), {}, {}))["nextCursor"]
        later = page(Sight(view(2, 30), {}, {}), cursor)
        assert later["tools"][0]["name"] == "s00_t010"
    finally:
        module.PAGE = before  # type: ignore[misc]


def test_a_cursor_is_good_for_one_caller_and_one_list() -> None:
    cursor = CURSORS.sealed("a", "tools/list", ALL).decode()
    assert CURSORS.opened(cursor, "tools/list", ALL) == "a"
    assert CURSORS.opened(cursor, "prompts/list", ALL) is None
    others = (
        ALL._replace(identity=Identity("i", "s")),
        ALL._replace(credentials=b"x"),
        ALL._replace(server=Ref("VirtualMCPServer", "default", "other")),
    )
    for other in others:
        assert CURSORS.opened(cursor, "tools/list", other) is None
    for forged in (cursor[:-2], "", "é", 7, None, {}):
        assert CURSORS.opened(forged, "tools/list", ALL) is None


def test_instructions_are_cut_each_and_sorted() -> None:
    backends = {
        name: Backend(None, {}, text)  # type: ignore[arg-type]
        for name, text in {"b": "bé" * 3000, "a": "short", "c": ""}.items()
    }
    told = Sight(View(), backends, {}).instructions()
    first, second = told.split("\n\n# b\n\n")
    assert first == "# a\n\nshort"
    assert 4094 <= len(second.encode()) <= 4096


def test_a_list_says_what_is_missing_from_it() -> None:
    found = page(Sight(View(), {}, {"slow": "it has not answered yet"}))
    told = [{"backend": "slow", "reason": "it has not answered yet"}]
    assert found == {"tools": [], "_meta": {"dev.mooring/partial": told}}


def test_a_backend_that_is_not_known_may_be_able_to_do_anything() -> None:
    assert set(Sight(View(), {}, {}).capabilities()) == {"tools"}
    able = Sight(View(), {}, {"slow": "x"}).capabilities()
    assert set(able) == {"tools", "prompts", "resources", "logging", "completions"}
