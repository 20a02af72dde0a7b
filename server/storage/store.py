"""The Store in SQLite. What changes something is a transaction of the log's writer; reads go beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from server.chat import transcript
from server.chat.errors import Invalid, NotFound
from server.chat.models import History, Message, MessageAt, Session, Sessions, now, timestamp
from server.chat.provider import Turn
from server.chat.store import Accepted, NewAnswer, NewQuestion, Unfinished
from server.storage import accepting
from server.storage.database import Connection, Database, Row
from server.storage.event_log import SqliteEventLog, Transaction, cursor_of, event_of, load_span
from server.storage.rows import SELECT_MESSAGE, message_of, outcome_of, session_of
from server.streaming.events import Cursor, Entry
from server.streaming.log import Claim, Stream

Result = TypeVar("Result")

KEPT_KEYS = timedelta(hours=24)
PURGE_BATCH = 5_000

SELECT_EVENTS = """
    SELECT seq, run, type, message_id, body FROM events
    WHERE session = :stream AND seq > :after AND message_id = :id ORDER BY seq
"""

# From the message that is asked about up to the root; `depth` guards against a damaged table.
SELECT_PATH = """
    WITH RECURSIVE path (key, id, parent_id, role, content, depth) AS (
        SELECT key, id, parent_id, role, content, 0 FROM messages WHERE id = :id
        UNION ALL
        SELECT m.key, m.id, m.parent_id, m.role, m.content, depth + 1
        FROM messages m JOIN path ON m.id = path.parent_id WHERE depth < 100000
    ) SELECT role, content FROM path ORDER BY depth DESC
"""

# Everything before the first event of a question or an answer that is still wanted can go.
SELECT_EXPIRED = """
    SELECT session, oldest_seq, COALESCE(
        MIN(CASE WHEN finished_at IS NULL OR finished_at >= :cutoff THEN after_seq END), MAX(last_seq)
    ) AS upto
    FROM messages JOIN sessions ON sessions.key = messages.session
    GROUP BY session HAVING upto > oldest_seq
