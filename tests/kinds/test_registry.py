"""Every kind is found by all of its names."""

import pytest

from mooring.kinds.ref import SHORT, Ref
from mooring.kinds.registry import (
    BY_NAME,
    EVENT,
    GROUP,
    KINDS,
    SECRET,
    SERVER,
    VIRTUAL,
    Kind,
    by_word,
)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (SERVER, "mcpservers mcpserver mcps server servers MCPServer SERVERS"),
        (GROUP, "mcpgroups mcpgroup mcpg group groups MCPGroup"),
        (VIRTUAL, "virtualmcpservers virtualmcpserver vmcp vmcps VirtualMCPServer"),
        (SECRET, "secrets secret Secret"),
        (EVENT, "events event ev Event"),
    ],
)
def test_a_kind_goes_by_many_words(kind: Kind, words: str) -> None:
    assert [by_word(word) for word in words.split()] == [kind] * len(words.split())


def test_no_word_means_two_kinds() -> None:
    words = [word for kind in KINDS for word in kind.names]
    assert len(words) == len(set(words))
    assert by_word("pods") is None


def test_kinds_know_where_they_belong() -> None:
    assert (SERVER.name, SERVER.group, SERVER.version) == ("MCPServer", "mooring.dev", "v1alpha1")
    assert (SECRET.group, SECRET.version, SECRET.api_version) == ("", "v1", "v1")
    assert [kind.name for kind in KINDS if kind.has_status] == [
        "MCPServer",
        "MCPGroup",
        "VirtualMCPServer",
    ]
    assert list(BY_NAME) == ["MCPServer", "MCPGroup", "VirtualMCPServer", "Secret", "Event"]


def test_refs_use_words_that_the_registry_knows() -> None:
    for name, word in SHORT.items():
        assert by_word(word) is BY_NAME[name]
    assert str(Ref("MCPServer", "default", "time")) == "server/time"
    assert str(Ref("Secret", "team", "creds")) == "secret/team/creds"
