"""The official conformance suite says of a server behind Mooring what it says of the server."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache

import pytest
from support.conformance import EXPECTED, Verdict, direct, judge, through_mooring

pytestmark = pytest.mark.process

Judge = Callable[[str, str], Verdict]
"""What is said of a target at a version; each is run once."""


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with direct() as own, through_mooring(tmp_path_factory.mktemp("conformance")) as through:
        yield {"direct": own, **through}


@pytest.fixture(scope="module")
def verdict(urls: Mapping[str, str]) -> Judge:
    return cache(lambda target, version: judge(urls[target], version))


@pytest.mark.parametrize("version", EXPECTED)
def test_the_server_passes_by_itself(verdict: Judge, version: str) -> None:
    found = verdict("direct", version)
    assert found.complaints == []
    assert found.passed >= EXPECTED[version]


@pytest.mark.parametrize(
    ("target", "version"),
    [
        *(("http", version) for version in EXPECTED),
        pytest.param("stdio", "2025-06-18", marks=pytest.mark.soak),
        ("stdio", "2025-11-25"),
        ("stdio", "2026-07-28"),
        pytest.param("virtual", "2025-06-18", marks=pytest.mark.soak),
        ("virtual", "2025-11-25"),
        ("virtual", "2026-07-28"),
    ],
)
def test_behind_mooring_it_passes_the_same(verdict: Judge, target: str, version: str) -> None:
    found = verdict(target, version)
    assert found.complaints == []
    assert found.lacks(verdict("direct", version)) == {}
