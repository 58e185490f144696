"""A small MCP server over stdio that does, when asked, whatever a server may do.

Plain Python, one thread, no SDK. `Toy.take` is given one line and returns the lines to be
written, so that a test may also run it without a process. Options, as words on the command
line: the eras that it speaks (`session`, the default, `stateless`, `dual`: both from one
process, `locking`: the one that comes first, `fatal`: dies of an unexpected first request,
`silent`: ignores one), what its tools want (`mirrored`: an argument in a header), and how it
writes (`crlf`, `bom`, `batch`, `tail`: the id last). `tolerant`: it does not die of
what it does not understand.
"""

import json
import os
import sys
import time
from typing import Any

Message = dict[str, Any]
VERSION = "2026-07-28"
KEY = "io.modelcontextprotocol/"


class Leave(Exception):
    """The process ends with this code."""


class Toy:
    """The server."""

    def __init__(self, *words: str) -> None:
        self.words = words
        self.initializes = 0
        self.era = ""
        self.heard: list[Message] = []
        """Notifications and responses that came."""
        self.held: dict[str, Message] = {}
        """Requests that wait for `release`, by the key that they were given."""
        self.asked: dict[Any, Message] = {}
        """Requests that wait for the client's answer, by the id of our question."""
        self.listening: list[Any] = []
        self.out: list[Message | str] = []

    def take(self, line: str) -> list[str]:
        """What to write when this line comes."""
        message = json.loads(line)
        self.out = []
        if "method" not in message:
            self.hear_response(message)
        elif "id" not in message:
            self.hear(message)
        elif not self.admits(message):
            self.refuse_era(message)
        else:
            self.answer_request(message)
        written = [o if isinstance(o, str) else self.dump(o) for o in self.out]
        if "batch" in self.words and written:
            return ["[" + ",".join(written) + "]"]
        return written

    def dump(self, message: Message) -> str:
        if "tail" in self.words and "id" in message:
            message = message | {"id": message.pop("id")}
        return json.dumps(message, separators=(",", ":"))

    def misunderstood(self, message: Message) -> str:
        """What is said to a message that is none."""
        error = {"code": -32603, "message": "misunderstood"}
        return self.dump({"jsonrpc": "2.0", "id": message.get("id"), "error": error})

    # -- eras

    def admits(self, message: Message) -> bool:
        modern = KEY + "protocolVersion" in message.get("params", {}).get("_meta", {})
        era = "stateless" if modern else "session"
        if "dual" in self.words:
            return True
        if "locking" in self.words:
            self.era = self.era or era
            return self.era == era
        if "stateless" in self.words:
            return modern
        return not modern

    def refuse_era(self, message: Message) -> None:
        if "fatal" in self.words:
            raise Leave(7)
        if "silent" in self.words:
            return
        if "locking" in self.words or "stateless" in self.words:
            code = -32022 if self.era != "session" else -32600
            self.error(message, code, "this connection serves the other era")
        else:
            self.error(message, -32601, "Method not found")

    # -- messages

    def hear(self, note: Message) -> None:
        self.heard.append(note)
        if note["method"] == "notifications/cancelled":
            cancelled = note["params"]["requestId"]
            for key, held in list(self.held.items()):
                if held["id"] == cancelled and not key.startswith("stubborn"):
                    del self.held[key]

    def hear_response(self, response: Message) -> None:
        self.heard.append(response)
        waiting = self.asked.pop(response["id"], None)
        if waiting is not None:
            self.text(waiting, json.dumps(response.get("result", response.get("error"))))

    def answer_request(self, message: Message) -> None:
        method, params = message["method"], message.get("params", {})
        if method == "initialize":
            self.initializes += 1
            self.result(
                message,
                {
                    "protocolVersion": min(params["protocolVersion"], "2025-11-25"),
                    "capabilities": {"tools": {}, "experimental": {"big": {"n": 10**30}}},
                    "serverInfo": {"name": "toy", "version": "1"},
                    "instructions": f"initialize {self.initializes} by {params['clientInfo']}",
                },
            )
        elif method == "server/discover":
            self.result(message, {"supportedVersions": [VERSION], "resultType": "complete"})
        elif method == "subscriptions/listen":
            self.listening.append(message["id"])
            self.announce("notifications/subscriptions/acknowledged", message["id"])
        elif method in ("ping", "resources/subscribe", "resources/unsubscribe"):
            self.heard.append(message)
            self.result(message, {})
        elif method == "tools/list":
            self.result(message, self.listing(params.get("cursor")))
        elif method == "tools/call":
            tool = getattr(self, "tool_" + params["name"], None)
            if tool is None:
                self.error(message, -32602, f"Unknown tool: {params['name']}")
            else:
                tool(message, **params.get("arguments", {}))
        else:
            self.error(message, -32601, "Method not found")

    def listing(self, cursor: str | None) -> Message:
        """Two pages."""
        if cursor is None:
            return {
                "tools": [{"name": "pid", "inputSchema": {"type": "object"}}],
                "nextCursor": "2",
            }
        text = {"type": "string"} | ({"x-mcp-header": "Text"} if "mirrored" in self.words else {})
        schema = {"type": "object", "properties": {"text": text}}
        return {"tools": [{"name": "echo", "inputSchema": schema}]}

    def result(self, request: Message, result: Any) -> None:
        self.out.append({"jsonrpc": "2.0", "id": request["id"], "result": result})

    def error(self, request: Message, code: int, text: str) -> None:
        error = {"code": code, "message": text}
        self.out.append({"jsonrpc": "2.0", "id": request["id"], "error": error})

    def text(self, request: Message, text: str) -> None:
        self.result(request, {"content": [{"type": "text", "text": text}]})

    def notify(self, method: str, **params: Any) -> None:
        self.out.append({"jsonrpc": "2.0", "method": method, "params": params})

    def announce(self, method: str, listener: Any, **params: Any) -> None:
        self.notify(method, _meta={KEY + "subscriptionId": listener}, **params)

    # -- tools

    def tool_echo(self, message: Message, text: str) -> None:
        self.text(message, text)

    def tool_pid(self, message: Message) -> None:
        self.text(message, str(os.getpid()))

    def tool_counted(self, message: Message) -> None:
        self.text(message, str(self.initializes))

    def tool_heard(self, message: Message) -> None:
        self.text(message, json.dumps(self.heard))

    def tool_id(self, message: Message) -> None:
        """Under which id it was asked."""
        self.text(message, json.dumps(message["id"]))

    def tool_hold(self, message: Message, key: str) -> None:
        """Answers when somebody calls `release`."""
        self.held[key] = message

    def tool_held(self, message: Message) -> None:
        self.text(message, json.dumps(sorted(self.held)))

    def tool_release(self, message: Message, key: str) -> None:
        held = self.held.pop(key, None)
        if held is not None:
            self.text(held, f"released {key}")
        self.text(message, str(held is not None))

    def tool_progress(self, message: Message, steps: int, size: int = 0) -> None:
        token = message["params"]["_meta"]["progressToken"]
        for step in range(steps):
            self.notify(
                "notifications/progress", progressToken=token, progress=step, message="x" * size
            )
        self.text(message, "done")

    def tool_step(self, message: Message, key: str) -> None:
        """Progress of a held call."""
        token = self.held[key]["params"]["_meta"]["progressToken"]
        self.notify("notifications/progress", progressToken=token, progress=1)
        self.text(message, "stepped")

    def tool_notify(self, message: Message, method: str, **params: Any) -> None:
        if self.listening:
            for listener in self.listening:
                self.announce(method, listener, **params)
        else:
            self.notify(method, **params)
        self.text(message, "notified")

    def tool_ask(self, message: Message, method: str, question: Any = 1) -> None:
        """Asks the client something and answers with its answer."""
        self.out.append({"jsonrpc": "2.0", "id": question, "method": method, "params": {}})
        self.asked[question] = message

    def tool_bother(self, message: Message, method: str, question: Any) -> None:
        """Asks the client something after this call is over."""
        self.text(message, "asking")
        self.out.append({"jsonrpc": "2.0", "id": question, "method": method, "params": {}})

    def tool_say(self, message: Message, line: str) -> None:
        """Writes something that may be no message."""
        self.out.append(line)
        self.text(message, "said")

    def tool_die(self, message: Message, code: int = 3, words: str = "", part: str = "") -> None:
        sys.stderr.write(words + "\n" if words else "")
        sys.stderr.flush()
        if part:
            os.write(1, part.encode())
        raise Leave(code)

    def tool_mute(self, message: Message) -> None:
        """Closes stdout and lives on."""
        os.close(1)
        while True:
            time.sleep(60)

    def tool_deaf(self, message: Message) -> None:
        """Stops reading stdin."""
        while True:
            time.sleep(60)

    def tool_flood(self, message: Message, lines: int, size: int, method: str) -> None:
        note = {"jsonrpc": "2.0", "method": method, "params": {"x": "x" * size}}
        self.out += [self.dump(note)] * lines
        self.text(message, "flooded")


def main() -> None:
    toy = Toy(*sys.argv[1:])
    end = "\r\n" if "crlf" in toy.words else "\n"
    if "bom" in toy.words:
        os.write(1, b"\xef\xbb\xbf")
    if "noise" in toy.words:
        print("Toy is ready!", flush=True)
    for line in sys.stdin:
        try:
            written = toy.take(line)
        except Leave as leave:
            os._exit(leave.args[0])
        except (AttributeError, LookupError, TypeError, ValueError):
            if "tolerant" not in toy.words:
                raise
            written = [toy.misunderstood(json.loads(line))]
        for text in written:
            sys.stdout.write(text + end)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
