"""What gateways hear of each other, by way of the daemon."""

from hypothesis import given
from hypothesis import strategies as st

from mooring.core.load import Joint, Load, total
from mooring.core.reporting import SILENT_SECONDS, Report, Reports, told, understood

COUNTS = st.tuples(st.integers(0, 9), st.integers(0, 9))
LOADS = st.dictionaries(st.sampled_from("abc"), COUNTS)
GATEWAYS = st.dictionaries(st.sampled_from(["1", "2", "3", "4"]), LOADS, min_size=1)


def report(*used: bytes, ended: tuple[bytes, ...] = (), **loads: tuple[int, int]) -> Report:
    return Report(loads=loads, used=used, ended=ended)


@given(GATEWAYS)
def test_the_sum_is_that_of_all_gateways_and_each_hears_the_rest(
    gateways: dict[str, dict[str, tuple[int, int]]],
) -> None:
    reports = Reports()
    for _ in range(2):
        answers = {n: reports.hear(n, Report(loads=loads), 0.0) for n, loads in gateways.items()}
    whole = told(reports.loads(0.0))
    for name, loads in gateways.items():
        own, others = understood(Report(loads=loads)), understood(answers[name])
        assert told(total([own, others])) == whole


def test_a_later_report_takes_the_place_of_an_earlier_one() -> None:
    reports = Reports()
    reports.hear("1", report(a=(2, 1)), 0.0)
    reports.hear("1", report(a=(1, 0), b=(1, 0)), 1.0)
    assert reports.loads(1.0) == {"a": Load(1, 0), "b": Load(1, 0)}


def test_a_silent_gateway_is_gone() -> None:
    reports = Reports()
    reports.hear("1", report(a=(2, 1)), 0.0)
    reports.hear("2", report(a=(1, 0)), 1.0)
    assert reports.heard_of(SILENT_SECONDS - 0.1) == {"1", "2"}
    assert reports.heard_of(SILENT_SECONDS) == {"2"}
    assert reports.loads(SILENT_SECONDS) == {"a": Load(1, 0)}
    assert reports.hear("3", report(), SILENT_SECONDS + 1).loads == {}


def test_a_gateway_that_is_known_to_be_gone_counts_no_more() -> None:
    reports = Reports()
    reports.hear("1", report(a=(2, 1)), 0.0)
    reports.forget("1")
    reports.forget("1")
    assert (reports.loads(0.0), reports.heard_of(0.0)) == ({}, frozenset())


def test_news_reach_every_other_gateway_once() -> None:
    reports = Reports()
    for name in ("1", "2", "3"):
        assert reports.hear(name, report(), 0.0) == report()
    assert reports.hear("1", report(b"s", ended=(b"t",)), 0.0) == report()
    for name in ("2", "3"):
        heard = reports.hear(name, report(), 0.0)
        assert (heard.used, heard.ended) == ((b"s",), (b"t",))
        assert reports.hear(name, report(), 0.0) == report()
    assert reports.hear("1", report(), 0.0) == report()


def test_a_newcomer_holds_nothing_and_hears_no_old_news() -> None:
    reports = Reports()
    reports.hear("1", report(), 0.0)
    reports.hear("2", report(b"s"), 0.0)
    assert reports.hear("3", report(b"t"), 0.0).used == ()
    assert reports.hear("1", report(), 0.0).used == (b"s", b"t")


@given(st.permutations(["1", "2", "3"]))
def test_of_those_who_say_that_they_use_a_session_exactly_the_last_one_has_it(
    order: list[str],
) -> None:
    reports = Reports()
    for name in order:
        reports.hear(name, report(), 0.0)
    holding = set(order)
    for name in order:
        if b"s" in reports.hear(name, report(b"s"), 0.0).used:
            holding.discard(name)
    for name in order:
        if b"s" in reports.hear(name, report(), 0.0).used:
            holding.discard(name)
    assert holding == {order[-1]}


def test_what_was_read_by_all_is_not_kept() -> None:
    reports = Reports()
    for number in range(1000):
        for name in ("1", "2"):
            reports.hear(name, report(b"%d" % number), float(number))
    assert len(reports._news) <= 2
    reports.forget("1")
    reports.forget("2")
    assert not reports._news


@given(LOADS, LOADS)
def test_loads_looked_up_together_are_the_sum(
    own: dict[str, tuple[int, int]], others: dict[str, tuple[int, int]]
) -> None:
    joint = Joint(understood(Report(loads=own)))
    joint.others = understood(Report(loads=others))
    whole = total([understood(Report(loads=own)), joint.others])
    assert dict(joint) == whole
    assert len(joint) == len(whole)
    assert joint.get("nobody", Load()) == Load()


def test_what_each_gateway_told_last_is_known_while_it_is_there() -> None:
    reports = Reports()
    reports.hear("1", Report(store="away"), 0.0)
    reports.hear("2", Report(ejections={"a": 30.0}), 5.0)
    assert reports.latest(5.0) == {
        "1": Report(store="away"), "2": Report(ejections={"a": 30.0})
    }  # fmt: skip
    assert set(reports.latest(SILENT_SECONDS)) == {"2"}
