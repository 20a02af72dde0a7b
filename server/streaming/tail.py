"""The newest events of one log, in memory. Nothing concurrent inside."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from server.streaming.events import Cursor, Event
from server.streaming.log import CursorReset, Sink, Span

MAX_BYTES = 4 << 20  # of memory
COPIES = 3  # of an event's JSON: as it is, framed for SSE, and as a line if anybody reads those
OVERHEAD = 400  # bytes of an event besides: its objects, and what the frame adds


class Tail:
    """Everything after `base`; what is older has to be read from storage.

    Of that it holds at most `max_bytes`, but always the last event.
    `oldest` is the place before the first event that is kept anywhere, so `base` is never before it.
    """

    __slots__ = ("_events", "_max_bytes", "_size", "base", "followers", "oldest", "waiters")

    def __init__(self, oldest: Cursor, base: Cursor, max_bytes: int | None = MAX_BYTES) -> None:
        self.oldest = oldest
        self.base = base
        self.waiters: set[asyncio.Future[None]] = set()
        self.followers: dict[Sink, None] = {}  # in the order in which they came
        self._events: list[Event] = []
        self._size = 0
        self._max_bytes = max_bytes

    @property
    def end(self) -> Cursor:
        return self._events[-1].cursor if self._events else self.base

    @property
    def span(self) -> Span:
        return Span(self.oldest, self.end)

    @property
    def idle(self) -> bool:
        """Whether nobody would miss it."""
        return not self.waiters and not self.followers

    def append(self, events: Sequence[Event]) -> None:
        """Add what was just committed (perhaps nothing), hand it to those who follow, wake who waits for it."""
        if not events:
            return
        self._events += events
        self._size += sum(map(_memory, events))
        if self._max_bytes is not None and self._size > self._max_bytes:
            self._trim(self._max_bytes // 2)
        lagging = [sink for sink in self.followers if not _taken(sink, events)]
        for sink in lagging:
            del self.followers[sink]
            sink.wake()
        if self.waiters:
            self.wake()

    def close(self) -> None:
        """Send everybody away: this is not the tail of the log any more."""
        for sink in self.followers:
            sink.wake()
        self.followers.clear()
        self.wake()

    def wake(self) -> None:
        for waiter in self.waiters:
            _wake(waiter)
        self.waiters.clear()

    async def wait(self, timeout: float) -> None:
        """Until something is appended, `wake` is called, or `timeout` seconds have passed."""
        # A bare future and timer: asyncio.wait_for and timeout() cost several times as much, and this is
        # what every idle reader sits in.
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(timeout, _wake, waiter)
        self.waiters.add(waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self.waiters.discard(waiter)

    def since(self, after: Cursor, limit: int) -> Sequence[Event] | None:
        """At most `limit` events after `after`; None when they begin before `base`. Raises CursorReset."""
        end = self.end
        if after == end:
            return ()
        if after.seq >= end.seq:
            known = after.seq > end.seq and after.epoch in (end.epoch, self.base.epoch)
            raise CursorReset("ahead" if known else "epoch", self.oldest)
        if after.seq < self.oldest.seq:
            raise CursorReset("expired", self.oldest)
        if after.seq == self.oldest.seq and after != self.oldest:
            raise CursorReset("epoch", self.oldest)
        if after.seq < self.base.seq:
            return None
        start = after.seq - self.base.seq
        if (self._events[start - 1].cursor if start else self.base) != after:
            raise CursorReset("epoch", self.oldest)
        return self._events[start : start + limit]

    def _trim(self, down_to: int) -> None:
        # Half at a time, so that the cost of moving the rest is spread over many appends.
        drop = 0
        while self._size > down_to and drop < len(self._events) - 1:
            self._size -= _memory(self._events[drop])
            drop += 1
        if drop:
            self.base = self._events[drop - 1].cursor
            del self._events[:drop]


def _memory(event: Event) -> int:
    return COPIES * len(event.json) + OVERHEAD


def _taken(sink: Sink, events: Sequence[Event]) -> bool:
    try:
        return sink.take(events)
    except Exception:
        return False  # it fails again when it reads on, where it is alone; the others have done nothing


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
