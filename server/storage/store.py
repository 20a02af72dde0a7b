"""The Store in SQLite. What changes something is a transaction of the log's writer; reads go beside it."""

from __future__ import annotations

import json
import sqlite3
from asyncio import Future, Lock
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import TypeVar

from server.chat import transcript
from server.chat.errors import Invalid
from server.chat.models import History, Message, MessageAt, Session, Sessions, now, timestamp
from server.chat.provider import Turn
from server.chat.store import Accepted, Idempotency, NewAnswer, NewQuestion, Unfinished
from server.storage import accepting, reading
from server.storage.database import Database
from server.storage.event_log import SqliteEventLog
from server.storage.event_rows import cursor_of
from server.storage.rows import outcome_of, session_of
from server.storage.search import forget_some, index_some, to_index
from server.storage.transactions import Transaction
from server.streaming.events import Cursor, Entry
from server.streaming.log import Claim, Stream, UnknownStream

Result = TypeVar("Result")

KEPT_KEYS = timedelta(hours=24)
PURGE_BATCH = 5_000  # events
PURGE_CHARACTERS = 65_536  # of messages, whose texts leave the search's index; but always one
FORGET_EVERY = 600.0  # seconds at the least: to write the index anew is work
END = 1 << 62  # behind every event

# Everything before the first event of a question or an answer that is still wanted can go. That place moves when
# the age of a message passes the cutoff: only sessions in which one has since the last time are looked at.
SELECT_EXPIRED = """
    SELECT session, oldest_seq, COALESCE(
        MIN(CASE WHEN finished_at IS NULL OR finished_at >= :cutoff THEN after_seq END), MAX(last_seq)
    ) AS upto
    FROM messages JOIN sessions ON sessions.key = messages.session
    WHERE session IN (SELECT session FROM messages WHERE finished_at >= :since AND finished_at < :cutoff)
    GROUP BY session HAVING upto > oldest_seq
"""

# The newest first: an answer goes before its question.
SELECT_SIZES = "SELECT key, LENGTH(content) AS length FROM messages WHERE session = ? ORDER BY key DESC LIMIT 500"


