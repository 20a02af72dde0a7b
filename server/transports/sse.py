"""Server-Sent Events: WHATWG HTML, section 9.2."""

from __future__ import annotations

import json
from collections.abc import Sequence
from operator import attrgetter
from time import time

from server.chat.reading import Reader
from server.streaming.events import Event
from server.transports.connections import Connections
from server.transports.response import LogResponse

MEDIA_TYPE = "text/event-stream"
RETRY = 1_000  # milliseconds a browser waits before it reconnects

# No blank line behind the comment: several client libraries take it for an event without data.
COMMENT = b":\n"


_sse_of = attrgetter("sse")


def frame(batch: Sequence[Event]) -> bytes:
    if not batch:
        return COMMENT
    if batch[0].type == "ready":
        # `retry` inside a real event: a block of its own confuses some clients.
        return b"retry: %d\n" % RETRY + batch[0].sse
    return batch[0].sse if len(batch) == 1 else b"".join(map(_sse_of, batch))


def frame_with_pings(batch: Sequence[Event]) -> bytes:
    """For clients whose scripts must see the heartbeat: comments are invisible to them."""
    return frame(batch) if batch else ping()


def ping() -> bytes:
    return b"event: ping\ndata: %b\n\n" % json.dumps({"type": "ping", "time": round(time(), 3)}).encode()


def respond(
    reader: Reader,
    connections: Connections,
    send_timeout: float,
    headers: dict[str, str] | None = None,
    pings: bool = False,
) -> LogResponse:
    framing = frame_with_pings if pings else frame
    return LogResponse("sse", MEDIA_TYPE, framing, reader, connections, send_timeout, headers)
