"""Parts of logs, as many readers at once need them: each loaded once, and shared by all who read it.

When a server comes back, or a network does, everybody reads the same part of the same log at the same moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from server.streaming.events import Cursor, Event
from server.streaming.log import Stream
from server.streaming.values import value

BLOCK = 256  # events
MAX_BLOCK = 1 << 20  # bytes of JSON; what has larger events is read a page at a time
MAX_BYTES = 16 << 20  # bytes of JSON in all
OVERHEAD = 1_000  # bytes that a block counts for besides, or none


@value
class Block:
    """All events of a log in the BLOCK places behind `before`; they never change."""

    before: Cursor
    events: Sequence[Event]

    def since(self, after: Cursor) -> Sequence[Event] | None:
        """What comes behind a cursor; None if that is not one of this log."""
        start = after.seq - self.before.seq
        place = self.events[start - 1].cursor if start else self.before
        return self.events[start:] if place == after else None


Load = Callable[[Stream, int], Awaitable[Block | None]]


class Blocks:
    """`load` gets block `number` of a stream (from 0), or None where there is nothing to share.

    The oldest loaded go first when there are too many; those that are still read are loaded again.
    """

    def __init__(self, load: Load, max_bytes: int = MAX_BYTES) -> None:
        self._load = load
        self._max_bytes = max_bytes
        self._loads: dict[tuple[Stream, int], asyncio.Task[Block | None]] = {}
        self._sizes: dict[tuple[Stream, int], int] = {}
        self._size = 0

    async def get(self, stream: Stream, number: int) -> Block | None:
        """Raises what `load` raises."""
        load = self._loads.get((stream, number))
        if load is None:
            load = asyncio.create_task(self._loaded(stream, number))
            load.add_done_callback(_noted)
            self._loads[stream, number] = load
        # Shielded: one reader that leaves takes nothing from the others.
        return load.result() if load.done() else await asyncio.shield(load)

    async def _loaded(self, stream: Stream, number: int) -> Block | None:
        try:
            block = await self._load(stream, number)
        except BaseException:
            del self._loads[stream, number]
            raise
        self._keep((stream, number), OVERHEAD + sum(len(event.json) for event in (block.events if block else ())))
        return block

    def _keep(self, key: tuple[Stream, int], size: int) -> None:
        self._sizes[key] = size
        self._size += size
        while self._size > self._max_bytes:
            oldest = next(iter(self._sizes))
            del self._loads[oldest]
            self._size -= self._sizes.pop(oldest)


def _noted(load: asyncio.Task[Block | None]) -> None:
    """Whoever waited for it may have gone."""
    if not load.cancelled():
        load.exception()
