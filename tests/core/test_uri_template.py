"""Which URIs a template may stand for."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.uri_template import EXPRESSIONS, matches


@pytest.mark.parametrize(
    ("template", "uri", "fits"),
    [
        ("note://a", "note://a", True),
        ("note://a", "note://ab", False),
        ("note://{id}", "note://7", True),
        ("note://{id}", "note://", False),
        ("note://{id}", "note://7/8", False),
        ("note://{id}/data", "note://7/data", True),
        ("note://{id}/data", "note://7/8/data", False),
        ("file:///{+path}", "file:///a/b/c.txt", True),
        ("file://{/path*}", "file:///a/b", True),
        ("a://{x}.{y}", "a://b.c.d", True),
        ("a://{x}-{y}/z", "a://1-2-3/z", True),
        ("a://{x}-{y}/z", "a://1/2-3/z", False),
        ("a://b{?q,r}", "a://b", True),
        ("a://b{?q,r}", "a://b?q=1&r=2", True),
        ("a://{x}{?q}", "a://b?q=1", True),
        ("a://{x}/end", "a://end", False),
        ("a://{x}/{y}/end", "a://end/end/end", True),
        ("a://{x}y", "a://yy", True),
        ("a://{}", "a://b", True),
    ],
)
def test_an_expression_stands_for_some_text(template: str, uri: str, fits: bool) -> None:
    assert matches(template, uri) is fits


@given(st.lists(st.text(alphabet="abc-.", min_size=1, max_size=8), min_size=1, max_size=8))
def test_what_was_put_into_a_template_matches_it(values: list[str]) -> None:
    template = "x://" + "/".join(f"{{v{at}}}" for at in range(len(values)))
    assert matches(template, "x://" + "/".join(values))
    assert not matches(template, "x://" + "/".join([*values, "more"]))


def test_the_time_it_takes_is_bounded() -> None:
    hostile = "".join("{a}x" for _ in range(EXPRESSIONS)) + "y"
    began = time.perf_counter()
    assert not matches(hostile, "x" * 2048)
    assert not matches("{a}x" * 1000, "x" * 2048)
    assert not matches("{a}", "x" * 5000)
    assert time.perf_counter() - began < 1
