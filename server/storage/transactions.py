"""What changes the database: the jobs of a batch, carried out in one transaction, in the thread of its connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from server.chat.errors import StorageUnavailable
from server.storage.database import Connection, Row, Values
from server.storage.event_rows import cursor_of, load_span
from server.storage.landmarks import Landmarks, delete_oldest, last_key
from server.streaming.events import Cursor, Entry, Event
from server.streaming.log import Claim, Fenced, Span, Stream
from server.streaming.values import value

INSERT_EVENT = """
    INSERT INTO events (key, landmark, session, seq, run, type, message_id, body)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
    WHERE ?9 IS NULL OR EXISTS (SELECT 1 FROM claims WHERE message_id = ?7 AND token = ?9)
"""


@dataclass(slots=True)
class Growth:
    """What a batch, or one job of it, has appended to a log that was `before` so."""

    before: Span
    events: list[Event] = field(default_factory=list)

    @property
    def tail(self) -> Cursor:
        return self.events[-1].cursor if self.events else self.before.tail


Appended = dict[Stream, Growth]  # published when the commit is through


class Transaction:
    """What the body of a store's transaction works with. Its events are read by nobody before it commits."""

    def __init__(self, batches: Batches, connection: Connection, appended: Appended) -> None:
        self._batches = batches
        self._connection = connection
        self._appended = appended

    def fetch_all(self, query: str, values: Values = ()) -> list[Row]:
        return self._connection.fetch_all(query, values)

    def fetch_one(self, query: str, values: Values = ()) -> Row | None:
        return self._connection.fetch_one(query, values)

    def iterate(self, query: str, values: Values = ()) -> Iterator[Row]:
        return self._connection.iterate(query, values)

    def append(self, stream: Stream, entries: Sequence[Entry], claim: Claim | None = None) -> Sequence[Event]:
        """Raises Fenced and UnknownStream; let them through, and all of the body is undone."""
        append = Append(stream, entries, claim)
        events = self._batches.place(self._connection, self._appended, append)
        self._batches.insert(self._connection, [(append, events)])
        return events

    def delete_oldest(self, stream: Stream, upto: int, many: int) -> Row | None:
        """Delete the oldest events of a log, up to place `upto` and at most `many`; the last of them."""
        self._batches.forget_landmarks()
        return delete_oldest(self._connection, stream, upto, many)

    def begin(self, stream: Stream) -> None:
        """The log is new, and empty."""
        origin = self._batches.cursor(stream, 0)
        self._appended[stream] = Growth(Span(origin, origin))

    def end(self, stream: Stream, behind: int = 0) -> Cursor:
        """The tail as this transaction sees it, or as it will be when `behind` more events are appended."""
        tail = self._batches.growth(self._connection, self._appended, stream).tail
        return self._batches.cursor(stream, tail.seq + behind) if behind else tail


class Append(NamedTuple):
    stream: Stream
    entries: Sequence[Entry]
    claim: Claim | None


@value
class Body:
    run: Callable[[Transaction], Any]


Job = Append | Body


class Batches:
    """`run` names this run of the program; `published` tells what is known of a log in memory."""

    def __init__(self, run: str, published: Callable[[Stream], Span | None]) -> None:
        self._run = run
        self._published = published
        self._landmarks: Landmarks | None = None

    def carry_out(self, jobs: Sequence[Job], connection: Connection) -> tuple[list[Any], Appended]:
        """The outcome of each job, in their order, and what they appended together. Raises StorageUnavailable, and
        what a job raises that is alone.
        """
        try:
            return self._in_transaction(connection, jobs, self._together)
        except StorageUnavailable:
            raise  # a second try would fail as well, and a lock be waited for twice
        except Exception:
            if len(jobs) == 1:
                raise
            # Some job of the batch may not be: find out which, each in a savepoint of its own.
            return self._in_transaction(connection, jobs, self._one_by_one)

    def _in_transaction(
        self,
        connection: Connection,
        jobs: Sequence[Job],
        run: Callable[[Connection, Sequence[Job], Appended], list[Any]],
    ) -> tuple[list[Any], Appended]:
        appended: Appended = {}
        try:
            with connection.transaction():
                self._landmarks = self._landmarks or Landmarks(last_key(connection))
                return run(connection, jobs, appended), appended
        except BaseException:
            self.forget_landmarks()
            raise

    def forget_landmarks(self) -> None:
        if self._landmarks is not None:
            self._landmarks.forget()

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
                outcomes.append(job.run(Transaction(self, connection, appended)))
        self.insert(connection, placed)
        return outcomes

    def _one_by_one(self, connection: Connection, jobs: Sequence[Job], appended: Appended) -> list[Any]:
        return [self._alone(connection, job, appended) for job in jobs]

    def _alone(self, connection: Connection, job: Job, appended: Appended) -> Any:
        """The outcome of a job whose failure undoes nothing but itself."""
        own = {stream: Growth(Span(log.before.oldest, log.tail)) for stream, log in appended.items()}
        connection.fetch_all("SAVEPOINT job")
        try:
            [outcome] = self._together(connection, [job], own)
            for stream, log in own.items():
                appended.setdefault(stream, Growth(log.before)).events.extend(log.events)
        except Exception as error:
            connection.fetch_all("ROLLBACK TO job")
            self.forget_landmarks()
            outcome = error
        connection.fetch_all("RELEASE job")
        return outcome

    def place(self, connection: Connection, appended: Appended, append: Append) -> list[Event]:
        """Give entries the next places of the log, as far as this batch knows it."""
        log = self.growth(connection, appended, append.stream)
        epoch, last = self.cursor(append.stream, log.tail.seq)
        events = [
            Event(Cursor(epoch, seq), entry.type, entry.body, entry.message_id)
            for seq, entry in enumerate(append.entries, last + 1)
        ]
        log.events += events
        return events

    def insert(self, connection: Connection, placed: Sequence[tuple[Append, Sequence[Event]]]) -> None:
        """Raises Fenced if any row was refused; the transaction has to be undone then."""
        assert self._landmarks is not None
        rows = [
            (
                *self._landmarks.place(append.stream, event.cursor.seq),
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

    def growth(self, connection: Connection, appended: Appended, stream: Stream) -> Growth:
        log = appended.get(stream)
        if log is None:
            log = appended[stream] = Growth(self._published(stream) or load_span(connection, stream))
        return log

    def cursor(self, stream: Stream, seq: int) -> Cursor:
        return cursor_of(stream, self._run, seq)
