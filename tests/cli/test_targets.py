"""Which objects a command means."""

import pytest

from mooring.cli.failures import USAGE, Failure
from mooring.cli.targets import INSTANCE, SECRET, SERVER, Target, kind, named, ref, server, targets
from mooring.core.naming import BY_WORD


@pytest.mark.parametrize("word", BY_WORD)
def test_every_name_of_a_kind_is_understood(word: str) -> None:
    assert kind(word) is BY_WORD[word]
    assert kind(word.upper()) is BY_WORD[word]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["servers"], [Target(SERVER, "ns")]),
        (["server", "a", "b"], [Target(SERVER, "ns", "a"), Target(SERVER, "ns", "b")]),
        (["server/a"], [Target(SERVER, "ns", "a")]),
        (["server/x/a", "inst/b-0"], [Target(SERVER, "x", "a"), Target(INSTANCE, "ns", "b-0")]),
    ],
)
def test_words_mean_objects(words: list[str], meant: list[Target]) -> None:
    assert targets(words, "ns") == meant


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "which kind"),
        (["pods"], "there is no kind 'pods'"),
        (["secrte", "a"], "Did you mean secret?"),
        (["server/a", "b"], "'b' names no object"),
        (["/a"], "names no object"),
        (["server//a"], "names no object"),
        (["a/b/c/d"], "names no object"),
    ],
)
def test_other_words_are_a_mistake(words: list[str], complaint: str) -> None:
    with pytest.raises(Failure) as caught:
        targets(words, "ns")
    assert caught.value.code == USAGE
    assert complaint in caught.value.message


def test_some_commands_need_a_name() -> None:
    assert named(["secret", "a"], "ns", "describe") == [Target(SECRET, "ns", "a")]
    with pytest.raises(Failure, match=r"which secret.*moor describe secret NAME"):
        named(["secret"], "ns", "describe")


def test_a_server_needs_no_kind() -> None:
    assert server("a", "ns") == server("server/a", "ns") == Target(SERVER, "ns", "a")
    assert server("server/x/a", "ns") == Target(SERVER, "x", "a")
    with pytest.raises(Failure, match="is no server"):
        server("secret/a", "ns")


def test_a_target_is_written_as_it_can_be_given() -> None:
    for target in (Target(SERVER, "default", "a"), Target(SECRET, "x", "b")):
        assert ref(str(target), "default") == target
