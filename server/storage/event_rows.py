"""Events as rows: their places, and what reads them from the table."""

from __future__ import annotations

import secrets
import string
from typing import Protocol

from server.storage.database import Connection, Row, Values
from server.streaming.events import Cursor, Event
from server.streaming.log import Span, Stream, UnknownStream

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


class Fetching(Protocol):
    """A connection, or a transaction on one."""

    def fetch_one(self, query: str, values: Values = ()) -> Row | None: ...


def load_span(connection: Fetching, stream: Stream) -> Span:
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
