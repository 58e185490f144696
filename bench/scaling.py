"""What more gateway processes bring: the same load on one and on several, on all cores.

Here the systems under test are not kept to one core. The machine is full when load, upstream
and workers use all that there is; from there on more workers bring nothing.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from load import Endpoint, answers
from processes import ALL, command_line, descendants, wait_until
from systems import Mooring, installation

COUNTS = (1, 2)
CONNECTIONS = (16, 64)


@contextlib.contextmanager
def workers(home: Path, behind: int) -> Iterator[list[Endpoint]]:
    """Installations with one and with several workers, side by side, to be measured in turns."""
    with contextlib.ExitStack() as stack:
        endpoints = []
        for count in COUNTS:
            place = home / f"workers-{count}"
            place.mkdir()
            ours = installation(place, behind)
            stack.callback(ours.forget)
            endpoints.append(stack.enter_context(_at_work(ours, count)))
        yield endpoints


@contextlib.contextmanager
def _at_work(ours: Mooring, count: int) -> Iterator[Endpoint]:
    arguments = ("up", "--workers", str(count), str(ours.home / "fleet.yaml"))
    with ours.up(*arguments, cores=ALL) as daemon:
        wait_until("server json", lambda: answers(ours.url("json")), 60)

        def pids() -> dict[str, set[int]]:
            found = {p for p in descendants(daemon) if "programs.gateway" in command_line(p)}
            return {"workers": found, "daemon": {daemon}} if found else {"daemon": {daemon}}

        name = "1 worker" if count == 1 else f"{count} workers"
        yield Endpoint(name, "JSON", ours.url("json"), pids)
