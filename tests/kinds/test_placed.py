"""Text of YAML and JSON becomes values with places, whatever the text."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mooring.kinds.placed import ENTRIES, Flaw, Mark, Placed, documents


def only(text: str) -> Placed:
    (document,) = documents(text)
    assert isinstance(document, Placed)
    return document


def flaws(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for document in documents(text):
        several = [document] if isinstance(document, Flaw) else document.flaws
        found += [(flaw.path, flaw.message) for flaw in several]
    return found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-7", -7), ("0x1f", 31), ("1_000", 1000), ("1.5", 1.5), (".inf", float("inf")),
        ("true", True), ("no", False), ("Off", False), ("!!null x", None),
        ("2026-01-01", "2026-01-01"), ("12:30", "12:30"), ("1.2.3", "1.2.3"), ("'1'", "1"),
        ('"yes"', "yes"), ("!!str 5", "5"), ("!!int '5'", 5), ("!!bool 'TRUE'", True),
        ("!!float '1.5'", 1.5), ("=", "="), ("ü", "ü"),
    ],
)  # fmt: skip
def test_plain_values(text: str, value: Any) -> None:
    assert only(f"a: {text}").value == {"a": value}


def test_places_of_fields_entries_and_what_has_none() -> None:
    document = only("a:\n  b:\n    - x\n    -  y: 1\n  c/d: 2\n")
    assert document.at("a") == Mark(1, 1)
    assert document.at("a.b") == Mark(2, 3)
    assert document.at("a.b[1]") == Mark(4, 8)
    assert document.at("a.b[1].y") == Mark(4, 8)
    assert document.at("a[c/d]") == Mark(5, 3)
    assert document.at("a.b[7].z") == Mark(2, 3)
    assert document.at("zebra") == document.at("") == Mark(1, 1)


def test_aliases_share_and_merges_fill() -> None:
    text = "base: &b {x: 1, y: 2}\nlist: [*b, *b]\nown: {<<: *b, x: 3}\nboth: {<<: [*b, {z: 4}]}"
    assert only(text).value == {
        "base": {"x": 1, "y": 2},
        "list": [{"x": 1, "y": 2}, {"x": 1, "y": 2}],
        "own": {"x": 3, "y": 2},
        "both": {"x": 1, "y": 2, "z": 4},
    }


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("{a: 1, a: 2}", ("a", "is given twice")),
        ("{x: {a: 1, 'a': 2}}", ("x.a", "is given twice")),
        ("? [a]\n: b", ("", "must have text as its keys")),
        ("a: *b", ("a", "*b names nothing above it")),
        ("a: &a [*a]", ("a[0]", "*a names nothing above it")),
        ("a: !!binary eA==", ("a", "has the tag tag:yaml.org,2002:binary, "
         "which means nothing here")),
        ("a: !!python/object:os.system {}", ("a", "has the tag "
         "tag:yaml.org,2002:python/object:os.system, which means nothing here")),
        ("a: !!set {x}", ("a", "has the tag tag:yaml.org,2002:set, which means nothing here")),
        ("a: !!int x", ("a", "cannot be read as what its tag or its form says")),
        ("a: !!bool maybe", ("a", "cannot be read as what its tag or its form says")),
        ("a: " + "9" * 5000, ("a", "cannot be read as what its tag or its form says")),
        ("a: {<<: 5}", ("a[<<]", "must be a mapping to take fields from")),
        ("a: '\x01'", ("", "holds a character that YAML does not allow")),
        ("a: \ud800", ("", "must be valid Unicode, found half a surrogate pair")),
        ("%YAML 2.0\n---\na", ("", "is not valid YAML: found incompatible YAML document")),
        ("[" * 100_000, ("", "is nested more than 64 deep")),
        ("- " * 100_000, ("", "is nested more than 64 deep")),
        ("{a: " * 100_000, ("", "is nested more than 64 deep")),
        ("[" + "x," * (ENTRIES + 1) + "]", ("", f"holds more than {ENTRIES} values")),
    ],
)  # fmt: skip
def test_flaws(text: str, flaw: tuple[str, str]) -> None:
    assert flaws(text) == [flaw]


def test_a_small_text_cannot_grow_into_a_large_document() -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for n in range(1, 20):
        laughs += f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n"
    assert flaws(laughs) == [("", f"holds more than {ENTRIES} values")]


def test_documents_before_a_flaw_are_read() -> None:
    first, second = documents("a: 1\n---\nb: [")
    assert isinstance(first, Placed)
    assert first.value == {"a": 1}
    assert isinstance(second, Flaw)
    assert second.mark.line == 3


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(min_value=-(2**63), max_value=2**63) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(TEXT, JSON))
def test_json_means_what_it_means_elsewhere(value: dict[str, Any]) -> None:
    assert only(json.dumps(value)).value == value


@given(st.text(max_size=60) | st.text("abc:-[]{},&*#!|>'\"%@?<\n\t 019~.", max_size=60))
def test_any_text_is_read_or_explained(text: str) -> None:
    for document in documents(text):
        if isinstance(document, Placed):
            assert document.mark.line >= 1
            json.dumps(document.value)
        else:
            assert document.message
            assert document.mark.line <= text.count("\n") + text.count("\r") + 2


@given(st.text("ab:-[]{},\n 0", max_size=40))
def test_what_is_read_is_what_pyyaml_reads(text: str) -> None:
    try:
        expected = [each for each in yaml.safe_load_all(text) if each is not None]
    except (yaml.YAMLError, ValueError):
        return
    read = list(documents(text))
    if any(isinstance(each, Flaw) or each.flaws for each in read):
        return
    plain = [each.value for each in read if isinstance(each, Placed)]
    if ":" not in text and "{" not in text:
        assert plain == expected
    assert len(plain) == len(expected)
