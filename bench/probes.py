"""What it costs to know how a thousand instances are.

    python bench/probes.py

A daemon probes a thousand remote servers, each at an address of its own, every 30 seconds, as
it does by itself. One tiny process answers for all of them, with twenty tools each.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processes import (
    AROUND,
    free_port,
    listens,
    processor_seconds,
    resident_bytes,
    running,
    wait_until,
)
from systems import TINY, Mooring

INSTANCES = 1000
AT_ONCE = 25
"""Of them that are applied together."""
EVERY = 30
"""Seconds from one probe of an instance to the next, as it is where nothing is said."""
SECONDS = 2 * EVERY
"""That are measured, after the first probes of all."""
LIMIT_SHARE = 0.15
"""Of a core."""
LIMIT_BYTES = 300e6
SERVER = """
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: s{number:04}}}
spec: {{source: {{url: "http://127.1.{high}.{low}:{port}/mcp"}}}}
---
"""


def probing(home: Path) -> dict[str, float]:
    """The share of a core, and the bytes, that the daemon takes."""
    with _everyone(home) as port:
        (home / "run").mkdir(mode=0o700, exist_ok=True)
        ours = Mooring(home, free_port())
        try:
            with ours.up("serve") as daemon:
                wait_until("the API", lambda: _answers(ours), 60)
                for first in range(0, INSTANCES, AT_ONCE):
                    fleet = home / f"{first}.yaml"
                    numbers = range(first, first + AT_ONCE)
                    fleet.write_text("".join(_server(number, port) for number in numbers))
                    ours.moor("apply", "-f", str(fleet))
                wait_until("all servers", lambda: _ready(ours) == INSTANCES, 300)
                time.sleep(EVERY)
                before = processor_seconds({daemon})
                time.sleep(SECONDS)
                share = (processor_seconds({daemon}) - before) / SECONDS
                assert _ready(ours) == INSTANCES
                return {"share": share, "bytes": float(resident_bytes(daemon))}
        finally:
            ours.forget()


@contextmanager
def _everyone(home: Path) -> Iterator[int]:
    """Who answers for all of them; the port."""
    port = free_port()
    command = (sys.executable, str(TINY / "upstream.py"), str(port), "0.0.0.0")
    with running(command, AROUND, home / "everyone.log"):
        wait_until("the upstream", lambda: listens(port), 10)
        yield port


def _server(number: int, port: int) -> str:
    high, low = divmod(number, 250)
    return SERVER.format(number=number, high=high, low=low + 1, port=port)


def _answers(ours: Mooring) -> bool:
    try:
        ours.moor("get", "servers")
    except RuntimeError:
        return False
    return True


def _ready(ours: Mooring) -> int:
    lines = ours.moor("get", "inst", "--no-headers").splitlines()
    return sum(line.split()[2:4] == ["Ready", "healthy"] for line in lines)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as home:
        found = probing(Path(home))
    share, size = found["share"], found["bytes"]
    print(f"{INSTANCES} instances probed every {EVERY} s")
    print(f"processor time  {share * 100:6.1f} % of a core (≤ {LIMIT_SHARE * 100:g})")
    print(f"memory          {size / 1e6:6.0f} MB (≤ {LIMIT_BYTES / 1e6:g})")
    return 0 if share <= LIMIT_SHARE and size <= LIMIT_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
