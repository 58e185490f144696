"""A small MCP server over HTTP whose mood can be changed while it runs.

`moody.py PORT FILE`: while FILE says `login` it answers everybody 401. It has one tool, `who`.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

SESSIONS: set[str] = set()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one piece

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        session = self.headers.get("mcp-session-id", "")
        told = json.loads(body)
        if self._mood() == "login":
            self._say(401, headers={"www-authenticate": "Bearer"})
        elif session and session not in SESSIONS:
            self._say(
                404, {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "x"}}
            )
        elif "id" not in told or "method" not in told:
            self._say(202)
        else:
            self._answer(told)

    def _answer(self, told: dict[str, Any]) -> None:
        headers = {}
        result: dict[str, Any] = {}
        if told["method"] == "initialize":
            headers["mcp-session-id"] = session = uuid4().hex
            SESSIONS.add(session)
            result = {
                "protocolVersion": told["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "moody", "version": "1"},
            }
        elif told["method"] == "tools/list":
            result = {"tools": [{"name": "who", "inputSchema": {"type": "object"}}]}
        elif told["method"] == "tools/call":
            result = {"content": [{"type": "text", "text": sys.argv[1]}]}
        elif told["method"] == "server/discover":
            error = {"code": -32601, "message": "Method not found"}
            self._say(404, {"jsonrpc": "2.0", "id": told["id"], "error": error})
            return
        self._say(200, {"jsonrpc": "2.0", "id": told["id"], "result": result}, headers)

    def do_GET(self) -> None:
        self._say(405)

    def do_DELETE(self) -> None:
        SESSIONS.discard(self.headers.get("mcp-session-id", ""))
        self._say(200)

    def _mood(self) -> str:
        file = Path(sys.argv[2])
        return file.read_text().strip() if file.exists() else ""

    def _say(self, status: int, told: object = None, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(told).encode() if told is not None else b""
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
