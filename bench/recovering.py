"""How long a call takes whose session lost its instance and is taken over by another one first."""

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from load import Client, answers, open_sessions
from processes import command_line, descendants, wait_until
from systems import TINY, Mooring
from timing import seconds

SESSIONS = 400
AT_ONCE = 16
RECOVERED = re.compile(r'mooring_recoveries_total\{outcome="recovered"\} (\d+)')
COMMAND = [sys.executable, f"{TINY}/upstream.py", "$(PORT)", "127.0.0.1", "sessions"]
SERVER = f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: held}}
spec:
  source: {{command: {json.dumps(COMMAND)}}}
  transport: streamable-http
  eras: session
  replicas: 2
"""


def recoveries(ours: Mooring) -> dict[str, float]:
    """Seconds of calls that began after one of two instances was killed; of sessions it held."""
    manifest = ours.home / "held.yaml"
    manifest.write_text(SERVER)
    with ours.up("serve"):
        wait_until("the API", lambda: _succeeds(lambda: ours.moor("get", "servers")), 60)
        ours.moor("apply", "-f", str(manifest))
        wait_until("both instances", lambda: len(_instances(ours)) == 2, 60)
        wait_until("the server", lambda: answers(ours.url("held")), 60)
        sessions = open_sessions(ours.url("held"), SESSIONS)
        os.kill(min(_instances(ours)), signal.SIGKILL)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            took = sorted(threads.map(lambda session: _call(ours.url("held"), session), sessions))
        lost = took[-_recovered(ours) :]
    ours.forget()
    return {
        "p50": lost[len(lost) // 2],
        "p99": lost[len(lost) * 99 // 100],
        "sessions": float(len(lost)),
    }


def _instances(ours: Mooring) -> set[int]:
    return {p for p in descendants(ours.keeper()) if _is_instance(command_line(p))}


def _is_instance(command: str) -> bool:
    return "upstream.py" in command and command.startswith(sys.executable)


def _succeeds(act: Callable[[], object]) -> bool:
    try:
        act()
    except RuntimeError:
        return False
    return True


def _call(url: str, session: str) -> float:
    """Seconds until a call of this session is answered.

    One that reached the dying process may have run, and is called again.
    """
    with closing(Client(url)) as client:
        client.session = session
        return seconds(lambda: wait_until("the answer", lambda: _succeeds(client.call), 30))


def _recovered(ours: Mooring) -> int:
    with closing(Client(ours.url("held").replace("/servers/held/mcp", "/metrics"))) as client:
        found = RECOVERED.search(client.request("GET")[1].decode())
    if found is None:
        raise RuntimeError("no session was recovered")
    return int(found[1])
