"""Whether anybody still cares: a keeper that hears from no daemon for long ends itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from mooring.clock import Clock


class Presence:
    """When a daemon was last here."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._here = 0
        self._last = clock.monotonic()

    @contextmanager
    def here(self) -> Iterator[None]:
        """Somebody is here for the length of this block, however long it takes."""
        self._here += 1
        try:
            yield
        finally:
            self._here -= 1
            self._last = self._clock.monotonic()

    async def alone(self, seconds: float) -> None:
        """Returns once nobody has been here for so long."""
        while True:
            last = self._clock.monotonic() if self._here else self._last
            rest = last + seconds - self._clock.monotonic()
            if rest <= 0:
                return
            await self._clock.sleep(rest)
