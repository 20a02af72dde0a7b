"""The text of an answer alone, as it arrives: for a terminal. A failure breaks the connection off."""

from __future__ import annotations

import json
from collections.abc import Sequence

from server.chat.reading import Reader
from server.streaming.events import Event
from server.transports.connections import Connections
from server.transports.response import Broken, LogResponse

MEDIA_TYPE = "text/plain; charset=utf-8"


def frame(batch: Sequence[Event]) -> bytes:
    text = b"".join([json.loads(event.json)["content"].encode() for event in batch if event.type == "chunk"])
    if any(event.type in ("error", "reset") for event in batch):
        raise Broken(text)
    return text


def respond(
    reader: Reader, connections: Connections, send_timeout: float, headers: dict[str, str] | None = None
) -> LogResponse:
    return LogResponse("text", MEDIA_TYPE, frame, reader, connections, send_timeout, headers)
