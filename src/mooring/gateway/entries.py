"""The table's present entries, for those who outlast a table."""

import asyncio

from mooring.core.table import Entry, Table
from mooring.kinds.ref import Ref


class Entries:
    """What the latest table says of each server."""

    def __init__(self) -> None:
        self._entries: dict[Ref, Entry] = {}
        self._changed = asyncio.Event()

    def swap(self, table: Table) -> None:
        """From now on this table holds."""
        self._entries = {entry.ref: entry for entry in table.entries}
        self._changed.set()
        self._changed = asyncio.Event()

    def get(self, ref: Ref) -> Entry | None:
        """The server's entry; None where there is no such server any more."""
        return self._entries.get(ref)

    async def changed(self) -> None:
        """Returns after the next table, which comes when it comes."""
        await self._changed.wait()
