"""The endpoint of every path that leads nowhere: says so, and what to do."""

import re

from mooring.gateway.call import Call
from mooring.transports.envelope import Envelope, peek

_ENDPOINT = re.compile(r"(?:/ns/([^/]{1,200}))?/(servers|virtual)/([^/]{1,200})/mcp/?")


class Nowhere:
    """Answers 404 in words."""

    def __init__(self, path: str, *, loaded: bool) -> None:
        self._path = path
        self._loaded = loaded

    async def answer(self, call: Call) -> None:
        """See `Endpoint`."""
        message = peek(call.request.body) if call.request.method == "POST" else None
        if isinstance(message, Envelope):
            call.message = message  # so that the answer has its id
        if not self._loaded:
            call.refuse(503, "NoReadyInstance", "Mooring is starting and does not know its servers")
            return
        call.refuse(404, "NotFound", _words(self._path))


def _words(path: str) -> str:
    found = _ENDPOINT.fullmatch(path)
    if found is None:
        return "nothing is at this path; endpoints are /servers/NAME/mcp and /virtual/NAME/mcp"
    namespace, kind, name = found.groups()
    where = f" in namespace {_shown(namespace)}" if namespace else ""
    if kind == "virtual":
        return f"no virtual server {_shown(name)}{where}. Fix: moor get vmcp"
    return f"no server {_shown(name)}{where}. Fix: moor get servers"


def _shown(text: str) -> str:
    """In double quotes, printable, cut."""
    return '"' + ascii(text[:100])[1:-1] + '"'
