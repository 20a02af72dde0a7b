"""The EventLog in SQLite, and the writer that it shares with the store.

Everything that changes the database is a job of one group commit: appends, which need no answer from
the database, and transactions of the store, which do. Only when the commit is through do events reach
the tails in memory, and with them the readers.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future, Lock, get_running_loop
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any, NamedTuple, TypeVar
from weakref import WeakValueDictionary

from server.storage.blocks import BLOCK, MAX_BLOCK, Block, Blocks
from server.storage.database import Connection, Database, Row
from server.storage.event_rows import cursor_of, event_of, load_page, load_span, new_run
from server.storage.transactions import Append, Appended, Batches, Body, Growth, Job, Transaction
from server.streaming.events import Cursor, Entry, Event
from server.streaming.log import (
    PAGE,
    PAGE_BYTES,
    Claim,
    CursorReset,
    Entries,
    Sink,
    Span,
    Stream,
    at_most,
)
from server.streaming.tail import Tail
from server.streaming.writer import GroupCommit

Result = TypeVar("Result")

LARGE = 16_384  # characters of an event's body
LONG = 1_024  # bytes of JSON, of an event
SHORT = 0.001  # seconds
MAX_PAUSE = 0.005
MAX_IDLE = 64  # tails of logs that nobody follows


class Later(NamedTuple):
    """An append whose entries are known only when its turn has come."""

    stream: Stream
    entries: Callable[[], Sequence[Entry]]
    claim: Claim | None


class SqliteEventLog:
    """EventLog over the tables `sessions`, `events` and `claims`.

    Should the end of a log be lost behind SQLite's back (a truncated WAL, an old backup put in its place),
    the next run writes those places again under another epoch, and cursors to what was lost are refused.
    """

    def __init__(self, database: Database, run: str | None = None) -> None:
        self.run = run or new_run()
        self._database = database
        self._batches = Batches(self.run, self._published)
        self.writer: GroupCommit[Job | Later] = GroupCommit(self._commit)
        self._tails: dict[Stream, Tail] = {}
        self._enough = MAX_IDLE  # tails at which it is time to look for idle ones
        self._blocks = Blocks(self._block)
        self._large: WeakValueDictionary[Cursor, Event] = WeakValueDictionary()
        self._dropped = 0
        self._behind = Lock()

    def start(self) -> None:
        self.writer.start()

    async def aclose(self) -> None:
        await self.writer.aclose()

    # The port.

    def append(self, stream: Stream, entries: Entries, claim: Claim | None = None) -> Future[Sequence[Event]]:
        return self.writer.submit(
            Later(stream, entries, claim) if callable(entries) else Append(stream, entries, claim)
        )

    async def span(self, stream: Stream) -> Span:
        return (await self._tail(stream)).span

    async def read(
        self, stream: Stream, after: Cursor, limit: int = PAGE, max_bytes: int = PAGE_BYTES
    ) -> Sequence[Event]:
        tail = self._tails.get(stream) or await self._tail(stream)
        # Ahead of the tail may lie what is committed and not published yet: the table decides.
        events = None if after.seq > tail.end.seq else tail.since(after, limit)
        if events is None:
            events = await self._shared(tail, stream, after, limit)
        if events is None:
            events = await self._page(tail, stream, after, limit, max_bytes)
        return at_most(events, max_bytes)

    async def wait(self, stream: Stream, after: Cursor, timeout: float) -> None:
        tail = self._tails.get(stream) or await self._tail(stream)
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

    # For the store.

    def transact(self, body: Callable[[Transaction], Result]) -> Future[Result]:
        """Run `body` in a transaction of its own; what it raises undoes it and is raised through the future.

        It may run twice: change nothing in it but the database.
        """
        return self.writer.submit(Body(body))

    def forget(self, stream: Stream) -> None:
        """The session is gone: whoever still reads it finds out now."""
        self._drop(stream)

    def trimmed(self, stream: Stream, oldest: Cursor) -> None:
        """Everything up to `oldest` was deleted from the table."""
        self._dropped += 1  # what is being loaded may be older than that
        tail = self._tails.get(stream)
        if tail is not None:
            tail.oldest = oldest

    # Committing.

    async def _commit(self, batch: Sequence[Job | Later]) -> Sequence[Any]:
        self._database.verify()
        jobs = [Append(job.stream, job.entries(), job.claim) if isinstance(job, Later) else job for job in batch]
        if all(isinstance(job, Append) and not job.entries for job in jobs):
            return [()] * len(jobs)
        return await self._database.write(partial(self._write, jobs, get_running_loop()))

    def _write(self, jobs: Sequence[Job], loop: AbstractEventLoop, connection: Connection) -> Sequence[Any]:
        """In the thread of the connection."""
        outcomes, appended = self._batches.carry_out(jobs, connection)
        # Not when the writer's task hears of it: on a busy loop every turn takes milliseconds.
        loop.call_soon_threadsafe(self._publish_all, appended)
        return outcomes

    def _publish_all(self, appended: Appended) -> None:
        began = monotonic()
        for stream, log in appended.items():
            if log.events:
                self._publish(stream, log)
        took = monotonic() - began
        # If publishing took long, pause before the next commit as long as it took: otherwise the loop would do nothing
        # else, and half as many commits of twice the size cost half. Long chunks gain nothing from waiting.
        if took > SHORT and average_size(appended) < LONG:
            self.writer.pause = min(took, MAX_PAUSE)

    def _published(self, stream: Stream) -> Span | None:
        tail = self._tails.get(stream)
        return tail.span if tail else None

    def _publish(self, stream: Stream, log: Growth) -> None:
        tail = self._tails.get(stream) or self._keep(stream, Tail(log.before.oldest, log.before.tail))
        events = log.events
        # A reader may have loaded the span from the table after the commit, before this.
        tail.append(events[max(0, tail.end.seq + 1 - events[0].cursor.seq) :])

    # Reading.

    async def _tail(self, stream: Stream) -> Tail:
        while (tail := self._tails.get(stream)) is None:
            dropped = self._dropped
            span = await self._database.read(lambda connection: load_span(connection, stream))
            if stream not in self._tails and dropped == self._dropped:
                return self._keep(stream, Tail(span.oldest, span.tail))
        return tail

    async def _shared(self, tail: Tail, stream: Stream, after: Cursor, limit: int) -> Sequence[Event] | None:
        """The rest of the block that follows a cursor, if there is a whole one, and the cursor is right."""
        number = after.seq // BLOCK
        first = number * BLOCK
        if first < tail.oldest.seq or first + BLOCK > tail.end.seq:
            return None
        block = await self._blocks.get(stream, number)
        if block is None or first < tail.oldest.seq or self._tails.get(stream) is not tail:
            return None  # it expired meanwhile, or the session is gone
        events = block.since(after)
        return events and events[:limit]

    async def _block(self, stream: Stream, number: int) -> Block | None:
        first = number * BLOCK
        rows, span = await self._database.read(
            lambda connection: (
                load_page(connection, stream, first, BLOCK + 1, MAX_BLOCK),
                load_span(connection, stream),
            )
        )
        events = [self._event(stream, row) for row in rows]
        before = events.pop(0).cursor if events and events[0].cursor.seq == first else span.oldest
        whole = before.seq == first and len(events) >= BLOCK
        return Block(before, events[:BLOCK]) if whole else None

    async def _page(self, tail: Tail, stream: Stream, after: Cursor, limit: int, max_bytes: int) -> Sequence[Event]:
        # One after the other: hundreds who are far behind would keep all connections, and the loop, from others.
        async with self._behind:
            # The span is not taken from the tail: the log may have been trimmed this very moment.
            rows, span = await self._database.read(
                lambda connection: (
                    # The event at the cursor itself comes first: it proves the cursor.
                    load_page(connection, stream, after.seq, limit + 1, max_bytes),
                    load_span(connection, stream),
                )
            )
        events = [self._event(stream, row) for row in rows]
        if after == span.oldest:
            return [event for event in events if event.cursor.seq > after.seq][:limit]
        if after.seq > span.tail.seq:
            raise CursorReset("ahead" if after.epoch in (span.tail.epoch, tail.base.epoch) else "epoch", span.oldest)
        if after.seq < span.oldest.seq:
            raise CursorReset("expired", span.oldest)
        if not events or events[0].cursor != after:
            raise CursorReset("epoch", span.oldest)
        return events[1:]

    def _event(self, stream: Stream, row: Row) -> Event:
        """Large ones are shared by all who hold them: they may be waiting for hundreds of slow readers."""
        if len(row["body"]) < LARGE:
            return event_of(stream, row)
        cursor = cursor_of(stream, row["run"], row["seq"])
        event = self._large.get(cursor)
        if event is None:
            event = self._large[cursor] = event_of(stream, row)
        return event

    def _keep(self, stream: Stream, tail: Tail) -> Tail:
        if len(self._tails) >= self._enough:
            self._drop_idle()
        self._tails[stream] = tail
        return tail

    def _drop_idle(self) -> None:
        # Many at a time, and the oldest: a young one has readers that are just on their way.
        idle = [stream for stream, tail in self._tails.items() if tail.idle]
        for stream in idle[: -MAX_IDLE // 2]:
            self._drop(stream)
        self._enough = len(self._tails) + MAX_IDLE // 2

    def _drop(self, stream: Stream) -> None:
        self._dropped += 1
        tail = self._tails.pop(stream, None)
        if tail is not None:
            tail.close()


def average_size(appended: Appended) -> float:
    """Bytes of JSON, of an event."""
    sizes = [len(event.json) for log in appended.values() for event in log.events]
    return sum(sizes) / max(1, len(sizes))
