"""Somebody who follows a log: a Sink that keeps what it is given, up to some place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from server.streaming.events import Cursor, Event
from server.streaming.log import EventLog, Stream, follow


class Collector:
    """`room` tells how many of so many events can be taken at once."""

    def __init__(self, after: Cursor, last: int, room: Callable[[int], int] = lambda wanted: wanted) -> None:
        self.after = after
        self.events: list[Event] = []
        self.resting = asyncio.Event()
        self.handed = 0  # events that came without a read
        self._last = last
        self._room = room
        self._woken = asyncio.Event()

    def take(self, events: Sequence[Event]) -> bool:
        assert events
        taken = min(len(events), self._room(len(events)))
        self.handed += taken
        self._keep(events[:taken])
        return taken == len(events) and not self.done

    async def write(self, events: Sequence[Event]) -> None:
        self._keep(events)
        if self.done:
            self.wake()

    async def rest(self) -> bool:
        self.resting.set()
        await self._woken.wait()
        self._woken.clear()
        self.resting.clear()
        return not self.done

    def wake(self) -> None:
        self._woken.set()

    @property
    def seqs(self) -> list[int]:
        return [event.cursor.seq for event in self.events]

    @property
    def done(self) -> bool:
        return self.after.seq >= self._last

    def _keep(self, events: Sequence[Event]) -> None:
        assert all(event.cursor.seq > self.after.seq for event in events)
        self.events += events
        if events:
            self.after = events[-1].cursor


def following(log: EventLog, stream: Stream, sink: Collector) -> asyncio.Task[list[int]]:
    """The numbers of all events that `sink` was given."""

    async def run() -> list[int]:
        await follow(log, stream, sink)
        return sink.seqs

    return asyncio.create_task(run())
