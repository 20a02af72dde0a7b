"""uvicorn's connections with less memory at rest: thousands of people may wait for an answer at the same time.

Each makes three to six queues of 700 bytes that stay empty. And where an object has more than thirty attributes, it
keeps their names for itself, in 1.6 kB; so those of derived classes, and some of the base's, are in `__slots__`.

And with a short way to the socket for pieces of a stream: through `send` each is a dictionary and a coroutine, which
takes as long as the system's own work. The head of a response goes out with the first piece of its body.
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

ADDRESSES = ("sockname", "peername")  # of IPv6 they have four parts

Piece = bytes | bytearray | memoryview


class WriteNow(Protocol):
    def __call__(self, piece: bytes) -> bool:
        """Write a piece of the body, if there is room for it. To be called once the response has begun, and not after
        its end. To somebody who is gone everything is written.
        """
        ...


class GatheringTransport:
    """A transport that can send the next two pieces as one, if both are written in one turn of the loop.

    Two, the head of a response and what its body begins with, and no more: of a stream that is `ready`, and some
    proxies hold everything back if they find 512 bytes or more at their first look.
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

    def let_go(self) -> None:
        """Send what is kept."""
        if self._gathered:
            gathered, self._gathered = self._gathered, b""
            self.write = self._transport.write
            self.write(gathered)

    def close(self) -> None:
        self.let_go()
        self._transport.close()

    def _keep(self, data: Piece) -> None:
        first = not self._gathered
        self._gathered += data
        if first:
            asyncio.get_running_loop().call_soon(self.let_go)
        else:
            self.let_go()


class LeanHttp(HttpToolsProtocol):
    __slots__ = ("_answered",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pipeline = cast(Any, _Pipeline())
        self._answered: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        gathering = cast(asyncio.Transport, self._gathering(transport))
        super().connection_made(gathering)
        self.flow = _Flow(gathering)

    def _gathering(self, transport: asyncio.Transport) -> GatheringTransport:
        return GatheringTransport(transport)

    def eof_received(self) -> None:
        cast(GatheringTransport, self.transport).let_go()

    def connection_lost(self, exc: Exception | None) -> None:
        # uvicorn tells the request that has come last; the one that is being answered may be another.
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
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
