"""What the gateway counts, and how Prometheus gets to see it.

Counting must cost next to nothing, so these are plain numbers, turned into metrics when they
are asked for. Label values come from closed sets: whatever a client sends, there are never more
series than those.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from mooring.gateway.call import Call

METHODS: Final = frozenset(
    {
        "initialize", "ping", "server/discover", "tools/list", "tools/call", "prompts/list",
        "prompts/get", "resources/list", "resources/templates/list", "resources/read",
        "resources/subscribe", "resources/unsubscribe", "completion/complete", "logging/setLevel",
        "subscriptions/listen", "tasks/get", "tasks/update", "tasks/cancel",
    }
)  # fmt: skip
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
"""Seconds; upper bounds of the histogram's buckets."""
CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[str, str, str]


def method_class(call: Call) -> str:
    """What a request is, out of a closed set."""
    message = call.message
    if message is None:
        method = call.request.method
        return method if method in ("GET", "DELETE", "POST") else "other"
    if message.type != "request":
        return message.type
    return message.method if message.method in METHODS else "other"


class Metrics:
    """Counts requests by method, era and outcome; reads gauges when asked.

    Where there are several gateways, each labels what it counts with its name (`worker`), so
    that whoever asks one of them now and another one next sees series that go on.
    """

    def __init__(
        self,
        gauges: Mapping[str, tuple[str, Callable[[], int]]],
        recoveries: Mapping[str, int] = MappingProxyType({}),
        worker: str = "",
    ) -> None:
        self._gauges = gauges
        self._recoveries = recoveries
        self._name = ("worker",) if worker else ()
        self._own = (worker,) if worker else ()
        self._counts: defaultdict[Labels, int] = defaultdict(int)
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(BOUNDS) + 1))
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def count(self, call: Call, seconds: float) -> None:
        """One request was answered."""
        method = method_class(call)
        self._counts[method, call.era, call.outcome] += 1
        if call.message is not None:  # a GET stream lasts as long as its client
            self._seconds[call.era] += seconds
            self._buckets[call.era][bisect_left(BOUNDS, seconds)] += 1

    def page(self) -> bytes:
        """Everything, in the text format of Prometheus."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        requests = CounterMetricFamily(
            "mooring_requests",
            "Requests on MCP endpoints.",
            labels=["method", "era", "outcome", *self._name],
        )
        for labels, count in sorted(self._counts.items()):
            requests.add_metric([*labels, *self._own], count)
        yield requests
        recoveries = CounterMetricFamily(
            "mooring_recoveries",
            "Sessions whose instance was lost, by what became of them.",
            labels=["outcome", *self._name],
        )
        for outcome, count in sorted(self._recoveries.items()):
            recoveries.add_metric([outcome, *self._own], count)
        yield recoveries
        durations = HistogramMetricFamily(
            "mooring_request_seconds",
            "From request to the end of its answer.",
            labels=["era", *self._name],
        )
        for era, buckets in sorted(self._buckets.items()):
            durations.add_metric([era, *self._own], _cumulative(buckets), self._seconds[era])
        yield durations
        for name, (about, read) in self._gauges.items():
            gauge = GaugeMetricFamily(name, about, labels=self._name)
            gauge.add_metric(self._own, read())
            yield gauge


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    total = 0
    shown: list[tuple[str, float]] = []
    for bound, count in zip([*map(str, BOUNDS), "+Inf"], buckets, strict=True):
        total += count
        shown.append((bound, total))
    return shown
