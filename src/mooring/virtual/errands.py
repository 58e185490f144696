"""What goes on beside requests: listening to backends, declining their questions, ending sessions.

All of it belongs to the gateway and ends with it; what fails is nobody's answer.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

from mooring import telemetry
from mooring.errors import MooringError

LIMIT: Final = 20_000
"""So many may be under way; what exceeds it is not begun."""


class Errands:
    """Runs them in a group of tasks."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None
        self._count = 0

    def begin(self, group: asyncio.TaskGroup | None) -> None:
        """From now on work is done in this group; with None, not at all."""
        self._group = group

    @property
    def going(self) -> bool:
        """Whether there is a group to do anything in."""
        return self._group is not None

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """Begins one; None where it cannot."""
        if self._group is None or self._count >= LIMIT:
            work.close()
            return None
        contained = _contained(work)
        try:
            task = self._group.create_task(contained)
        except RuntimeError:  # the group is at its end
            contained.close()
            work.close()
            return None
        self._count += 1

        def ended(_: asyncio.Task[None]) -> None:
            self._count -= 1
            work.close()  # it may never have begun

        task.add_done_callback(ended)
        return task


async def _contained(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except MooringError:
        return
    except Exception as error:  # noqa: BLE001 - the top of a task: the others go on
        telemetry.event("virtual.errand_failed", logging.ERROR, error=repr(error))
