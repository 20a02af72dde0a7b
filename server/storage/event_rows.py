"""Events as rows: their places, and what reads them from the table."""

from __future__ import annotations

import secrets
import string

from server.storage.database import Connection, Row
from server.storage.landmarks import last_row, rows_from
from server.streaming.events import Cursor, Event
from server.streaming.log import Span, Stream, UnknownStream


def new_run() -> str:
    """Seven random characters that name one run of the program."""
    return "".join(secrets.choice(string.digits + string.ascii_lowercase) for _ in range(7))


def cursor_of(stream: Stream, run: str, seq: int) -> Cursor:
    """Its epoch names one run's part of one log: never the same for two logs, nor for two runs."""
    return Cursor(f"{run}{stream:x}", seq)


def event_of(stream: Stream, row: Row) -> Event:
    return Event(cursor_of(stream, row["run"], row["seq"]), row["type"], row["body"], row["message_id"])


def load_span(connection: Connection, stream: Stream) -> Span:
    row = connection.fetch_one("SELECT oldest_run, oldest_seq FROM sessions WHERE key = ?", (stream,))
    if row is None:
        raise UnknownStream(stream)
    oldest = cursor_of(stream, row["oldest_run"], row["oldest_seq"])
    last = last_row(connection, stream)
    return Span(oldest, oldest if last is None else cursor_of(stream, last["run"], last["seq"]))


def load_page(connection: Connection, stream: Stream, first: int, limit: int, max_bytes: int) -> list[Row]:
    """At most `limit` events from `first` on, and `max_bytes` of them, but always one behind the first."""
    rows: list[Row] = []
    size = 0
    for row in rows_from(connection, stream, first):
        size += len(row["body"])
        if len(rows) == limit or (size > max_bytes and len(rows) > 1):
            break
        rows.append(row)
    return rows
