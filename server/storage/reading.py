"""What is asked of the tables, as functions of a connection; each sees one state of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from server.chat import transcript
from server.chat.errors import Invalid, NotFound, ProviderError
from server.chat.models import History, Message, MessageAt, Session, Sessions
from server.chat.provider import Turn
from server.chat.store import Unfinished
from server.storage.database import Connection, Row
from server.storage.event_rows import event_of, load_span
from server.storage.landmarks import rows_from
from server.storage.rows import SELECT_MESSAGE, message_of, session_of
from server.storage.search import matching
from server.storage.transactions import Transaction
from server.streaming.log import Claim, Stream

HISTORY_BYTES = 1 << 20  # of text, in a page of messages
MAX_PROMPT = 4_000_000  # characters of a conversation: about a million tokens

# From the message that is asked about up to the root; `depth` guards against a damaged table.
SELECT_PATH = """
    WITH RECURSIVE path (key, id, parent_id, role, content, depth) AS (
        SELECT key, id, parent_id, role, content, 0 FROM messages WHERE id = :id
        UNION ALL
        SELECT m.key, m.id, m.parent_id, m.role, m.content, depth + 1
        FROM messages m JOIN path ON m.id = path.parent_id WHERE depth < 100000
    ) SELECT role, content FROM path
"""
"""From the newest to the root, each read when it is asked for."""


def find(connection: Connection | Transaction, owner: str, message_id: str) -> Message:
    row = connection.fetch_one(
        f"{SELECT_MESSAGE} WHERE messages.id = ? AND owner = ? AND sessions.id IS NOT NULL", (message_id, owner)
    )
    if row is None:
        raise NotFound(f"there is no message {message_id}")
    return message_of(row)


def message(connection: Connection, owner: str, message_id: str) -> MessageAt:
    found = _so_far(connection, find(connection, owner, message_id))
    return MessageAt(found, load_span(connection, found.stream).tail)


def history(connection: Connection, owner: str, session_id: str, before: str | None, limit: int) -> History:
    stream = stream_of(connection, owner, session_id)
    rows = connection.iterate(
        f"""{SELECT_MESSAGE} WHERE messages.session = :stream AND messages.key < :before
            ORDER BY messages.key DESC LIMIT :limit""",
        {"stream": stream, "before": key_of(connection, stream, before), "limit": limit + 1},
    )
    messages: list[Message] = []
    size = 0
    has_more = False
    for row in rows:
        found = _so_far(connection, message_of(row))
        size += len(found.content.encode()) + len(found.thinking.encode())
        has_more = len(messages) == limit or (size > HISTORY_BYTES and bool(messages))
        if has_more:
            break
        messages.append(found)
    return History(messages[::-1], load_span(connection, stream).tail, has_more)


def turns(connection: Connection, about: Message) -> Sequence[Turn]:
    found: list[Turn] = []
    size = 0
    for row in connection.iterate(SELECT_PATH, {"id": about.parent_id}):
        size += len(row["content"])
        if size > MAX_PROMPT:
            raise ProviderError(
                "provider_bad_request",
                f"This conversation has more than {MAX_PROMPT:,} characters, which is more than models take. "
                "Start a new one, or edit an earlier question.",
            )
        if row["content"]:
            found.append(Turn(row["role"], row["content"]))
    return found[::-1]


def sessions(connection: Connection, owner: str, query: str, before: str | None, limit: int) -> Sessions:
    where, values = matching(query)
    if before is not None:
        place = session_row(connection, owner, before)
        where += " AND (updated_at, key) < (:updated_at, :key)"
        values |= {"updated_at": place["updated_at"], "key": place["key"]}
    rows = connection.fetch_all(
        f"""SELECT * FROM sessions WHERE owner = :owner AND id IS NOT NULL {where}
            ORDER BY updated_at DESC, key DESC LIMIT :limit""",
        {**values, "owner": owner, "limit": limit + 1},
    )
    return Sessions([with_active(connection, row) for row in rows[:limit]], has_more=len(rows) > limit)


def session(connection: Connection | Transaction, owner: str, session_id: str) -> Session:
    return with_active(connection, session_row(connection, owner, session_id))


def unfinished(connection: Connection, message_id: str | None) -> Sequence[Unfinished]:
    rows = connection.fetch_all(
        f"""SELECT found.*, claims.token FROM claims
            CROSS JOIN ({SELECT_MESSAGE}) AS found ON found.id = claims.message_id
            WHERE :id IS NULL OR claims.message_id = :id ORDER BY found.key""",
        {"id": message_id},
    )
    return [_unfinished(connection, row) for row in rows]


def _unfinished(connection: Connection, row: Row) -> Unfinished:
    found, written = with_events(connection, message_of(row))
    return Unfinished(found, Claim(found.id, row["token"]), bool(row["cancel_requested"]), written.started)


def _so_far(connection: Connection, found: Message) -> Message:
    return with_events(connection, found)[0] if found.status == "streaming" else found


def stream_of(connection: Connection | Transaction, owner: str, session_id: str) -> Stream:
    stream: Stream = (session_row(connection, owner, session_id))["key"]
    return stream


def session_row(connection: Connection | Transaction, owner: str, session_id: str) -> Row:
    row = connection.fetch_one("SELECT * FROM sessions WHERE owner = ? AND id = ?", (owner, session_id))
    if row is None:
        raise NotFound(f"there is no session {session_id}")
    return row


def with_active(connection: Connection | Transaction, row: Row) -> Session:
    rows = connection.fetch_all(
        "SELECT id FROM messages WHERE session = ? AND status = 'streaming' ORDER BY key", (row["key"],)
    )
    return session_of(row, tuple(message["id"] for message in rows))


def key_of(connection: Connection, stream: Stream, message_id: str | None) -> int:
    """The place of a message in the order of messages; behind the last for None."""
    if message_id is None:
        return 1 << 62
    row = connection.fetch_one("SELECT key FROM messages WHERE id = ? AND session = ?", (message_id, stream))
    if row is None:
        raise Invalid("before", f"there is no message {message_id} in this session")
    key: int = row["key"]
    return key


def with_events(connection: Connection, message: Message) -> tuple[Message, transcript.Transcript]:
    """An answer being written, with its text as far as the log has it."""
    rows = rows_from(connection, message.stream, message.after.seq + 1)
    written = transcript.fold(event_of(message.stream, row) for row in rows if row["message_id"] == message.id)
    return replace(message, content=written.content, thinking=written.thinking, sources=tuple(written.sources)), written
