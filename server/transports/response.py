"""The HTTP response that streams a log, in whatever framing."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence

from sse_starlette import EventSourceResponse
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from server.chat.errors import ChatError
from server.chat.reading import Cut, Reader
from server.streaming.events import Event
from server.transports.connections import Connections, Transport

logger = logging.getLogger(__name__)

# no-store: Varnish would replay one user's stream to another. X-Accel-Buffering: nginx would hold it back.
HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}

Frame = Callable[[Sequence[Event]], bytes]


class Broken(Exception):
    """The answer failed, and the framing has no word for that but to break off."""


class LogResponse(EventSourceResponse):
    """What `reader` yields, as `frame` frames it; an empty batch is framed as a heartbeat.

    sse-starlette brings the watch over disconnects and slow readers; it passes bytes through untouched, so it
    serves the other framings as well. The heartbeat is ours: only the log knows when it was silent.
    """

    def __init__(
        self,
        transport: Transport,
        media_type: str,
        frame: Frame,
        reader: Reader,
        connections: Connections,
        send_timeout: float,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(
            self._frames(),
            media_type=media_type,
            headers={**HEADERS, **(headers or {})},
            ping=0,
            sep="\n",
            send_timeout=send_timeout,
        )
        # Some proxies know text/event-stream only without a charset.
        self.headers["Content-Type"] = media_type
        self._transport = transport
        self._frame = frame
        self._reader = reader
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._connections.opened(self._transport, self._reader):
            try:
                await super().__call__(scope, receive, send)
            except (Cut, Broken, SendTimeoutError):
                # Returning without the final chunk makes uvicorn close the connection: a client sees that
                # it was cut, not that it is finished.
                return
            except ChatError as error:
                logger.warning("a stream ended early: %s", error)

    async def _frames(self) -> AsyncIterator[bytes]:
        async for batch in self._reader.batches():
            frame = self._frame(batch)
            if frame:
                yield frame
