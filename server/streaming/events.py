"""Events, and the cursors that point between them.

An event is encoded once, when it gets its place in the log. Everybody who reads it shares those bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from server.streaming.values import value

# ASCII only: raw U+2028 and a byte order mark break several SSE clients, and escapes break none.
encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode

_CURSOR = re.compile(r"([a-z0-9]{1,16})-(0|[1-9][0-9]{0,15})")


class BadCursor(ValueError):
    """Not a cursor at all: no server ever sent this."""


class Cursor(NamedTuple):
    """A place in a log: just behind the event `seq`, written by the incarnation `epoch`.

    On the wire `{epoch}-{seq}`; opaque to clients. `seq` 0 is the place before the first event.
    """

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Raises BadCursor for anything but the exact form that `str` gives."""
        match = _CURSOR.fullmatch(text)
        if match is None:
            raise BadCursor("a cursor is the id of an event as the server sent it, like k3v9x2mq-17")
        return cls(match[1], int(match[2]))


@value
class Entry:
    """An event before it has a place: `body` is a JSON object without `id` and `type`."""

    type: str
    body: str
    message_id: str | None = None

    @classmethod
    def of(cls, kind: str, fields: Mapping[str, Any], message_id: str | None = None) -> Entry:
        about = {"message_id": message_id} if message_id else {}
        return cls(kind, encode({**about, **fields}), message_id)


class Event:
    """An entry in its place. `json` is the object every transport carries, `sse` and `line` the same as framed.

    `sse` is WHATWG HTML, 9.2.6 "Interpreting an event stream": one `data:` line, ended by a blank one. It is made at
    once, like `json`: nearly every event goes to somebody that way, and to hundreds it is an attribute, no call.
    """

    __slots__ = ("__weakref__", "_line", "cursor", "json", "message_id", "sse", "type")

    def __init__(self, cursor: Cursor, kind: str, body: str, message_id: str | None = None) -> None:
        self.cursor = cursor
        self.type = kind
        self.message_id = message_id
        place = str(cursor)
        rest = body[1:] if body == "{}" else "," + body[1:]
        data = f'{{"id":"{place}","type":"{kind}"{rest}'
        self.json = data.encode("ascii")
        self.sse = f"event: {kind}\nid: {place}\ndata: {data}\n\n".encode("ascii")
        self._line: bytes | None = None

    @property
    def line(self) -> bytes:
        if self._line is None:
            self._line = self.json + b"\n"
        return self._line

    def __repr__(self) -> str:
        return f"Event({self.cursor}, {self.type})"