"""


class SqliteStore:
    def __init__(self, database: Database, log: SqliteEventLog, max_queued: int) -> None:
        self._database = database
        self._log = log
        self._max_queued = max_queued

    # Answers.

    async def ask(self, question: NewQuestion, answer: NewAnswer) -> Accepted:
        return await self._transact(
            lambda transaction: accepting.ask(transaction, self._log.run, question, answer, self._max_queued)
        )

    async def ask_again(self, message_id: str, answer: NewAnswer) -> Accepted:
        return await self._transact(
            lambda transaction: accepting.ask_again(transaction, message_id, answer, self._max_queued)
        )

    async def turns(self, message: Message) -> Sequence[Turn]:
        async with self._database.reader() as connection:
            rows = await connection.fetch_all(SELECT_PATH, {"id": message.parent_id})
        return [Turn(row["role"], row["content"]) for row in rows if row["content"]]

    async def begin(self, message: Message, claim: Claim, entry: Entry) -> None:
        async def body(transaction: Transaction) -> None:
            await transaction.append(message.stream, [entry], claim)

        await self._transact(body)

    async def finish(self, message: Message, claim: Claim, entries: Sequence[Entry]) -> None:
        async def body(transaction: Transaction) -> None:
            events = await transaction.append(message.stream, entries, claim)
            await transaction.fetch_all("DELETE FROM claims WHERE message_id = ?", (message.id,))
            await transaction.fetch_all(
                """UPDATE messages SET status = :status, content = :content, thinking = :thinking,
                   sources = :sources, finish_reason = :finish_reason, usage = :usage, timings = :timings,
                   problem = :problem, finished_at = :finished_at, last_seq = :last_seq WHERE id = :id""",
                {**outcome_of(message), "last_seq": events[-1].cursor.seq},
            )
            await transaction.fetch_all(
                "UPDATE sessions SET updated_at = ? WHERE key = ?", (message.finished_at, message.stream)
            )

        await self._transact(body)

    async def request_cancel(self, message_id: str) -> None:
        async def body(transaction: Transaction) -> None:
            await transaction.fetch_all(
                "UPDATE messages SET cancel_requested = 1 WHERE id = ? AND status = 'streaming'",
                (message_id,),
            )

        await self._transact(body)

    async def unfinished(self) -> Sequence[Unfinished]:
        async with self._database.reader() as connection:
            rows = await connection.fetch_all(
                f"""SELECT found.*, claims.token FROM ({SELECT_MESSAGE}) AS found
                    JOIN claims ON claims.message_id = found.id ORDER BY found.key"""
            )
            return [await self._unfinished(connection, row) for row in rows]

    async def _unfinished(self, connection: Connection, row: Row) -> Unfinished:
        message, written = await _with_events(connection, message_of(row))
        claim = Claim(message.id, row["token"])
        return Unfinished(message, claim, bool(row["cancel_requested"]), written.started)

    # Reading.

    async def message(self, owner: str, message_id: str) -> MessageAt:
        async with self._database.snapshot() as connection:
            row = await connection.fetch_one(
                f"{SELECT_MESSAGE} WHERE messages.id = ? AND owner = ? AND sessions.id IS NOT NULL",
                (message_id, owner),
            )
            if row is None:
                raise NotFound(f"there is no message {message_id}")
            message = message_of(row)
            if message.status == "streaming":
                message, _ = await _with_events(connection, message)
            span = await load_span(connection, message.stream)
            return MessageAt(message, span.tail)

    async def history(self, owner: str, session_id: str, before: str | None, limit: int) -> History:
        async with self._database.snapshot() as connection:
            stream = await _stream_of(connection, owner, session_id)
            rows = await connection.fetch_all(
                f"""{SELECT_MESSAGE} WHERE messages.session = :stream AND messages.key < :before
                    ORDER BY messages.key DESC LIMIT :limit""",
                {
                    "stream": stream,
                    "before": await _key_of(connection, stream, before),
                    "limit": limit + 1,
                },
            )
            messages = [message_of(row) for row in reversed(rows[:limit])]
            span = await load_span(connection, stream)
            return History(
                [
                    (await _with_events(connection, message))[0] if message.status == "streaming" else message
                    for message in messages
                ],
                span.tail,
                has_more=len(rows) > limit,
            )

    async def stream_of(self, owner: str, session_id: str) -> Stream:
        async with self._database.reader() as connection:
            return await _stream_of(connection, owner, session_id)

    # Sessions.

    async def sessions(self, owner: str, query: str, before: str | None, limit: int) -> Sessions:
        where, values = _matching(query)
        async with self._database.snapshot() as connection:
            if before is not None:
                place = await _session_row(connection, owner, before)
                where += " AND (updated_at, key) < (:updated_at, :key)"
                values |= {"updated_at": place["updated_at"], "key": place["key"]}
            rows = await connection.fetch_all(
                f"""SELECT * FROM sessions WHERE owner = :owner AND id IS NOT NULL {where}
                    ORDER BY updated_at DESC, key DESC LIMIT :limit""",
                {**values, "owner": owner, "limit": limit + 1},
            )
            found = [await _with_active(connection, row) for row in rows[:limit]]
        return Sessions(found, has_more=len(rows) > limit)

    async def session(self, owner: str, session_id: str) -> Session:
        async with self._database.snapshot() as connection:
            return await _with_active(connection, await _session_row(connection, owner, session_id))

    async def create_session(self, owner: str, session_id: str, title: str, timestamp: str) -> Session:
        async def body(transaction: Transaction) -> Session:
            try:
                row = await accepting.create_session(transaction, self._log.run, owner, session_id, title, timestamp)
            except sqlite3.IntegrityError:
                raise Invalid("id", f"there is a session {session_id} already") from None
            if title:
                await transaction.append(row["key"], [transcript.session_changed(title=title)])
            return session_of(row)

        return await self._transact(body)

    async def rename_session(self, owner: str, session_id: str, title: str) -> Session:
        async def body(transaction: Transaction) -> Session:
            row = await _session_row(transaction, owner, session_id)
            await transaction.fetch_all("UPDATE sessions SET title = ? WHERE key = ?", (title, row["key"]))
            await transaction.append(row["key"], [transcript.session_changed(title=title)])
            return await _with_active(transaction, await _session_row(transaction, owner, session_id))

        return await self._transact(body)

    async def hide_session(self, owner: str, session_id: str) -> tuple[Stream, Sequence[str]]:
        async def body(transaction: Transaction) -> tuple[Stream, Sequence[str]]:
            stream = await _stream_of(transaction, owner, session_id)
            await transaction.fetch_all("UPDATE sessions SET id = NULL WHERE key = ?", (stream,))
            return stream, await accepting.request_cancels(transaction, stream)

        return await self._transact(body)

    async def purge_session(self, stream: Stream) -> None:
        async def tell(transaction: Transaction) -> None:
            await transaction.append(stream, [transcript.session_changed(deleted=True)])

        async def purge(transaction: Transaction) -> None:
            for table in ("idempotency", "claims"):
                await transaction.fetch_all(
                    f"""DELETE FROM {table} WHERE message_id IN
                        (SELECT id FROM messages WHERE session = ?)""",
                    (stream,),
                )
            for table in ("events", "messages"):
                await transaction.fetch_all(f"DELETE FROM {table} WHERE session = ?", (stream,))
            await transaction.fetch_all("DELETE FROM sessions WHERE key = ?", (stream,))

        await self._transact(tell)
        await self._transact(purge)
        self._log.forget(stream)

    async def hidden_sessions(self) -> Sequence[Stream]:
        async with self._database.reader() as connection:
            rows = await connection.fetch_all("SELECT key FROM sessions WHERE id IS NULL")
        return [row["key"] for row in rows]

    async def check(self) -> None:
        """Raises StorageUnavailable unless a write can be committed."""

        async def body(transaction: Transaction) -> None:
            await transaction.fetch_all("UPDATE sessions SET title = title WHERE key = -1")

        await self._transact(body)

    async def expire(self, cutoff: str) -> None:
        async def old_keys(transaction: Transaction) -> None:
            await transaction.fetch_all("DELETE FROM idempotency WHERE created_at < ?", (timestamp(now() - KEPT_KEYS),))

        await self._transact(old_keys)
        async with self._database.reader() as connection:
            rows = await connection.fetch_all(SELECT_EXPIRED, {"cutoff": cutoff})
        for row in rows:
            await self._trim(row["session"], row["oldest_seq"], row["upto"])

    async def _trim(self, stream: Stream, oldest: int, upto: int) -> None:
        # In steps, so that answers being written never wait long for the writer.
        for last in (*range(oldest + PURGE_BATCH, upto, PURGE_BATCH), upto):
            place = await self._transact(partial(self._delete_events, stream, last))
            if place is None:
                return  # the session is gone
            self._log.trimmed(stream, place)

    async def _delete_events(self, stream: Stream, last: int, transaction: Transaction) -> Cursor | None:
        event = await transaction.fetch_one("SELECT run FROM events WHERE session = ? AND seq = ?", (stream, last))
        if event is None:
            return None
        await transaction.fetch_all("DELETE FROM events WHERE session = ? AND seq <= ?", (stream, last))
        await transaction.fetch_all(
            "UPDATE sessions SET oldest_run = ?, oldest_seq = ? WHERE key = ?", (event["run"], last, stream)
        )
        return cursor_of(stream, event["run"], last)

    async def _transact(self, body: Callable[[Transaction], Awaitable[Result]]) -> Result:
        return await self._log.transact(body)


async def _stream_of(connection: Connection | Transaction, owner: str, session_id: str) -> Stream:
    stream: Stream = (await _session_row(connection, owner, session_id))["key"]
    return stream


async def _session_row(connection: Connection | Transaction, owner: str, session_id: str) -> Row:
    row = await connection.fetch_one("SELECT * FROM sessions WHERE owner = ? AND id = ?", (owner, session_id))
    if row is None:
        raise NotFound(f"there is no session {session_id}")
    return row


async def _with_active(connection: Connection | Transaction, row: Row) -> Session:
    rows = await connection.fetch_all(
        "SELECT id FROM messages WHERE session = ? AND status = 'streaming' ORDER BY key", (row["key"],)
    )
    return session_of(row, tuple(message["id"] for message in rows))


async def _key_of(connection: Connection, stream: Stream, message_id: str | None) -> int:
    """The place of a message in the order of messages; behind the last for None."""
    if message_id is None:
        return 1 << 62
    row = await connection.fetch_one("SELECT key FROM messages WHERE id = ? AND session = ?", (message_id, stream))
    if row is None:
        raise Invalid("before", f"there is no message {message_id} in this session")
    key: int = row["key"]
    return key


async def _with_events(connection: Connection, message: Message) -> tuple[Message, transcript.Transcript]:
    """An answer being written, with its text as far as the log has it."""
    rows = await connection.fetch_all(
        SELECT_EVENTS, {"stream": message.stream, "after": message.after.seq, "id": message.id}
    )
    written = transcript.fold(event_of(message.stream, row) for row in rows)
    return replace(message, content=written.content, thinking=written.thinking, sources=tuple(written.sources)), written


def _matching(query: str) -> tuple[str, dict[str, Any]]:
    """A condition on sessions. The index knows runs of three characters; shorter ones are looked for."""
    if not query:
        return "", {}
    if len(query) < 3 or "\0" in query:
        inside = "SELECT session FROM messages WHERE INSTR(lowered(content), :text)"
    else:
        inside = """SELECT session FROM messages WHERE key IN (
            SELECT rowid FROM message_search WHERE message_search MATCH :match)"""
    return (
        f" AND (INSTR(lowered(title), :text) OR key IN ({inside}))",
        {"text": query.lower(), "match": '"' + query.replace('"', '""') + '"'},
    )
