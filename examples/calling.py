"""Calls a tool once a second in one session, and says what comes back: to watch a session go on.

    python examples/calling.py URL TOOL [NAME=VALUE …]

Restart Mooring meanwhile, or kill the server's processes. It opens one session and never another.
"""

import http.client
import json
import sys
import time
from typing import Any
from urllib.parse import urlsplit

HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "calling", "version": "1"},
}


class Session:
    """One session at one URL."""

    def __init__(self, url: str) -> None:
        self._place = urlsplit(url)
        self.id = ""

    def post(self, message: dict[str, Any]) -> Any:
        """The answer; words where there is none."""
        headers = HEADERS | ({"mcp-session-id": self.id} if self.id else {})
        connection = http.client.HTTPConnection(self._place.netloc, timeout=60)
        try:
            connection.request("POST", self._place.path, json.dumps(message), headers)
            response = connection.getresponse()
            self.id = self.id or response.getheader("mcp-session-id") or ""
            return _message(response.read().decode()) or f"HTTP {response.status}"
        except OSError as error:
            return str(error)
        finally:
            connection.close()


def _message(body: str) -> Any:
    """The response in a body, be it JSON or a stream of events."""
    for line in reversed(body.splitlines()):
        text = line.removeprefix("data: ")
        if text.startswith("{"):
            return json.loads(text)
    return None


def _words(answer: Any) -> str:
    if not isinstance(answer, dict):
        return str(answer)
    if "error" in answer:
        return f"error: {answer['error']['message']}"
    return " ".join(str(each.get("text", "")) for each in answer["result"]["content"])


def main() -> None:
    url, tool, *given = sys.argv[1:]
    arguments = dict(pair.split("=", 1) for pair in given)
    session = Session(url)
    session.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO})
    session.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
    number = 0
    while True:
        number += 1
        call = {"name": tool, "arguments": arguments}
        began = time.monotonic()
        answer = session.post(
            {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": call}
        )
        took = (time.monotonic() - began) * 1000
        text = _words(answer).replace("\n", " ")[:60]
        print(f"session {session.id[-6:]}  call {number:3}  {took:5.0f} ms  {text}", flush=True)
        time.sleep(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