class SqliteStore:
    def __init__(self, database: Database, log: SqliteEventLog, max_queued: int) -> None:
        self._database = database
        self._log = log
        self._max_queued = max_queued
        self._expired = ""  # the cutoff up to which everything is deleted
        self._searching = Lock()
        self._has_deleted = False  # texts that the index still has
        self._forget_at = 0.0

    # Answers.

    def ask(self, question: NewQuestion, answer: NewAnswer) -> Future[Accepted]:
        return self._transact(
            lambda transaction: accepting.ask(transaction, self._log.run, question, answer, self._max_queued)
        )

    def ask_again(self, message_id: str, answer: NewAnswer) -> Future[Accepted]:
        return self._transact(
            lambda transaction: accepting.ask_again(transaction, message_id, answer, self._max_queued)
        )

    async def replay(self, owner: str, known: Idempotency | None) -> Accepted | None:
        return await self._database.read(lambda connection: accepting.replay(connection, owner, known))

    async def turns(self, message: Message) -> Sequence[Turn]:
        return await self._database.read(lambda connection: reading.turns(connection, message))

    async def begin(self, message: Message, claim: Claim, entry: Entry) -> None:
        def body(transaction: Transaction) -> None:
            transaction.append(message.stream, [entry], claim)

        await self._transact(body)

    async def finish(self, message: Message, claim: Claim, entries: Sequence[Entry]) -> None:
        def body(transaction: Transaction) -> None:
            events = transaction.append(message.stream, entries, claim)
            transaction.fetch_all("DELETE FROM claims WHERE message_id = ?", (message.id,))
            transaction.fetch_all(
                """UPDATE messages SET status = :status, content = :content, thinking = :thinking,
                   sources = :sources, provider = :provider, model = :model,
                   finish_reason = :finish_reason, usage = :usage, timings = :timings,
                   problem = :problem, finished_at = :finished_at, last_seq = :last_seq WHERE id = :id""",
                {**outcome_of(message), "last_seq": events[-1].cursor.seq},
            )
            transaction.fetch_all(
                "UPDATE sessions SET updated_at = ? WHERE key = ?", (message.finished_at, message.stream)
            )

        await self._transact(body)

    async def request_cancel(self, message_id: str) -> None:
        def body(transaction: Transaction) -> None:
            transaction.fetch_all(
                "UPDATE messages SET cancel_requested = 1 WHERE id = ? AND status = 'streaming'",
                (message_id,),
            )

        await self._transact(body)

    async def unfinished(self, message_id: str | None = None) -> Sequence[Unfinished]:
        return await self._database.read(lambda connection: reading.unfinished(connection, message_id))

    # Reading.

    async def message(self, owner: str, message_id: str) -> MessageAt:
        return await self._database.read(lambda connection: reading.message(connection, owner, message_id))

    async def find(self, owner: str, message_id: str) -> Message:
        return await self._database.read(lambda connection: reading.find(connection, owner, message_id))

    async def history(self, owner: str, session_id: str, before: str | None, limit: int) -> History:
        return await self._database.read(
            lambda connection: reading.history(connection, owner, session_id, before, limit)
        )

    async def stream_of(self, owner: str, session_id: str) -> Stream:
        return await self._database.read(lambda connection: reading.stream_of(connection, owner, session_id))

    # Sessions.

    async def sessions(self, owner: str, query: str, before: str | None, limit: int) -> Sessions:
        # One search after the other: it may go through a lot, and other reads need a connection meanwhile.
        async with self._searching if query else nullcontext():
            return await self._database.read(
                lambda connection: reading.sessions(connection, owner, query, before, limit)
            )

    async def session(self, owner: str, session_id: str) -> Session:
        return await self._database.read(lambda connection: reading.session(connection, owner, session_id))

    async def create_session(self, owner: str, session_id: str, title: str, timestamp: str) -> Session:
        def body(transaction: Transaction) -> Session:
            try:
                row = accepting.create_session(transaction, self._log.run, owner, session_id, title, timestamp)
            except sqlite3.IntegrityError:
                raise Invalid("id", f"there is a session {session_id} already") from None
            if title:
                transaction.append(row["key"], [transcript.session_changed(title=title)])
            return session_of(row)

        return await self._transact(body)

    async def rename_session(self, owner: str, session_id: str, title: str) -> Session:
        def body(transaction: Transaction) -> Session:
            row = reading.session_row(transaction, owner, session_id)
            transaction.fetch_all("UPDATE sessions SET title = ? WHERE key = ?", (title, row["key"]))
            transaction.append(row["key"], [transcript.session_changed(title=title)])
            return reading.with_active(transaction, reading.session_row(transaction, owner, session_id))

        return await self._transact(body)

    async def hide_session(self, owner: str, session_id: str) -> tuple[Stream, Sequence[str]]:
        def body(transaction: Transaction) -> tuple[Stream, Sequence[str]]:
            stream = reading.stream_of(transaction, owner, session_id)
            transaction.fetch_all("UPDATE sessions SET id = NULL WHERE key = ?", (stream,))
            return stream, accepting.request_cancels(transaction, stream)

        return await self._transact(body)

    async def purge_session(self, stream: Stream) -> None:
        def tell(transaction: Transaction) -> None:
            transaction.append(stream, [transcript.session_changed(deleted=True)])

        try:
            await self._transact(tell)
        except UnknownStream:
            return  # somebody else has purged it meanwhile
        # In steps, so that answers being written never wait long for the writer.
        while await self._transact(partial(_delete_some, stream)):
            pass
        self._has_deleted = True
        self._log.forget(stream)

    async def hidden_sessions(self) -> Sequence[Stream]:
        rows = await self._database.read(
            lambda connection: connection.fetch_all(
                """SELECT key FROM sessions WHERE id IS NULL AND NOT EXISTS
                   (SELECT 1 FROM messages WHERE session = sessions.key AND status = 'streaming')"""
            )
        )
        return [row["key"] for row in rows]

    async def check(self) -> None:
        """Raises StorageUnavailable unless a write can be committed."""

        def body(transaction: Transaction) -> None:
            # A statement that changes no page would commit even on a full disk.
            transaction.fetch_all("INSERT INTO claims (message_id, token) VALUES ('check', '')")
            transaction.fetch_all("DELETE FROM claims WHERE message_id = 'check'")

        await self._transact(body)

    async def expire(self, cutoff: str) -> None:
        def old_keys(transaction: Transaction) -> None:
            transaction.fetch_all("DELETE FROM idempotency WHERE created_at < ?", (timestamp(now() - KEPT_KEYS),))

        await self._transact(old_keys)
        values = {"since": self._expired, "cutoff": cutoff}
        rows = await self._database.read(lambda connection: connection.fetch_all(SELECT_EXPIRED, values))
        for row in rows:
            await self._trim(row["session"], row["oldest_seq"], row["upto"])
        self._expired = cutoff

    async def index(self) -> None:
        """Let the search's index follow what was said, and what was deleted. Raises StorageUnavailable."""
        # In steps, so that answers being written never wait long for the writer.
        while await self._database.read(to_index):
            await self._transact(index_some)
        if self._has_deleted and monotonic() >= self._forget_at:
            self._has_deleted = False
            self._forget_at = monotonic() + FORGET_EVERY
            first = True
            while await self._transact(partial(forget_some, first=first)):
                first = False

    async def _trim(self, stream: Stream, oldest: int, upto: int) -> None:
        # In steps, so that answers being written never wait long for the writer.
        while oldest < upto:
            place = await self._transact(partial(_delete_events, stream, upto))
            if place is None:
                return  # the session is gone
            self._log.trimmed(stream, place)
            oldest = place.seq

    def _transact(self, body: Callable[[Transaction], Result]) -> Future[Result]:
        return self._log.transact(body)


def _delete_events(stream: Stream, upto: int, transaction: Transaction) -> Cursor | None:
    last = transaction.delete_oldest(stream, upto, PURGE_BATCH)
    if last is None:
        return None
    transaction.fetch_all(
        "UPDATE sessions SET oldest_run = ?, oldest_seq = ? WHERE key = ?", (last["run"], last["seq"], stream)
    )
    return cursor_of(stream, last["run"], last["seq"])


def _delete_some(stream: Stream, transaction: Transaction) -> bool:
    """Delete a part of a session, the session itself last; whether there may be more.

    Its idempotency keys expire by themselves: a request that comes once more must not bring it back.
    """
    if transaction.delete_oldest(stream, END, PURGE_BATCH) is not None:
        return True
    keys: list[int] = []
    size = 0
    for row in transaction.iterate(SELECT_SIZES, (stream,)):
        size += row["length"]
        if keys and size > PURGE_CHARACTERS:
            break
        keys.append(row["key"])
    messages = transaction.fetch_all(
        "DELETE FROM messages WHERE key IN (SELECT value FROM json_each(?)) RETURNING id", (json.dumps(keys),)
    )
    ids = json.dumps([row["id"] for row in messages])
    transaction.fetch_all("DELETE FROM claims WHERE message_id IN (SELECT value FROM json_each(?))", (ids,))
    if not messages:
        transaction.fetch_all("DELETE FROM sessions WHERE key = ?", (stream,))
    return bool(messages)
