"""The log on a WebSocket, one event a text frame, and the close codes that tell a client what to do."""

from __future__ import annotations

import asyncio
from enum import IntEnum

from starlette.websockets import WebSocket

from server.chat.reading import Cut, Reader
from server.transports.connections import Connections


class CloseCode(IntEnum):
    """4000-4499: come back with your cursor. 4500-4999: do not."""

    DRAINING = 4001
    TOO_SLOW = 4002
    MAX_AGE = 4003
    UNAVAILABLE = 4004
    UNAUTHORIZED = 4501
    NOT_FOUND = 4502
    TOO_MANY_FRAMES = 4503
    BAD_REQUEST = 4504


async def send_log(websocket: WebSocket, reader: Reader, connections: Connections, send_timeout: float) -> CloseCode:
    """Send what the reader yields until it ends; the code to close with."""
    with connections.opened("websocket", reader):
        try:
            async for batch in reader.batches():
                for event in batch:
                    async with asyncio.timeout(send_timeout):
                        await websocket.send_text(event.json.decode("ascii"))
        except Cut as cut:
            return CloseCode.DRAINING if cut.reason == "draining" else CloseCode.MAX_AGE
        except TimeoutError:
            return CloseCode.TOO_SLOW
    return CloseCode.NOT_FOUND  # the session was deleted
