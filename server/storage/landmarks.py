"""Which events the index keeps, and how the others are found.

The table keeps events of all sessions in the order in which they came. An index of all of them would have a page for
every session that is written to: a chunk would make one more page to write, 4 kB for 150 bytes. So it leads to
the landmarks only, and what follows one of them lies close behind it in the table, which is read from there on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from server.storage.database import Connection, Row
from server.streaming.log import Stream

EVERY = 16  # events of a log
WINDOW = 8_192  # rows, of all logs: no event is farther behind its landmark
MAX_KNOWN = 10_000  # logs

# From the last one that is not behind the first event asked for.
SELECT_LANDMARKS = """
    SELECT key, seq, run, type, message_id, body FROM events
    WHERE session = :stream AND landmark = 1 AND seq >= COALESCE((
        SELECT MAX(seq) FROM events WHERE session = :stream AND landmark = 1 AND seq <= :first
    ), 0) ORDER BY seq
"""

SELECT_LAST = """
    SELECT key, seq, run, type, message_id, body FROM events
    WHERE session = ? AND landmark = 1 ORDER BY seq DESC LIMIT 1
"""

SELECT_BETWEEN = """
    SELECT key, seq, run, type, message_id, body FROM events WHERE key > ? AND key < ? AND session = ? ORDER BY key
"""


class Landmarks:
    """Gives new rows their keys, and decides. `last` is the last key in the table.

    Landmarks are: the first event of a log since this object was made or `forget` was called; every event whose seq is
    a multiple of EVERY; any that would be WINDOW or more keys behind the last one. To forget is always right.
    """

    def __init__(self, last: int) -> None:
        self._key = last
        self._known: dict[Stream, int] = {}

    def place(self, stream: Stream, seq: int) -> tuple[int, bool]:
        """The key of the next row, and whether it is a landmark."""
        key = self._key = self._key + 1
        if seq % EVERY and key - self._known.get(stream, -WINDOW) < WINDOW:
            return key, False
        if len(self._known) >= MAX_KNOWN:
            self.forget()
        self._known[stream] = key
        return key, True

    def forget(self) -> None:
        """To be called when rows were rolled back, or deleted."""
        self._known.clear()


def rows_from(connection: Connection, stream: Stream, first: int) -> Iterator[Row]:
    """The events of a log from place `first` on, in order, read as they are asked for."""
    landmarks = connection.iterate(SELECT_LANDMARKS, {"stream": stream, "first": first})
    landmark = next(landmarks, None)
    while landmark is not None:
        following = next(landmarks, None)
        part = [landmark, *_between(connection, stream, landmark, following)]
        yield from (row for row in part if row["seq"] >= first)
        landmark = following


def delete_oldest(connection: Connection, stream: Stream, upto: int, many: int) -> Row | None:
    """Delete the oldest events of a log, up to place `upto` and at most `many`; the last of them."""
    keys: list[int] = []
    last: Row | None = None
    for row in rows_from(connection, stream, 0):
        if row["seq"] > upto or len(keys) == many:
            # Its landmark goes.
            connection.fetch_all("UPDATE events SET landmark = 1 WHERE key = ?", (row["key"],))
            break
        keys.append(row["key"])
        last = row
    connection.fetch_all("DELETE FROM events WHERE key IN (SELECT value FROM json_each(?))", (json.dumps(keys),))
    return last


def last_row(connection: Connection, stream: Stream) -> Row | None:
    """The last event of a log."""
    landmark = connection.fetch_one(SELECT_LAST, (stream,))
    return landmark and [landmark, *_between(connection, stream, landmark, None)][-1]


def last_key(connection: Connection) -> int:
    row = connection.fetch_one("SELECT MAX(key) AS key FROM events")
    return (row and row["key"]) or 0


def _between(connection: Connection, stream: Stream, landmark: Row, following: Row | None) -> list[Row]:
    end = landmark["key"] + WINDOW
    if following is not None:
        if following["seq"] == landmark["seq"] + 1:
            return []
        end = min(end, following["key"])
    return connection.fetch_all(SELECT_BETWEEN, (landmark["key"], end, stream))
