"""The figures as a page of tables."""

import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from budgets import Costs, budgets, cells
from load import Endpoint, Figures

HEAD = """# Results

`make bench`: one run on one machine ({cores} cores, Python {python}), raw figures in
`results.json`. Processor time is the scheduler's accounting of the processes of each system,
without the servers behind it; each row is the cheapest of {rounds} runs taken in turns, since what
else the machine does can only add (peers: one run). Systems under test have one core for
themselves, load and upstream the other ones.
"""


@dataclass(frozen=True)
class Row:
    """One system at one number of connections; all its runs."""

    endpoint: Endpoint
    connections: int
    runs: tuple[Figures, ...]

    @property
    def figures(self) -> Figures:
        """Of the cheapest run: what else the machine does can only add."""
        return min(self.runs, key=lambda run: run.total)

    def raw(self) -> dict[str, object]:
        end = self.endpoint
        return {
            "system": end.system,
            "answers": end.answers,
            "connections": self.connections,
            "runs": [asdict(run) for run in self.runs],
        }


def page(
    rows: Iterable[Row],
    scaled: Iterable[Row],
    memory: Mapping[str, Mapping[str, float]],
    times: Mapping[str, Mapping[str, float]],
    missing: Iterable[str],
) -> str:
    """Everything, in Markdown."""
    rows = list(rows)
    rounds = max(len(row.runs) for row in rows)
    head = HEAD.format(cores=os.cpu_count(), python=platform.python_version(), rounds=rounds)
    parts = [
        head,
        *missing,
        _budgets(rows, memory, times),
        _calls(rows),
        _ratios(rows),
        _scaling(scaled),
        _memory(memory),
        _times(times),
    ]
    return "\n".join(parts)


def _table(columns: str, cells: Iterable[Iterable[str]]) -> str:
    names = [name.strip() for name in columns.split("|")]
    rule = ["---"] * len(names)
    return "".join(f"| {' | '.join(line)} |\n" for line in (names, rule, *cells))


def _calls(rows: Iterable[Row]) -> str:
    return "## A call\n\n" + _figures(rows)


def _scaling(rows: Iterable[Row]) -> str:
    """Rates, with the machine's cores open to all."""
    text = "Here workers, load and upstream share all cores."
    return f"## Several workers\n\n{text}\n\n" + _figures(rows)


def _figures(rows: Iterable[Row]) -> str:
    cells = []
    for row in rows:
        f = row.figures
        parts = " + ".join(f"{name} {cost:.0f}" for name, cost in f.cpu.items())
        shown = f"**{f.total:.0f}** ({parts})" if len(f.cpu) > 1 else f"**{f.total:.0f}**"
        cells.append(
            [row.endpoint.system, row.endpoint.answers, str(row.connections), shown,
             f"{f.rate:,.0f}", f"{f.p50:.2f}", f"{f.p99:.2f}"]
        )  # fmt: skip
    columns = "system | answers | connections | CPU µs per call | calls/s | p50 ms | p99 ms"
    return _table(columns, cells)


def _costs(rows: list[Row]) -> Costs:
    return {(r.endpoint.system, r.endpoint.answers, r.connections): r.figures.total for r in rows}


def _budgets(
    rows: list[Row],
    memory: Mapping[str, Mapping[str, float]],
    times: Mapping[str, Mapping[str, float]],
) -> str:
    lines = cells(budgets(_costs(rows), memory, times))
    return "## Budgets\n\n" + _table("what | at most | found | kept", lines)


def _ratios(rows: list[Row]) -> str:
    cost = _costs(rows)
    lines = []
    for (system, kind, connections), theirs in cost.items():
        ours = cost.get(("Mooring", kind, connections))
        if system != "Mooring" and ours is not None:
            lines.append([kind, str(connections), system, f"{ours / theirs:.2g}"])
    columns = "answers | connections | compared with | Mooring's CPU, times theirs"
    return "## Compared\n\n" + _table(columns, lines)


def _memory(memory: Mapping[str, Mapping[str, float]]) -> str:
    cells = []
    for what, weights in memory.items():
        big = max(weights.values()) > 1e6
        shown = [f"{w / 1e6:.1f} MB" if big else f"{w / 1024:.1f} KiB" for w in weights.values()]
        cells.append([what, *shown])
    return "## Memory\n\n" + _table("what | daemon | keeper", cells)


def _times(times: Mapping[str, Mapping[str, float]]) -> str:
    cells = [[what, f"{took * 1e3:.0f} ms"] for what, took in times["starts"].items()]
    cells += [[f"`{what}`", f"{took * 1e3:.0f} ms"] for what, took in times["commands"].items()]
    cells += [[f"session id: {what}", f"{us:.1f} µs"] for what, us in times["seal"].items()]
    recovery = times["recovery"]
    what = f"first call of a session whose instance was killed ({recovery['sessions']:.0f} of them)"
    cells += [[f"{what}, {which}", f"{recovery[which] * 1e3:.0f} ms"] for which in ("p50", "p99")]
    return "## Time\n\n" + _table("what | takes", cells)
