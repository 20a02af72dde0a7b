"""The EventLog in SQLite, and the writer that it shares with the store.

Everything that changes the database is a job of one group commit: appends, which need no answer from
the database, and transactions of the store, which do. Only when the commit is through do events reach
the tails in memory, and with them the readers.
"""

from __future__ import annotations

import secrets
import string
from asyncio import Future, Lock
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from server.storage.blocks import BLOCK, MAX_BLOCK, Block, Blocks
from server.storage.database import Connection, Database, Row, Values
from server.streaming.events import Cursor, Entry, Event
from server.streaming.log import (
    PAGE,
    PAGE_BYTES,
    Claim,
    CursorReset,
    Fenced,
    Sink,
    Span,
    Stream,
    UnknownStream,
    at_most,
)
from server.streaming.tail import Tail
from server.streaming.writer import GroupCommit

Result = TypeVar("Result")

LARGE = 16_384  # characters of an event's body
MAX_IDLE = 256  # tails of logs that nobody follows

INSERT_EVENT = """
    INSERT INTO events (session, seq, run, type, message_id, body)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6
    WHERE ?7 IS NULL OR EXISTS (SELECT 1 FROM claims WHERE message_id = ?5 AND token = ?7)
"""

# The event at the cursor itself comes first: it proves the cursor.
SELECT_PAGE = """
    SELECT seq, run, type, message_id, body FROM events
    WHERE session = ? AND seq >= ? ORDER BY seq LIMIT ?
"""

SELECT_SPAN = """
    SELECT oldest_run, oldest_seq, events.run AS run, events.seq AS seq
    FROM sessions LEFT JOIN events ON events.session = sessions.key
    WHERE sessions.key = ? ORDER BY events.seq DESC LIMIT 1
"""


def new_run() -> str:
    """Seven random characters that name one run of the program."""
    return "".join(secrets.choice(string.digits + string.ascii_lowercase) for _ in range(7))


def cursor_of(stream: Stream, run: str, seq: int) -> Cursor:
    """Its epoch names one run's part of one log: never the same for two logs, nor for two runs."""
    return Cursor(f"{run}{stream:x}", seq)


def event_of(stream: Stream, row: Row) -> Event:
    return Event(cursor_of(stream, row["run"], row["seq"]), row["type"], row["body"], row["message_id"])


def load_span(connection: Connection | Transaction, stream: Stream) -> Span:
    row = connection.fetch_one(SELECT_SPAN, (stream,))
    if row is None:
        raise UnknownStream(stream)
    oldest = cursor_of(stream, row["oldest_run"], row["oldest_seq"])
    return Span(oldest, oldest if row["seq"] is None else cursor_of(stream, row["run"], row["seq"]))


def load_page(connection: Connection, values: tuple[Stream, int, int], max_bytes: int) -> list[Row]:
    """Rows of SELECT_PAGE, up to `max_bytes` of them, but always one behind the cursor."""
    rows: list[Row] = []
    size = 0
    for row in connection.iterate(SELECT_PAGE, values):
        size += len(row["body"])
        if size > max_bytes and len(rows) > 1:
            break
        rows.append(row)
    return rows


@dataclass
class _Appended:
    """What a batch, or one job of it, has appended so far: published when the commit is through."""

    spans: dict[Stream, Span] = field(default_factory=dict)  # as they are after these events
    before: dict[Stream, Span] = field(default_factory=dict)
    events: dict[Stream, list[Event]] = field(default_factory=dict)

    def update(self, other: _Appended) -> None:
        self.spans |= other.spans
        self.before |= other.before
        for stream, events in other.events.items():
            self.events.setdefault(stream, []).extend(events)


class Transaction:
    """What the body of a store's transaction works with. Its events are read by nobody before it commits."""

    def __init__(self, log: SqliteEventLog, connection: Connection, before: _Appended) -> None:
        self.appended = _Appended(dict(before.spans), dict(before.before))
        self._log = log
        self._connection = connection

    def fetch_all(self, query: str, values: Values = ()) -> list[Row]:
        return self._connection.fetch_all(query, values)

    def fetch_one(self, query: str, values: Values = ()) -> Row | None:
        return self._connection.fetch_one(query, values)

    def append(self, stream: Stream, entries: Sequence[Entry], claim: Claim | None = None) -> Sequence[Event]:
        """Raises Fenced and UnknownStream; let them through, and all of the body is undone."""
        append = _Append(stream, entries, claim)
        events = self._log.place(self._connection, self.appended, append)
        self._log.insert(self._connection, [(append, events)])
        return events

    def end(self, stream: Stream) -> Cursor:
        """The tail as this transaction sees it."""
        return (self._log.known_span(self._connection, self.appended, stream)).tail


@dataclass(frozen=True, slots=True)
class _Append:
    stream: Stream
    entries: Sequence[Entry]
    claim: Claim | None


@dataclass(frozen=True, slots=True)
class _Body:
    run: Callable[[Transaction], Any]


_Job = _Append | _Body


def _outcome(job: _Job, transaction: Transaction) -> Any:
    if isinstance(job, _Append):
        return transaction.append(job.stream, job.entries, job.claim)
    return job.run(transaction)


class SqliteEventLog:
    """EventLog over the tables `sessions`, `events` and `claims`.

    Should the end of a log be lost behind SQLite's back (a truncated WAL, an old backup put in its place),
    the next run writes those places again under another epoch, and cursors to what was lost are refused.
    """

    def __init__(self, database: Database, run: str | None = None) -> None:
        self.run = run or new_run()
        self._database = database
        self.writer: GroupCommit[_Job] = GroupCommit(self._commit)
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

    def append(self, stream: Stream, entries: Sequence[Entry], claim: Claim | None = None) -> Future[Sequence[Event]]:
        return self.writer.submit(_Append(stream, entries, claim))

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

    async def transact(self, body: Callable[[Transaction], Result]) -> Result:
        """Run `body` in a transaction of its own; what it raises undoes it and is raised here.

        It may run twice: change nothing in it but the database.
        """
        result: Result = await self.writer.submit(_Body(body))
        return result

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

    async def _commit(self, jobs: Sequence[_Job]) -> Sequence[Any]:
        self._database.verify()
        outcomes, appended = await self._database.write(partial(self._in_transactions, jobs))
        for stream, events in appended.events.items():
            self._publish(stream, appended.before[stream], events)
        return outcomes

    # In the thread of the connection that writes.

    def _in_transactions(self, jobs: Sequence[_Job], connection: Connection) -> tuple[list[Any], _Appended]:
        if len(jobs) == 1:
            # Its failure is the batch's: no savepoint is needed, nor a second try.
            return self._in_transaction(connection, jobs, self._single)
        try:
            return self._in_transaction(connection, jobs, self._together)
        except (Fenced, UnknownStream):
            # Some append of the batch may not be: find out which, each in a savepoint of its own.
            return self._in_transaction(connection, jobs, self._one_by_one)

    def _in_transaction(
        self,
        connection: Connection,
        jobs: Sequence[_Job],
        run: Callable[[Connection, Sequence[_Job], _Appended], list[Any]],
    ) -> tuple[list[Any], _Appended]:
        appended = _Appended()
        with connection.transaction():
            return run(connection, jobs, appended), appended

    def _together(self, connection: Connection, jobs: Sequence[_Job], appended: _Appended) -> list[Any]:
        """Rows of appends that follow each other go to the database in one call."""
        outcomes: list[Any] = []
        placed: list[tuple[_Append, Sequence[Event]]] = []
        for job in jobs:
            if isinstance(job, _Append):
                events = self.place(connection, appended, job)
                placed.append((job, events))
                outcomes.append(events)
            else:
                self.insert(connection, placed)
                placed = []
                outcomes.append(self._alone(connection, job, appended))
        self.insert(connection, placed)
        return outcomes

    def _single(self, connection: Connection, jobs: Sequence[_Job], appended: _Appended) -> list[Any]:
        transaction = Transaction(self, connection, appended)
        outcome = _outcome(jobs[0], transaction)
        appended.update(transaction.appended)
        return [outcome]

    def _one_by_one(self, connection: Connection, jobs: Sequence[_Job], appended: _Appended) -> list[Any]:
        return [self._alone(connection, job, appended) for job in jobs]

    def _alone(self, connection: Connection, job: _Job, appended: _Appended) -> Any:
        """The outcome of a job whose failure undoes nothing but itself."""
        transaction = Transaction(self, connection, appended)
        connection.fetch_all("SAVEPOINT job")
        try:
            outcome = _outcome(job, transaction)
            appended.update(transaction.appended)
        except Exception as error:
            connection.fetch_all("ROLLBACK TO job")
            outcome = error
        connection.fetch_all("RELEASE job")
        return outcome

    def place(self, connection: Connection, appended: _Appended, append: _Append) -> list[Event]:
        """Give entries the next places of the log, as far as this batch knows it."""
        span = self.known_span(connection, appended, append.stream)
        events = [
            Event(cursor_of(append.stream, self.run, seq), entry.type, entry.body, entry.message_id)
            for seq, entry in enumerate(append.entries, span.tail.seq + 1)
        ]
        if events:
            appended.spans[append.stream] = Span(span.oldest, events[-1].cursor)
            appended.events.setdefault(append.stream, []).extend(events)
        return events

    def insert(self, connection: Connection, placed: Sequence[tuple[_Append, Sequence[Event]]]) -> None:
        """Raises Fenced if any row was refused; the transaction has to be undone then."""
        rows = [
            (
                append.stream,
                event.cursor.seq,
                self.run,
                entry.type,
                entry.message_id,
                entry.body,
                append.claim and append.claim.token,
            )
            for append, events in placed
            for event, entry in zip(events, append.entries, strict=True)
        ]
        if rows and connection.execute_many(INSERT_EVENT, rows) != len(rows):
            raise Fenced("a claim is not held")

    def known_span(self, connection: Connection, appended: _Appended, stream: Stream) -> Span:
        span = appended.spans.get(stream)
        if span is None:
            tail = self._tails.get(stream)
            span = tail.span if tail else load_span(connection, stream)
            appended.spans[stream] = appended.before[stream] = span
        return span

    def _publish(self, stream: Stream, before: Span, events: list[Event]) -> None:
        tail = self._tails.get(stream) or self._keep(stream, Tail(before.oldest, before.tail))
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
        values = (stream, first, BLOCK + 1)
        rows, span = await self._database.read(
            lambda connection: (load_page(connection, values, MAX_BLOCK), load_span(connection, stream))
        )
        events = [self._event(stream, row) for row in rows]
        before = events.pop(0).cursor if events and events[0].cursor.seq == first else span.oldest
        whole = before.seq == first and len(events) >= BLOCK
        return Block(before, events[:BLOCK]) if whole else None

    async def _page(self, tail: Tail, stream: Stream, after: Cursor, limit: int, max_bytes: int) -> Sequence[Event]:
        values = (stream, after.seq, limit + 1)
        # One after the other: hundreds who are far behind would keep all connections, and the loop, from others.
        async with self._behind:
            # The span is not taken from the tail: the log may have been trimmed this very moment.
            rows, span = await self._database.read(
                lambda connection: (load_page(connection, values, max_bytes), load_span(connection, stream))
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
