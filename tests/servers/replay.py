"""A stdio MCP server that plays back bytes: `replay.py DIRECTORY [stateless]`.

Every line that it gets is added to the file `heard` of the directory, byte for byte. After the
handshake, every request is answered with the bytes of the file `play`, in which `@ID@` and
`@TOKEN@` stand for the raw id and progress token of the request.
"""

import os
import re
import sys
from pathlib import Path

ID = re.compile(rb'"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9]+)')
TOKEN = re.compile(rb'"progressToken"\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9]+)')
WELCOME = (
    b'{"jsonrpc":"2.0","id":@ID@,"result":{"protocolVersion":"2025-11-25",'
    b'"capabilities":{"tools":{}},"serverInfo":{"name":"replay","version":"1"}}}\n'
)
TOOLS = b'{"jsonrpc":"2.0","id":@ID@,"result":{"tools":[]}}\n'
DISCOVERED = (
    b'{"jsonrpc":"2.0","id":@ID@,"result":{"supportedVersions":["2026-07-28"],'
    b'"capabilities":{"tools":{}},"resultType":"complete"}}\n'
)
NO_METHOD = b'{"jsonrpc":"2.0","id":@ID@,"error":{"code":-32601,"message":"Method not found"}}\n'


def main(directory: Path, *words: str) -> None:
    play = directory / "play"
    with (directory / "heard").open("ab", buffering=0) as heard:
        for line in sys.stdin.buffer:
            id = ID.search(line)
            if b'"notifications/initialized"' in line:
                continue
            if b'"server/discover"' in line:
                answer = DISCOVERED if "stateless" in words else NO_METHOD
            elif b'"initialize"' in line:
                answer = WELCOME
            elif b'"tools/list"' in line:
                answer = TOOLS
            else:
                heard.write(line)
                answer = play.read_bytes() if b'"method"' in line and id else b""
            token = TOKEN.search(line)
            answer = answer.replace(b"@ID@", id[1] if id else b"null")
            answer = answer.replace(b"@TOKEN@", token[1] if token else b"null")
            while answer:
                answer = answer[os.write(1, answer) :]


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
