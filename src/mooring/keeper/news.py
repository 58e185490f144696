"""What has changed since somebody last looked: numbers for the long poll.

Each change has a number. The first one is the time of the start in milliseconds, so that the
numbers of a new keeper are above all of those that an earlier one gave, and whoever comes with
an old number is told everything.
"""

import asyncio

_REMEMBERED = 1000
"""How many of those gone are remembered; who asks about longer ago looks at the list."""


class News:
    """The latest change of each slot."""

    def __init__(self, first: int) -> None:
        self.sequence = first
        self._changed: dict[str, int] = {}
        self._gone: dict[str, int] = {}
        self._next: asyncio.Future[None] | None = None

    def changed(self, uid: str) -> None:
        """A slot is new or different."""
        self._changed[uid] = self._advance()

    def gone(self, uid: str) -> None:
        """A slot was forgotten."""
        self._changed.pop(uid, None)
        self._gone[uid] = self._advance()
        while len(self._gone) > _REMEMBERED:
            del self._gone[next(iter(self._gone))]

    def since(self, number: int) -> tuple[list[str], list[str]]:
        """Uids of slots that changed and of slots that went after that number, sorted."""
        if number > self.sequence:
            number = 0
        return (
            sorted(uid for uid, at in self._changed.items() if at > number),
            sorted(uid for uid, at in self._gone.items() if at > number),
        )

    async def wait(self, number: int, seconds: float, gone: asyncio.Future[None]) -> None:
        """Returns at the first change after that number, when time is up, or when asker is gone."""
        if number != self.sequence or gone.done():
            return
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._next, gone], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    def _advance(self) -> int:
        self.sequence += 1
        if self._next is not None:
            self._next.set_result(None)
            self._next = None
        return self.sequence
