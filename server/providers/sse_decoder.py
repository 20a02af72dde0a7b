"""The wire format of server-sent events, read: bytes in, events out.

Follows https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream with two
differences: bytes that are not UTF-8 are an error instead of U+FFFD, because a provider's text must
arrive as it was sent or not at all; and `id` and `retry` are ignored, because nobody reconnects to an
answer half way through.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

MAX_EVENT = 1 << 20  # bytes
BOM = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    event: str
    data: str


class SSEDecodeError(ValueError):
    """Not UTF-8, or a line or an event is longer than the limit. The decoder is then of no more use."""


class SSEDecoder:
    """Turns pieces of an event stream, cut anywhere, into its events.

    Holds at most `limit` bytes of an unfinished event, and looks at each byte a fixed number of times
    however the stream was cut.
    """

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._limit = limit
        self._line = bytearray()  # the start of a line whose end has not come yet
        self._data = bytearray()
        self._event = b""
        self._held = 0  # bytes in the finished lines of the event that has not come to its end
        self._after_cr = False
        self._at_start = True

    def feed(self, data: bytes) -> Iterator[ServerSentEvent]:
        """The events that `data` completes, in order. Iterate to the end before the next call.

        Raises SSEDecodeError, after the events that stood before the place in question.
        """
        if b"\r" not in data:
            if not self._rests:
                begun, end, data = data.partition(b"\n\n")
                yield from self._feed(begun + end)
            # What most servers send: whole events of one line each. Anything else is looked at closely.
            *events, data = data.split(b"\n\n")
            for event in events:
                if event.startswith(b"data: ") and b"\n" not in event and len(event) <= self._limit:
                    yield ServerSentEvent("message", _decoded(event[6:]))
                else:
                    yield from self._feed(event + b"\n\n")
        yield from self._feed(data)

    @property
    def _rests(self) -> bool:
        """Whether a new event begins here."""
        return not (self._line or self._held or self._after_cr or self._at_start)

    def _feed(self, data: bytes) -> Iterator[ServerSentEvent]:
        if not data:
            return
        if self._after_cr:  # it ended its line at once, and an LF behind it belongs to the same line end
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r")
        for piece in data.splitlines(keepends=True):  # of bytes: at CR, LF and CRLF, nowhere else
            line = piece.rstrip(b"\r\n")
            if self._held + len(self._line) + len(line) > self._limit:
                raise SSEDecodeError(f"an event is longer than {self._limit} bytes")
            if len(line) == len(piece):
                self._line += line
                return
            event = self._end_line(line)
            if event is not None:
                yield event

    def _end_line(self, line: bytes) -> ServerSentEvent | None:
        if self._line:
            line = bytes(self._line + line)
            self._line.clear()
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(BOM)
        if not line:
            return self._dispatch()
        self._take_field(line)
        return None

    def _take_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")  # a comment has an empty name
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data += value
            self._data += b"\n"
            self._held += len(line)
        elif name == b"event":
            self._event = value
            self._held += len(line)

    def _dispatch(self) -> ServerSentEvent | None:
        if not self._data:
            self._reset()
            return None
        event = ServerSentEvent(_decoded(self._event) or "message", _decoded(self._data[:-1]))
        self._reset()
        return event

    def _reset(self) -> None:
        self._data.clear()
        self._event = b""
        self._held = 0


def _decoded(part: bytes | bytearray) -> str:
    try:
        return part.decode()
    except UnicodeDecodeError as error:
        raise SSEDecodeError("an event is not UTF-8") from error
