"""Accepting a question: the transaction that keeps it, with its events, its claim and its idempotency key."""

from __future__ import annotations

from collections.abc import Sequence

from server.chat import transcript
from server.chat.errors import Busy, IdempotencyKeyReused, Invalid, NotFound, Overloaded
from server.chat.models import Message, title_of
from server.chat.store import ROOT, Accepted, Idempotency, NewAnswer, NewQuestion
from server.storage.database import Connection, Row
from server.storage.reading import find
from server.storage.rows import INSERT_MESSAGE, values_of
from server.storage.transactions import Transaction
from server.streaming.events import Entry
from server.streaming.log import Stream

Kept = tuple[Message, Sequence[Entry]]  # a question, and what the log has to say of it


def ask(transaction: Transaction, run: str, question: NewQuestion, answer: NewAnswer, max_queued: int) -> Accepted:
    known = replay(transaction, answer.owner, answer.idempotency)
    if known is not None:
        return known
    session = transaction.fetch_one(
        "SELECT * FROM sessions WHERE owner = ? AND id = ?", (answer.owner, question.session_id)
    )
    if session is None:
        message, entries = _first(transaction, run, question, answer)
        busy: Sequence[str] = ()
    else:
        busy = _busy(transaction, session["key"], answer, max_queued)
        message, entries = _next(transaction, session, question, answer)
    return _promise(transaction, message, answer, busy, entries)


def _first(transaction: Transaction, run: str, question: NewQuestion, answer: NewAnswer) -> Kept:
    """Keep the first question of a session, and the session with it."""
    title = title_of(question.content)
    session = create_session(transaction, run, answer.owner, question.session_id, title, answer.timestamp)
    parent = _parent(transaction, session["key"], question.parent_id) if question.parent_id else None
    return _keep(transaction, session["key"], parent, question, answer, title)


def _next(transaction: Transaction, session: Row, question: NewQuestion, answer: NewAnswer) -> Kept:
    title = session["title"] or title_of(question.content)
    parent = _parent(transaction, session["key"], question.parent_id)
    new_title = "" if session["title"] else title
    transaction.fetch_all(
        "UPDATE sessions SET title = ?, updated_at = ? WHERE key = ?", (title, answer.timestamp, session["key"])
    )
    return _keep(transaction, session["key"], parent, question, answer, new_title)


def _keep(
    transaction: Transaction,
    stream: Stream,
    parent_id: str | None,
    question: NewQuestion,
    answer: NewAnswer,
    new_title: str,
) -> Kept:
    message = Message(
        id=question.message_id,
        session_id=question.session_id,
        parent_id=parent_id,
        role="user",
        status="completed",
        created_at=answer.timestamp,
        finished_at=answer.timestamp,
        stream=stream,
        after=transaction.end(stream),
        content=question.content,
    )
    transaction.fetch_all(INSERT_MESSAGE, values_of(message))
    entries = [transcript.posted(message, question.client_id)]
    if new_title:
        entries.append(transcript.session_changed(title=new_title))
    return message, entries


def ask_again(transaction: Transaction, message_id: str, answer: NewAnswer, max_queued: int) -> Accepted:
    known = replay(transaction, answer.owner, answer.idempotency)
    if known is not None:
        return known
    about = find(transaction, answer.owner, message_id)
    if about.role == "assistant" and about.parent_id is not None:
        about = find(transaction, answer.owner, about.parent_id)
    busy = _busy(transaction, about.stream, answer, max_queued)
    return _promise(transaction, about, answer, busy, ())


def create_session(transaction: Transaction, run: str, owner: str, session_id: str, title: str, timestamp: str) -> Row:
    """Raises sqlite3.IntegrityError if the id is taken."""
    [row] = transaction.fetch_all(
        """INSERT INTO sessions (owner, id, title, created_at, updated_at, oldest_run)
           VALUES (?, ?, ?, ?, ?, ?) RETURNING *""",
        (owner, session_id, title, timestamp, timestamp, run),
    )
    transaction.begin(row["key"])
    return row


def request_cancels(transaction: Transaction, stream: Stream) -> Sequence[str]:
    """Record that the session's unfinished answers are to be stopped; their ids, oldest first."""
    rows = transaction.fetch_all(
        """UPDATE messages SET cancel_requested = 1 WHERE session = ? AND status = 'streaming'
           RETURNING id, key""",
        (stream,),
    )
    return [row["id"] for row in sorted(rows, key=lambda row: row["key"])]


def replay(connection: Connection | Transaction, owner: str, known: Idempotency | None) -> Accepted | None:
    """What an idempotency key stands for already; None without one."""
    if known is None:
        return None
    row = connection.fetch_one(
        "SELECT digest, message_id FROM idempotency WHERE owner = ? AND key = ?", (owner, known.key)
    )
    if row is None:
        return None
    if row["digest"] != known.digest:
        raise IdempotencyKeyReused("this Idempotency-Key came with another request before; use a new one")
    try:
        message = find(connection, owner, row["message_id"])
    except NotFound:
        raise NotFound("what came with this Idempotency-Key was deleted; use a new one to ask again") from None
    assert message.parent_id is not None
    return Accepted(find(connection, owner, message.parent_id), message, replayed=True)


def _parent(transaction: Transaction, stream: Stream, parent_id: str | None) -> str | None:
    if parent_id == ROOT:
        return None
    row = transaction.fetch_one(
        """SELECT id FROM messages WHERE session = :stream AND (:id IS NULL OR id = :id)
           ORDER BY key DESC LIMIT 1""",
        {"stream": stream, "id": parent_id},
    )
    if row is None and parent_id is not None:
        raise Invalid("parent_id", f"there is no message {parent_id} in this session")
    return row["id"] if row else None


def _busy(transaction: Transaction, stream: Stream, answer: NewAnswer, max_queued: int) -> Sequence[str]:
    """The session's unfinished answers, dealt with as the request wants it."""
    if answer.on_busy == "interrupt":
        return request_cancels(transaction, stream)
    rows = transaction.fetch_all(
        "SELECT id FROM messages WHERE session = ? AND status = 'streaming' ORDER BY key", (stream,)
    )
    if rows and answer.on_busy == "reject":
        raise Busy(rows[0]["id"])
    if len(rows) > max_queued:
        raise Overloaded(f"{max_queued} answers of this session are waiting already")
    return [row["id"] for row in rows]


def _promise(
    transaction: Transaction, question: Message, answer: NewAnswer, busy: Sequence[str], entries: Sequence[Entry]
) -> Accepted:
    """Keep the answer as being written, behind `entries`; if nothing stands before it, it has begun."""
    message = Message(
        id=answer.message_id,
        session_id=question.session_id,
        parent_id=question.id,
        role="assistant",
        status="streaming",
        created_at=answer.timestamp,
        stream=question.stream,
        after=transaction.end(question.stream, behind=len(entries)),
        provider=answer.provider,
        model=answer.model,
        options=answer.options,
    )
    transaction.fetch_all(INSERT_MESSAGE, values_of(message))
    transaction.fetch_all("INSERT INTO claims (message_id, token) VALUES (?, ?)", answer.claim)
    if answer.idempotency is not None:
        transaction.fetch_all(
            "INSERT INTO idempotency (owner, key, digest, message_id, created_at) VALUES (?, ?, ?, ?, ?)",
            (answer.owner, answer.idempotency.key, answer.idempotency.digest, message.id, answer.timestamp),
        )
    start = [] if busy else [transcript.start(message, answer.timestamp)]
    if entries or start:
        transaction.append(question.stream, [*entries, *start])
    return Accepted(question, message, busy=busy)
