"""What gateways report is known of the servers that it is about."""

from typing import Any

import pytest

from mooring.controllers.gateways import GatewayNews, happening
from mooring.core.events import Happening
from mooring.core.reporting import SILENT_SECONDS, Recovery, Report, Reports
from mooring.kinds.ref import Ref
from mooring.kinds.server import InstanceStatus, MCPServer, ServerStatus
from mooring.testing.clock import FakeClock
from mooring.testing.stage import server

TIME = server("time")
ROWS = (InstanceStatus(name="time-0", uid="u0"), InstanceStatus(name="time-1", uid="u1"))
SHOWN = TIME.model_copy(update={"status": ServerStatus(instances=ROWS)})


class Desk:
    """The news, and what was made of them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.reports = Reports()
        self.recorded: list[Happening] = []
        self.looked: list[Ref] = []
        self.news = GatewayNews(
            self.reports, lambda: {SHOWN.ref: SHOWN}, self, self.clock, self.looked.append,  # type: ignore[arg-type]
        )  # fmt: skip

    def record(self, about: MCPServer, happenings: Any) -> None:
        assert about is SHOWN
        self.recorded += happenings

    def hear(self, name: str = "1", **told: Any) -> None:
        self.reports.hear(name, Report(**told), self.clock.monotonic())
        self.news.look()


def recovery(outcome: str, count: int = 1) -> Recovery:
    return Recovery(server="default/time", lost="u9", outcome=outcome, count=count)


def test_recoveries_are_events_counted_one_by_one() -> None:
    desk = Desk()
    desk.hear(recoveries=(recovery("recovered", 3), recovery("lost")))
    assert [each.reason for each in desk.recorded] == ["SessionsRecovered"] * 3 + ["SessionsLost"]
    desk.hear()
    assert len(desk.recorded) == 4


def test_recoveries_of_a_server_that_is_gone_are_nothing() -> None:
    desk = Desk()
    desk.hear(recoveries=(Recovery(server="default/other", lost="u9", outcome="lost"),))
    assert desk.recorded == []


@pytest.mark.parametrize("outcome", ["challenged", "withdrawn", "followed"])
def test_what_only_one_client_needs_to_know_is_no_event(outcome: str) -> None:
    assert happening(recovery(outcome)) is None


def test_an_ejection_is_an_event_when_it_begins() -> None:
    desk = Desk()
    desk.hear(ejections={"u1": 30.0})
    desk.hear(ejections={"u1": 30.0})
    (told,) = desk.recorded
    assert (told.reason, told.warning) == ("Ejected", True)
    assert told.message.startswith("time-1: no new sessions from gateway 1 ")
    desk.hear(ejections={})
    desk.hear(ejections={"u1": 60.0})
    assert len(desk.recorded) == 2


def test_when_the_store_goes_or_comes_every_server_is_looked_at_once(run: Any) -> None:
    async def story() -> None:
        desk = Desk()
        desk.hear()
        assert desk.looked == []
        for _ in range(2):
            desk.hear(store="redis does not answer")
        assert desk.looked == [TIME.ref]
        assert desk.reports.store_trouble(0.0) == "gateway 1: redis does not answer"
        await desk.clock.advance(SILENT_SECONDS + 1)
        desk.news.look()
        assert desk.looked == [TIME.ref, TIME.ref]
        assert desk.reports.store_trouble(desk.clock.monotonic()) == ""

    run(story())
