"""uvicorn's connections with less memory at rest: thousands of people may wait for an answer at the same time.

Each makes three to six queues of 700 bytes that stay empty. And where an object has more than thirty attributes, it
keeps their names for itself, in 1.6 kB; so those of derived classes, and some of the base's, are in `__slots__`.

And with a short way to the socket for pieces of a stream: through `send` each is a dictionary and a coroutine, which
takes as long as the system's own work. What a response begins with goes out in one piece.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Protocol, cast

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from server.streaming.signal import Signal

WRITE_NOW = "xionimus.write_now"  # in the scope of a request: a WriteNow, for a response whose length is not told

MAX_GATHERED = 65_536  # bytes
ADDRESSES = ("sockname", "peername")  # of IPv6 they have four parts

Piece = bytes | bytearray | memoryview


class WriteNow(Protocol):
    def __call__(self, piece: bytes) -> bool:
        """Write a piece of the body, if there is room for it. To be called once the response has begun, and not after
        its end. To somebody who is gone everything is written.
        """
        ...


class GatheringTransport:
    """A transport that can send what is written to it in one turn of the loop as one piece.

    A response begins with three: its head, the first event, and what there is already. Each would be a packet.
    """

    __slots__ = ("_gathered", "_transport", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.is_closing = transport.is_closing
        self.write = transport.write
        self._transport = transport
        self._gathered = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        # Of the socket uvicorn would only want the addresses, with six calls to the system: they are known here.
        info = None if name == "socket" else self._transport.get_extra_info(name, default)
        return info[:2] if name in ADDRESSES and isinstance(info, tuple) else info

    def gather(self) -> None:
        """Send what is written next with what follows it in the same turn."""
        self.write = self._keep

    def close(self) -> None:
        self._let_go()
        self._transport.close()

    def _keep(self, data: Piece) -> None:
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._let_go)
        self._gathered += data
        if len(self._gathered) > MAX_GATHERED:
            self._let_go()

    def _let_go(self) -> None:
        self.write = self._transport.write
        if self._gathered:
            gathered, self._gathered = self._gathered, b""
            self.write(gathered)


class LeanHttp(HttpToolsProtocol):
    __slots__ = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pipeline = cast(Any, _Pipeline())

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        gathering = cast(asyncio.Transport, self._gathering(transport))
        super().connection_made(gathering)
        self.flow = _Flow(gathering)

    def _gathering(self, transport: asyncio.Transport) -> GatheringTransport:
        return GatheringTransport(transport)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        signal = Signal()
        if cycle.message_event.is_set():
            signal.set()
        cycle.message_event = cast(asyncio.Event, signal)
        # Not the cycle's own method: that would make it garbage which only the collector finds.
        cast(dict[str, Any], cycle.scope)[WRITE_NOW] = partial(_write_now, self.transport, self.flow)
        cast(GatheringTransport, self.transport).gather()
        super()._start_asgi_task(cycle, app)


def _write_now(transport: asyncio.Transport, flow: FlowControl, piece: bytes) -> bool:
    # As RequestResponseCycle.send has it: RFC 9112, section 7.1.
    if flow.write_paused:
        return False
    if piece and not transport.is_closing():
        transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    return True


class LeanWebSocket(WebSocketsSansIOProtocol):
    __slots__ = (
        "curr_msg_data_type",
        "frames",
        "last_ping_rtt",
        "pending_ping_payload",
        "ping_interval",
        "ping_sent_at",
        "ping_timeout",
        "ping_timer",
        "pong_timer",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queue = cast(Any, _Queue())
        self.writable = cast(asyncio.Event, Signal())
        self.writable.set()


class _Queue:
    """asyncio.Queue, for one who gets."""

    __slots__ = ("_filled", "_messages")

    def __init__(self) -> None:
        self._filled = Signal()
        self._messages: list[Any] = []

    def put_nowait(self, message: Any) -> None:
        self._messages.append(message)
        self._filled.set()

    async def get(self) -> Any:
        while not self._messages:
            self._filled.clear()
            await self._filled.wait()
        return self._messages.pop(0)

    def empty(self) -> bool:
        return not self._messages


class _Flow(FlowControl):
    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._is_writable_event = cast(asyncio.Event, Signal())
        self._is_writable_event.set()


class _Pipeline(list[Any]):
    """A queue that is nearly always empty."""

    __slots__ = ()

    def appendleft(self, waiting: Any) -> None:
        self.insert(0, waiting)
