"""The log on a WebSocket, one event a text frame, and the close codes that tell a client what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import IntEnum

from starlette.types import Message
from starlette.websockets import WebSocket

from server.chat.reading import Cut, Reader
from server.streaming.events import Event
from server.streaming.signal import Signal
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
    """Send what the reader reads until it ends; the code to close with. Raises what sending raises to a client gone."""
    with connections.opened("websocket", reader):
        try:
            await reader.run(SocketClient(websocket, send_timeout))
        except Cut as cut:
            return CloseCode.DRAINING if cut.reason == "draining" else CloseCode.MAX_AGE
        except TimeoutError:
            return CloseCode.TOO_SLOW
    return CloseCode.NOT_FOUND  # the session was deleted


class SocketClient:
    """A WebSocket of ASGI's. It needs no heartbeat of ours: the protocol's own pings keep it warm."""

    __slots__ = ("_send", "_send_timeout", "_waked")

    def __init__(self, websocket: WebSocket, send_timeout: float) -> None:
        self._send = websocket.send
        self._send_timeout = send_timeout
        self._waked = Signal()

    def offer(self, events: Sequence[Event]) -> int:
        for place, event in enumerate(events):
            if not self._sent_now(event):
                return place
        return len(events)

    async def write(self, events: Sequence[Event]) -> None:
        for event in events:
            if not self._sent_now(event):
                async with asyncio.timeout(self._send_timeout):
                    await self._send(_text(event))

    async def rest(self) -> bool:
        await self._waked.wait()
        self._waked.clear()
        return True

    def wake(self) -> None:
        self._waked.set()

    def _sent_now(self, event: Event) -> bool:
        sending = self._send(_text(event))
        try:
            sending.send(None)
        except StopIteration:
            return True
        except Exception:
            return False  # said again by `write`, where it can be dealt with
        sending.close()
        return False


def _text(event: Event) -> Message:
    return {"type": "websocket.send", "text": event.json.decode("ascii")}
