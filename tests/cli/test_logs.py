"""`moor logs`: what servers wrote."""

from typing import Any

import pytest
from support.surface import Served, server

from mooring.api.reach import LogQuery

Moor = Any


@pytest.fixture
def talking(fleet: Served) -> Served:
    fleet.script.lines |= {
        "time-0": [b"zero one\n", b"zero two\n"],
        "time-1": [b"one one\n", b"one two\n"],
        "time-7": [b"last words\n"],
    }
    return fleet


def test_lines_of_a_server_say_which_instance_wrote_them(talking: Served, moor: Moor) -> None:
    for name in ("time", "server/time"):
        assert moor("logs", name).out == (
            "time-0 | zero one\ntime-0 | zero two\ntime-1 | one one\ntime-1 | one two\n"
        )


def test_lines_of_an_instance_are_alone(talking: Served, moor: Moor) -> None:
    for name in ("time-0", "inst/time-0"):
        assert moor("logs", name).out == "zero one\nzero two\n"
    assert moor("logs", "time-7").out == "last words\n"


def test_options_become_the_query(talking: Served, moor: Moor) -> None:
    assert moor("logs", "time-0", "--tail", "1").out == "zero two\n"
    moor("logs", "time-0", "--since", "5m", "--previous")
    assert talking.script.queries == [
        ("time-0", LogQuery(tail=1)),
        ("time-0", LogQuery(since=300.0, previous=True)),
    ]


def test_nothing_in_a_line_steers_the_terminal(talking: Served, moor: Moor) -> None:
    talking.script.lines["time-0"] = [b"a\tb \x1b[2J\r\n", b"\xff\xfe\n", "日本\n".encode()]
    assert moor("logs", "time-0").out == "a\tb \\x1b[2J\n\ufffd\ufffd\n日本\n"


def test_a_server_without_instances_has_no_log_yet(api: Served, moor: Moor) -> None:
    api.put(server("new"))
    said = moor("logs", "new")
    assert (said.code, said.out) == (0, "")
    assert said.err == "server/new has no instances, so there is no log yet.\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nobody"], 3, "instance/nobody does not exist"),
        (["server/nobody"], 3, "server/nobody does not exist"),
        (["gitea-0"], 3, "gitea-0 has written nothing yet"),
        (["secret/x"], 2, "has no log"),
        (["time", "--since", "soon"], 2, "--since: 'soon' is no duration"),
        (["time", "--tail", "-1"], 2, "--tail"),
        ([], 2, "Missing argument"),
    ],
)
def test_what_cannot_be_shown_is_told(
    talking: Served, moor: Moor, arguments: list[str], code: int, words: str
) -> None:
    said = moor("logs", *arguments)
    assert said.code == code
    assert words in said.err


def test_a_log_that_is_missing_among_others_is_told(talking: Served, moor: Moor) -> None:
    del talking.script.lines["time-0"]
    said = moor("logs", "time")
    assert (said.code, said.out) == (0, "time-1 | one one\ntime-1 | one two\n")
    assert said.err == "time-0: time-0 has written nothing yet\n"


def test_one_log_is_followed(talking: Served, begin: Any) -> None:
    running = begin("logs", "-f", "time-0", "--tail", "1")
    assert running.line() == "zero two"
    talking.stop()
    assert running.finish() == 0


def test_several_logs_are_followed_together(talking: Served, begin: Any) -> None:
    running = begin("logs", "time", "-f")
    lines = [running.line() for _ in range(4)]
    assert sorted(lines) == [
        "time-0 | zero one", "time-0 | zero two", "time-1 | one one", "time-1 | one two",
    ]  # fmt: skip
    talking.stop()
    assert running.finish() == 0


def test_a_log_that_is_not_there_does_not_stop_the_others(talking: Served, begin: Any) -> None:
    del talking.script.lines["time-1"]
    running = begin("logs", "time", "-f")
    assert [running.line(), running.line()] == ["time-0 | zero one", "time-0 | zero two"]
    talking.stop()
    assert running.finish() == 0
