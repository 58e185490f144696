"""A client of one session, on plain HTTP, so that tests see what comes back."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


class Client:
    """Posts messages to one endpoint, with the session that it was given."""

    def __init__(self, url: str, seconds: float = 30) -> None:
        parts = urlsplit(url)
        self._authority = parts.netloc
        self._path = parts.path
        self._seconds = seconds
        self._number = 0
        self.session = ""

    def post(self, message: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and message of the answer; each on a connection of its own."""
        connection = http.client.HTTPConnection(self._authority, timeout=self._seconds)
        headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
        }
        if self.session:
            headers["mcp-session-id"] = self.session
        try:
            connection.request(
                "POST", self._path, json.dumps({"jsonrpc": "2.0", **message}), headers
            )
            response = connection.getresponse()
            self.session = response.getheader("mcp-session-id") or self.session
            body = response.read().decode()
        finally:
            connection.close()
        return response.status, _message(body)

    def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result of a request that must succeed."""
        self._number += 1
        status, answer = self.post({"id": self._number, "method": method, "params": params or {}})
        assert status == 200, (status, answer)
        assert "result" in answer, answer
        found = answer["result"]
        assert isinstance(found, dict)
        return found

    def open(self) -> "Client":
        """Opens a session."""
        self.ask("initialize", INITIALIZE)
        assert self.post({"method": "notifications/initialized"})[0] == 202
        return self

    def delete(self) -> int:
        """Ends the session; returns the status."""
        connection = http.client.HTTPConnection(self._authority, timeout=self._seconds)
        try:
            connection.request("DELETE", self._path, headers={"mcp-session-id": self.session})
            return connection.getresponse().status
        finally:
            connection.close()

    def try_call(self, tool: str, **arguments: Any) -> bool:
        """Whether a tool answers with a result."""
        params = {"name": tool, "arguments": arguments}
        status, answer = self.post({"id": "try", "method": "tools/call", "params": params})
        return status == 200 and "result" in answer

    def call(self, tool: str, **arguments: Any) -> str:
        """The text that a tool answers."""
        content = self.ask("tools/call", {"name": tool, "arguments": arguments})["content"]
        return str(content[0]["text"])


def _message(body: str) -> dict[str, Any]:
    """The last message of an answer in JSON, or as a stream of events."""
    for line in reversed(body.splitlines()):
        text = line.removeprefix("data:").strip()
        if text.startswith("{"):
            found = json.loads(text)
            assert isinstance(found, dict)
            return found
    return {}
