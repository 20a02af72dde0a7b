"""The EventLog that forgets with the process: the contract in its plainest form, and a double for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from server.streaming.events import Cursor, Entry, Event
from server.streaming.log import PAGE, PAGE_BYTES, Claim, Entries, Fenced, Sink, Span, Stream, UnknownStream, at_most
from server.streaming.tail import Tail


class MemoryEventLog:
    def __init__(self, epoch: str = "memory") -> None:
        self.claims: set[Claim] = set()
        self._epoch = epoch
        self._tails: dict[Stream, Tail] = {}

    def create(self, stream: Stream) -> None:
        origin = Cursor(self._epoch_of(stream), 0)
        self._tails[stream] = Tail(origin, origin, max_bytes=None)

    def append(self, stream: Stream, entries: Entries, claim: Claim | None = None) -> asyncio.Future[Sequence[Event]]:
        done: asyncio.Future[Sequence[Event]] = asyncio.get_running_loop().create_future()
        try:
            done.set_result(self._append(stream, entries() if callable(entries) else entries, claim))
        except (Fenced, UnknownStream) as error:
            done.set_exception(error)
        return done

    async def span(self, stream: Stream) -> Span:
        return self._tail(stream).span

    async def read(
        self, stream: Stream, after: Cursor, limit: int = PAGE, max_bytes: int = PAGE_BYTES
    ) -> Sequence[Event]:
        return at_most(self._tail(stream).since(after, limit) or (), max_bytes)

    async def wait(self, stream: Stream, after: Cursor, timeout: float) -> None:
        tail = self._tail(stream)
        if tail.end == after:
            await tail.wait(timeout)

    def wake(self, stream: Stream) -> None:
        tail = self._tails.get(stream)
        if tail is not None:
            tail.wake()

    def attach(self, stream: Stream, sink: Sink) -> bool:
        tail = self._tails.get(stream)
        if tail is None or tail.end != sink.after:
            return False
        tail.followers[sink] = None
        return True

    def detach(self, stream: Stream, sink: Sink) -> None:
        tail = self._tails.get(stream)
        if tail is not None:
            tail.followers.pop(sink, None)

    def _append(self, stream: Stream, entries: Sequence[Entry], claim: Claim | None) -> Sequence[Event]:
        tail = self._tail(stream)
        if claim is not None and not self._covers(claim, entries):
            raise Fenced(claim.message_id)
        epoch = self._epoch_of(stream)
        events = [
            Event(Cursor(epoch, seq), entry.type, entry.body, entry.message_id)
            for seq, entry in enumerate(entries, tail.end.seq + 1)
        ]
        tail.append(events)
        return events

    def _covers(self, claim: Claim, entries: Sequence[Entry]) -> bool:
        return claim in self.claims and all(entry.message_id == claim.message_id for entry in entries)

    def _epoch_of(self, stream: Stream) -> str:
        return f"{self._epoch}{stream:x}"  # a cursor of one log is none of another

    def _tail(self, stream: Stream) -> Tail:
        try:
            return self._tails[stream]
        except KeyError:
            raise UnknownStream(stream) from None
