"""One event a line, as JSON; an empty line is a heartbeat."""

from __future__ import annotations

from collections.abc import Sequence

from server.chat.reading import Reader
from server.streaming.events import Event
from server.transports.connections import Connections
from server.transports.response import LogResponse

MEDIA_TYPE = "application/x-ndjson"


def frame(batch: Sequence[Event]) -> bytes:
    if not batch:
        return b"\n"
    return batch[0].line if len(batch) == 1 else b"".join([event.line for event in batch])


def respond(
    reader: Reader, connections: Connections, send_timeout: float, headers: dict[str, str] | None = None
) -> LogResponse:
    return LogResponse("ndjson", MEDIA_TYPE, frame, reader, connections, send_timeout, headers)
