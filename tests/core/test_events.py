"""What is written down of what happened, and what is dropped."""

import random
from datetime import timedelta

from mooring.core import events
from mooring.core.events import Happening
from mooring.kinds.event import Event
from mooring.testing.clock import START
from mooring.testing.stage import server

TIME = server("time")
READY = Happening("Ready", "time-0: ready")


def told(number: int, at: int = 0) -> Event:
    happening = Happening("Exited", f"exit {number}", warning=True)
    return events.first(TIME, happening, START + timedelta(seconds=at))


def test_an_event_names_its_object() -> None:
    found = events.first(TIME, READY, START)
    about = found.involved_object
    assert (about.api_version, about.kind) == ("mooring.dev/v1alpha1", "MCPServer")
    assert (about.namespace, about.name) == ("default", "time")
    assert (found.type, found.reason, found.message) == ("Normal", "Ready", "time-0: ready")
    assert (found.count, found.first_timestamp, found.last_timestamp) == (1, START, START)
    assert told(1).type == "Warning"


def test_a_repeat_has_the_same_name_and_counts() -> None:
    later = START + timedelta(minutes=1)
    found = events.again(events.first(TIME, READY, START), later)
    assert found.metadata.name == events.name(TIME, READY)
    assert (found.count, found.first_timestamp, found.last_timestamp) == (2, START, later)


def test_different_happenings_have_different_names() -> None:
    other = TIME.metadata.model_copy(update={"uid": "reborn"})
    names = {
        events.name(TIME, READY),
        events.name(TIME, Happening("Ready", "time-1: ready")),
        events.name(TIME, Happening("Starting", "time-0: ready")),
        events.name(TIME, Happening("Ready", "time-0: ready", warning=True)),
        events.name(TIME.model_copy(update={"metadata": other}), READY),
    }
    assert len(names) == 5
    assert all(name.startswith("time.") for name in names)


def test_foreign_text_cannot_steer_a_terminal_and_is_cut() -> None:
    found = events.first(TIME, Happening("Exited", "\x1b[31m\u202e" + "x" * 5000), START)
    assert "\x1b" not in found.message
    assert "\u202e" not in found.message
    assert len(found.message) <= 2100


def test_the_first_and_the_newest_are_kept() -> None:
    happened = [told(number, at=number) for number in range(events.KEPT + 3)]
    random.Random(1).shuffle(happened)
    dropped = events.surplus(happened, START + timedelta(minutes=5))
    assert [event.message for event in dropped] == ["exit 1", "exit 2", "exit 3"]


def test_what_is_told_in_other_words_each_time_pushes_nothing_else_out() -> None:
    others = [
        events.first(TIME, Happening(reason, "time-0: so it was"), START)
        for reason in ("Starting", "Ready", "RolloutStarted")
    ]
    kept = [*others, *(told(number, at=10 + number) for number in range(events.KEPT * 3))]
    dropped = events.surplus(kept, START + timedelta(minutes=5))
    left = [event for event in kept if event not in dropped]
    assert len(left) == events.KEPT
    assert left[:4] == kept[:4]
    assert left[-1] == kept[-1]


def test_with_as_many_reasons_as_events_the_oldest_go() -> None:
    happened = [
        events.first(TIME, Happening(f"Reason{number}", "so"), START + timedelta(seconds=number))
        for number in range(events.KEPT + 2)
    ]
    assert events.surplus(happened, START + timedelta(minutes=5)) == tuple(happened[:2])


def test_an_old_one_that_repeats_is_kept_and_an_old_one_that_does_not_is_dropped() -> None:
    later = START + events.AGE + timedelta(hours=1)
    repeated, once = events.again(told(1), later), told(2)
    assert events.surplus([repeated, once], later) == (once,)


def test_repeats_push_nothing_out() -> None:
    first, failing = told(1, at=0), told(2, at=1)
    for second in range(1000):
        failing = events.again(failing, START + timedelta(seconds=second))
    assert events.surplus([first, failing], START + timedelta(minutes=20)) == ()


def test_all_objects_together_have_a_limit_too() -> None:
    happened = [told(number, at=number) for number in range(events.TOTAL + 2)]
    random.Random(2).shuffle(happened)
    dropped = events.beyond(happened, START + timedelta(hours=2))
    assert [event.message for event in dropped] == ["exit 0", "exit 1"]
    assert events.beyond(happened[:10], START) == ()
