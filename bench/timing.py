"""How long a person waits: for Mooring to be up, for it to be back, for each command."""

import time
from collections.abc import Callable

from load import answers
from processes import wait_until
from systems import Mooring

from mooring.core.identity import ANONYMOUS
from mooring.kinds.ref import Ref
from mooring.sessions.key_file import LIMIT
from mooring.sessions.seal import SealedSession, Sealer

TIMES = 5
PACE = 5.0
"""Seconds: what was started less long ago, and is gone, is not started again at once."""
COUNT = 5_000
COMMANDS = (
    ("--help",),
    ("version",),
    ("get", "servers"),
    ("get", "servers", "-o", "json"),
    ("describe", "server", "stdio"),
    ("events",),
    ("logs", "stdio"),
    ("tools", "stdio"),
    ("call", "stdio", "echo", "text=ahoy"),
    ("apply", "-f", "FLEET"),
    ("diff", "-f", "FLEET"),
    ("wait", "--for=condition=Ready", "server/stdio"),
    ("completion", "bash"),
)


def seconds(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def starts(ours: Mooring) -> dict[str, float]:
    """Seconds from a command to the first answer of a tool; with `serve`, children live on."""

    def first_answer(server: str) -> None:
        wait_until("the first answer", lambda: answers(ours.url(server)), 60)

    fleet = str(ours.home / "fleet.yaml")
    told: dict[str, float] = {}
    with ours.up("up", fleet):
        told["moor up to the first answer of a stdio server"] = seconds(
            lambda: first_answer("stdio")
        )
        time.sleep(PACE)
    with ours.up("serve"):
        told["moor serve to the first answer, servers started anew"] = seconds(
            lambda: first_answer("stdio")
        )
    with ours.up("serve"):
        told["moor serve to the first answer, servers kept by the keeper"] = seconds(
            lambda: first_answer("stdio")
        )
    ours.forget()
    return told


def commands(ours: Mooring) -> dict[str, float]:
    """Seconds that each command takes, the quickest of several."""
    fleet = str(ours.home / "fleet.yaml")
    told = {}
    for command in COMMANDS:
        filled = [fleet if word == "FLEET" else word for word in command]
        times = [seconds(lambda f=filled: ours.moor(*f)) for _ in range(TIMES)]
        told["moor " + " ".join(command)] = min(times)
    return told


def seal_microseconds() -> dict[str, float]:
    """Sealing a session id, and opening it again, with as many keys as there can be."""
    keys = [bytes([number]) * 32 for number in range(LIMIT)]
    sealer = Sealer(*keys)
    told = SealedSession(
        Ref("MCPServer", "default", "tiny"), "0" * 16, b"0" * 32, "2025-11-25", ANONYMOUS, 1 << 31
    )
    text, older = sealer.seal(told), Sealer(keys[-1]).seal(told)

    def each(act: Callable[[], object]) -> float:
        return min(seconds(lambda: [act() for _ in range(COUNT)]) for _ in range(TIMES)) / COUNT

    return {
        "seal": each(lambda: sealer.seal(told)) * 1e6,
        "open": each(lambda: sealer.open(text)) * 1e6,
        f"open with the oldest of {LIMIT} keys": each(lambda: sealer.open(older)) * 1e6,
    }
