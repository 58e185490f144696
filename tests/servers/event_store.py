"""An event store for servers of either line of the official SDK."""

from typing import Any

from mcp.server.streamable_http import EventMessage, EventStore


class Events(EventStore):
    """Counts events of all sessions, as simple stores do."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, Any]] = []

    async def store_event(self, stream_id: str, message: Any) -> str:
        self.kept.append((stream_id, message))
        return str(len(self.kept))

    async def replay_events_after(self, last_event_id: str, send_callback: Any) -> str | None:
        at = int(last_event_id)
        stream = self.kept[at - 1][0]
        for number, (owner, message) in enumerate(self.kept[at:], at + 1):
            if owner == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream
