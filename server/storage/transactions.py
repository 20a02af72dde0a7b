"""What changes the database: the jobs of a batch, carried out in one transaction, in the thread of its connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from server.storage.database import Connection, Row, Values
from server.storage.event_rows import cursor_of, load_span
from server.streaming.events import Cursor, Entry, Event
from server.streaming.log import Claim, Fenced, Span, Stream, UnknownStream

INSERT_EVENT = """
    INSERT INTO events (session, seq, run, type, message_id, body)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6
    WHERE ?7 IS NULL OR EXISTS (SELECT 1 FROM claims WHERE message_id = ?5 AND token = ?7)
"""


@dataclass
class Appended:
    """What a batch, or one job of it, has appended so far: published when the commit is through."""

    spans: dict[Stream, Span] = field(default_factory=dict)  # as they are after these events
    before: dict[Stream, Span] = field(default_factory=dict)
    events: dict[Stream, list[Event]] = field(default_factory=dict)

    @property
    def average_size(self) -> float:
        """Bytes of JSON, of an event."""
        sizes = [len(event.json) for events in self.events.values() for event in events]
        return sum(sizes) / max(1, len(sizes))

    def update(self, other: Appended) -> None:
        self.spans |= other.spans
        self.before |= other.before
        for stream, events in other.events.items():
            self.events.setdefault(stream, []).extend(events)


class Transaction:
    """What the body of a store's transaction works with. Its events are read by nobody before it commits."""

    def __init__(self, batches: Batches, connection: Connection, before: Appended) -> None:
        self.appended = Appended(dict(before.spans), dict(before.before))
        self._batches = batches
        self._connection = connection

    def fetch_all(self, query: str, values: Values = ()) -> list[Row]:
        return self._connection.fetch_all(query, values)

    def fetch_one(self, query: str, values: Values = ()) -> Row | None:
        return self._connection.fetch_one(query, values)

    def append(self, stream: Stream, entries: Sequence[Entry], claim: Claim | None = None) -> Sequence[Event]:
        """Raises Fenced and UnknownStream; let them through, and all of the body is undone."""
        append = Append(stream, entries, claim)
        events = self._batches.place(self._connection, self.appended, append)
        self._batches.insert(self._connection, [(append, events)])
        return events

    def end(self, stream: Stream) -> Cursor:
        """The tail as this transaction sees it."""
        return (self._batches.known_span(self._connection, self.appended, stream)).tail


class Append(NamedTuple):
    stream: Stream
    entries: Sequence[Entry]
    claim: Claim | None


@dataclass(frozen=True, slots=True)
class Body:
    run: Callable[[Transaction], Any]


Job = Append | Body


def _outcome(job: Job, transaction: Transaction) -> Any:
    if isinstance(job, Append):
        return transaction.append(job.stream, job.entries, job.claim)
    return job.run(transaction)


class Batches:
    """`run` names this run of the program; `published` tells what is known of a log in memory."""

    def __init__(self, run: str, published: Callable[[Stream], Span | None]) -> None:
        self._run = run
        self._published = published

    def carry_out(self, jobs: Sequence[Job], connection: Connection) -> tuple[list[Any], Appended]:
        """The outcome of each job, in their order, and what they appended together."""
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
        jobs: Sequence[Job],
        run: Callable[[Connection, Sequence[Job], Appended], list[Any]],
    ) -> tuple[list[Any], Appended]:
        appended = Appended()
        with connection.transaction():
            return run(connection, jobs, appended), appended

    def _together(self, connection: Connection, jobs: Sequence[Job], appended: Appended) -> list[Any]:
        """Rows of appends that follow each other go to the database in one call."""
        outcomes: list[Any] = []
        placed: list[tuple[Append, Sequence[Event]]] = []
        for job in jobs:
            if isinstance(job, Append):
                events = self.place(connection, appended, job)
                placed.append((job, events))
                outcomes.append(events)
            else:
                self.insert(connection, placed)
                placed = []
                outcomes.append(self._alone(connection, job, appended))
        self.insert(connection, placed)
        return outcomes

    def _single(self, connection: Connection, jobs: Sequence[Job], appended: Appended) -> list[Any]:
        transaction = Transaction(self, connection, appended)
        outcome = _outcome(jobs[0], transaction)
        appended.update(transaction.appended)
        return [outcome]

    def _one_by_one(self, connection: Connection, jobs: Sequence[Job], appended: Appended) -> list[Any]:
        return [self._alone(connection, job, appended) for job in jobs]

    def _alone(self, connection: Connection, job: Job, appended: Appended) -> Any:
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

    def place(self, connection: Connection, appended: Appended, append: Append) -> list[Event]:
        """Give entries the next places of the log, as far as this batch knows it."""
        span = self.known_span(connection, appended, append.stream)
        events = [
            Event(cursor_of(append.stream, self._run, seq), entry.type, entry.body, entry.message_id)
            for seq, entry in enumerate(append.entries, span.tail.seq + 1)
        ]
        if events:
            appended.spans[append.stream] = Span(span.oldest, events[-1].cursor)
            appended.events.setdefault(append.stream, []).extend(events)
        return events

    def insert(self, connection: Connection, placed: Sequence[tuple[Append, Sequence[Event]]]) -> None:
        """Raises Fenced if any row was refused; the transaction has to be undone then."""
        rows = [
            (
                append.stream,
                event.cursor.seq,
                self._run,
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

    def known_span(self, connection: Connection, appended: Appended, stream: Stream) -> Span:
        span = appended.spans.get(stream)
        if span is None:
            span = self._published(stream) or load_span(connection, stream)
            appended.spans[stream] = appended.before[stream] = span
        return span
