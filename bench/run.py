"""What Mooring costs, measured next to nginx and to other proxies in one run.

    python bench/run.py [--tools DIR] [--quick]

The tables go to bench/RESULTS.md, the raw figures to bench/results.json. `--quick` takes each
figure once, leaves out the peers, memory and times, and writes nothing.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import api
import scaling
from load import Endpoint, Figures, open_sessions, put_load
from memory import weigh
from probes import probing
from recovering import recoveries
from report import Row, page
from scaling import workers
from systems import installation, mooring, nginx, peer, peers, relay, upstream
from timing import commands, seal_microseconds, starts

HERE = Path(__file__).resolve().parent
CONNECTIONS = (1, 16, 64)
ROUNDS = 3
SECONDS = 2
PEER_SECONDS = 6


def measure(
    endpoints: Iterable[Endpoint],
    rounds: int,
    seconds: float,
    numbers: Iterable[int] = CONNECTIONS,
) -> list[Row]:
    """All endpoints at all numbers of connections, in turns."""
    opened = [(e, open_sessions(e.url, max(numbers))) for e in endpoints]
    runs: dict[tuple[int, int], list[Figures]] = {}
    for _ in range(rounds):
        for connections in numbers:
            for at, (endpoint, sessions) in enumerate(opened):
                taken = put_load(endpoint, sessions[:connections], connections, seconds)
                runs.setdefault((at, connections), []).append(taken)
                say(endpoint, connections, taken)
    return [Row(opened[at][0], count, tuple(taken)) for (at, count), taken in sorted(runs.items())]


def say(endpoint: Endpoint, connections: int, figures: Figures) -> None:
    cost = " + ".join(f"{cost:.1f}" for cost in figures.cpu.values())
    print(f"{endpoint.system:13} {endpoint.answers:5} {connections:3}  {cost:>13} µs"
          f"  {figures.rate:8,.0f}/s  p50 {figures.p50:.2f}  p99 {figures.p99:.2f} ms",
          flush=True)  # fmt: skip


def with_peers(home: Path, behind: int, tools: Path) -> tuple[list[Row], list[str]]:
    """Their rows, and a line for each that could not be measured."""
    rows: list[Row] = []
    missing: list[str] = []
    for which in peers(tools):
        try:
            if not which.program.exists():
                raise RuntimeError("not installed (bench/setup.sh)")
            with peer(home, behind, which) as endpoint:
                for connections in CONNECTIONS:
                    rows += measure([endpoint], 1, PEER_SECONDS, (connections,))
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            missing.append(f"- {which.name} is left out, in whole or in part: {error}")
            print(missing[-1], flush=True)
    return rows, missing


def bench(home: Path, tools: Path, quick: bool) -> str:
    """Measures; returns the page, empty when quick."""
    with ExitStack() as stack:
        behind = stack.enter_context(upstream(home))
        ours = installation(home, behind)
        stack.callback(ours.forget)
        with ExitStack() as both:
            limit = both.enter_context(nginx(home, behind))
            bare = both.enter_context(relay(home, behind))
            at_work = both.enter_context(mooring(ours))
            took = {} if quick else commands(ours)
            rows = measure([*limit, *bare, *at_work], 1 if quick else ROUNDS, SECONDS)
        if quick:
            return ""
        missing = [] if limit else ["- nginx is left out: not installed (bench/setup.sh)"]
        with workers(home, behind) as several:
            scaled = measure(several, ROUNDS, SECONDS, scaling.CONNECTIONS)
        weights = weigh(ours)
        theirs, more = with_peers(home, behind, tools)
        times = {
            "starts": starts(ours),
            "commands": took,
            "seal": seal_microseconds(),
            "recovery": recoveries(ours),
        }
        control = api.rows()
        (home / "probes").mkdir()
        times["probes"] = probing(home / "probes")
    rows += theirs
    raw: dict[str, object] = {
        "calls": [row.raw() for row in [*rows, *scaled]],
        "memory": weights,
        "times": times,
    }
    raw["api"] = [{"what": row.what, "value": row.value, "unit": row.unit} for row in control]
    (HERE / "results.json").write_text(json.dumps(raw, indent=1) + "\n")
    return page(rows, scaled, weights, times, [*missing, *more]) + api.table(control)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", type=Path, default=HERE.parent / ".tools/bench")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        print("bench: wrk is not installed; run bench/setup.sh as root", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as home:
        text = bench(Path(home), given.tools.resolve(), given.quick)
    if text:
        (HERE / "RESULTS.md").write_text(text)
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
