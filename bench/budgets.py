"""What Mooring may cost, held against what it did cost in this run."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

KIB = 1024.0
MB = 1e6


class Budget(NamedTuple):
    """One line: what, at most how much, and how much it was."""

    what: str
    limit: float
    found: float
    unit: str

    @property
    def kept(self) -> bool:
        return self.found <= self.limit


Costs = Mapping[tuple[str, str, int], float]
"""Microseconds per call, by system, kind of answer and connections."""


def budgets(
    cost: Costs,
    memory: Mapping[str, Mapping[str, float]],
    times: Mapping[str, Mapping[str, float]],
) -> list[Budget]:
    """All that can be judged from these figures."""
    told = [
        Budget("CPU of an HTTP call, 16 connections", 45, cost["Mooring", "JSON", 16], "µs"),
        Budget("CPU of a stdio call, 16 connections", 120, cost["Mooring", "stdio", 16], "µs"),
        Budget("CPU of a call of a virtual server, times that of its backend, 16 connections", 1.5,
               cost["Mooring", "virtual", 16] / cost["Mooring", "JSON", 16], ""),
        *(
            Budget(f"CPU of an HTTP call, times nginx's, connections: {n}", 2,
                   cost["Mooring", "JSON", n] / cost["nginx", "JSON", n], "")
            for n in (1, 16)
            if ("nginx", "JSON", n) in cost
        ),
        Budget("sealing or opening a session id", 5, max(times["seal"].values()), "µs"),
        Budget("a session's first call after its instance was killed, p99", 2000,
               times["recovery"]["p99"] * 1e3, "ms"),
        Budget("the slowest command", 150, max(times["commands"].values()) * 1e3, "ms"),
    ]  # fmt: skip
    for what, weights in memory.items():
        both = sum(weights.values()) / KIB
        if "virtual" in what:
            told.append(Budget(f"memory of a {what}", 50, both, "KiB"))
        elif what.startswith("idle session"):
            told.append(Budget(f"memory of an {what}", 10, both, "KiB"))
        elif what.startswith("open"):
            told.append(Budget(f"memory of an {what}", 40, both, "KiB"))
    idle = memory["idle"]
    told.append(Budget("memory of the daemon", 80, idle["daemon"] / MB, "MB"))
    told.append(Budget("memory of the keeper", 40, idle["keeper"] / MB, "MB"))
    if "probes" in times:
        share, size = times["probes"]["share"] * 100, times["probes"]["bytes"] / MB
        told.append(Budget("CPU of 1,000 instances probed every 30 s", 15, share, "% of a core"))
        told.append(Budget("memory of the daemon with those", 300, size, "MB"))
    return told


def cells(lines: Iterable[Budget]) -> list[list[str]]:
    """Rows of a table."""
    return [
        [b.what, f"{b.limit:g} {b.unit}", f"{b.found:.3g} {b.unit}", "yes" if b.kept else "**no**"]
        for b in lines
    ]
