"""A client of the virtual server `all`, on one connection, for tests with processes."""

import http.client
import json
from typing import Any

HEAD = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x"}}


class Client:
    """One, with one session at a time."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._session = ""
        self.open()

    def open(self) -> None:
        """Begins another session."""
        self._session = ""
        self.ask("initialize", INITIALIZE)

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request, which must come with 200."""
        told = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        headers = HEAD | ({"mcp-session-id": self._session} if self._session else {})
        self._connection.request("POST", "/virtual/all/mcp", json.dumps(told), headers)
        response = self._connection.getresponse()
        self._session = response.headers.get("mcp-session-id", self._session)
        body = response.read()
        assert response.status == 200, (response.status, body)
        if response.headers["content-type"] == "text/event-stream":
            body = body.rpartition(b"data: ")[2]
        return dict(json.loads(body))

    def listed(self) -> set[str]:
        """The servers whose tool `who` is on the list."""
        tools = self.ask("tools/list", {})["result"]["tools"]
        return {tool["name"].removesuffix("_who") for tool in tools}

    def close(self) -> None:
        self._connection.close()
