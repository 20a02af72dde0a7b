"""Bounds on what one connection may cost, where uvicorn has none: the head of a request, what comes with its body
and is none, the time that they take, the requests that wait, a reader that takes nothing, and the frames of a socket.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from websockets.frames import CloseCode, Frame
from websockets.http11 import MAX_LINE_LENGTH

from server.lean_connections import GatheringTransport, LeanHttp, LeanWebSocket

FRAMES = 1_000  # a second: whole ones, pieces, pings and pongs
PIECES = 1_024  # of one message, which may have 1 MiB: empty ones would add up to no size at all
TOO_MANY_FRAMES = 4503
LINGER = 2.0  # seconds in which a socket that was ended may say what it had begun to

MAX_WAITING = 16  # requests of one connection, behind the one that is being answered

LINE_MARGIN = 32  # bytes of a line besides what is counted

ANSWER = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n%b\r\n%b"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Times in seconds. `max_head`: bytes, also of what comes between two pieces of a body (extensions) or behind the
    last one (trailers). `stuck`: how long a client may take nothing of what waits for it. `headers`: of every refusal.
    """

    max_headers: int
    max_head: int
    head_timeout: float
    body_timeout: float
    stuck: float
    headers: Sequence[tuple[bytes, bytes]] = ()


def http_protocol(bounds: Bounds) -> Callable[..., asyncio.Protocol]:
    return partial(BoundedHttp, bounds)


class _TooLarge(Exception):
    """The head of a request."""


class _TooMany(Exception):
    """Requests of one connection wait."""


class ClosingTransport(GatheringTransport):
    """A transport whose `close` does not wait for ever for a peer that takes nothing.

    `linger`: seconds that the peer has to take what was sent before.
    """

    __slots__ = ("_linger",)

    def __init__(self, transport: asyncio.Transport, linger: float) -> None:
        super().__init__(transport)
        self._linger = linger

    def close(self) -> None:
        super().close()
        if self._transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(self._linger, self._give_up)

    def reset(self) -> None:
        """Close it now; not only abort, or the kernel would keep what it has and go on trying."""
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _give_up(self) -> None:
        if self._transport.get_write_buffer_size():
            self.reset()


class BoundedHttp(LeanHttp):
    __slots__ = ("_beside", "_bounds", "_deadline", "_full", "_in_head", "_stuck")

    def __init__(self, bounds: Bounds, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._bounds = bounds
        self._in_head = True
        self._beside = 0  # bytes of the head so far; behind it, those that stand beside the body
        self._full = False  # nothing is read any more: the connection ends behind what waits
        self._deadline: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm(self._bounds.head_timeout)

    def _gathering(self, transport: asyncio.Transport) -> GatheringTransport:
        return ClosingTransport(transport, self._bounds.stuck)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._unstick()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._full:
            return  # not left unread: the answers would be lost when the connection is closed
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering and self._in_head and self._deadline is None and not (data := data.lstrip(b"\r\n")):
            return  # a blank line in front of a request (RFC 9112, 2.2) begins none, and breaks off no answer
        self._beside += len(data)
        if self._in_head and self._deadline is None:
            self._arm(self._bounds.head_timeout)
        super().data_received(data)
        if self._beside > self._bounds.max_head and not self._full and not self.transport.is_closing():
            if self._in_head:
                self._refuse(431, b"The head of the request is too large.")
            else:
                self._break_off(400, b"The body of the request has too much besides itself.")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer: who sends it has been let in, or not, by what stands in the head
        super().on_header(name, value)
        if len(self.headers) > self._bounds.max_headers:
            raise _TooLarge

    def on_headers_complete(self) -> None:
        self._check_head()
        if len(self.pipeline) >= MAX_WAITING:
            self._full = True
            raise _TooMany
        self._in_head = False
        self._beside = 0
        self._arm(self._bounds.body_timeout)
        super().on_headers_complete()

    def _check_head(self) -> None:
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > self._bounds.max_head:
            raise _TooLarge

    def on_body(self, body: bytes) -> None:
        self._beside = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        self._beside = 0
        self._disarm()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._disarm()
        lines = [self.url, *(name + value for name, value in self.headers)]
        if max(len(line) for line in lines) > MAX_LINE_LENGTH - LINE_MARGIN:
            # The WebSocket library refuses these as well, but then nobody closes the connection.
            self._refuse(431, b"A header of the request is too large.")
        else:
            super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        # For what is no stream: a file, say. Streams look after themselves, but sooner.
        super().pause_writing()
        self._unstick()
        self._stuck = self.loop.call_later(2 * self._bounds.stuck, cast(ClosingTransport, self.transport).reset)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unstick()

    def _unstick(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def send_400_response(self, msg: str) -> None:
        if self._full:
            self._disarm()
            self.cycle.keep_alive = False  # of the last that waits
        elif self._in_head and self.headers is not None and self._over():
            self._refuse(431, b"The head of the request is too large.")
        else:
            self._refuse(400, msg.encode("ascii"))

    def _over(self) -> bool:
        return len(self.headers) > self._bounds.max_headers or self._beside > self._bounds.max_head

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(seconds, self._time_out)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _time_out(self) -> None:
        if self.headers is None:
            self.transport.close()
        else:
            self._break_off(408, b"The request took too long to arrive.")

    def _break_off(self, status: int, text: bytes) -> None:
        """Refuse the rest of a request; without a word if an answer has begun: it would be taken for a part of it."""
        if self.cycle is not None and (self.cycle.response_started or self.pipeline):
            self.transport.close()
        else:
            self._refuse(status, text)

    def _refuse(self, status: int, text: bytes) -> None:
        self._disarm()
        if not self.transport.is_closing():
            more = b"".join(b"%b: %b\r\n" % header for header in self._bounds.headers)
            self.transport.write(STATUS_LINE[status] + ANSWER % (len(text), more, text))
            self.transport.close()


class BoundedWebSocket(LeanWebSocket):
    __slots__ = ("_frames_in_second", "_over", "_second")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._second = 0.0
        self._frames_in_second = 0
        self._over = False

    def handle_text(self, event: Frame) -> None:
        if self._allowed():
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        if self._allowed():
            super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= PIECES:
            self._fail(TOO_MANY_FRAMES, "too many pieces")
        elif self._allowed():
            super().handle_cont(event)

    def handle_ping(self) -> None:
        if self._allowed():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        if self._allowed():
            super().handle_pong(event)

    def _allowed(self) -> bool:
        second = self.loop.time() // 1
        if second != self._second:
            self._second, self._frames_in_second = second, 0
        self._frames_in_second += 1
        if self._frames_in_second > FRAMES:
            self._fail(TOO_MANY_FRAMES, "too many frames")
        return not self._over

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                # uvicorn refuses it as well, but writes a traceback into the log, whoever sent it.
                self._fail(CloseCode.INVALID_DATA, "text that is no UTF-8")
                return
        super().send_receive_event_to_app()

    def _fail(self, code: int, reason: str) -> None:
        if self._over or self.close_sent:
            return
        self.conn.fail(code, reason)
        self._end(code, reason)

    def handle_parser_exception(self) -> None:
        if not self._over and self.conn.close_sent is not None:  # what comes now is read and thrown away
            self._end(self.conn.close_sent.code, self.conn.close_sent.reason)

    def _end(self, code: int, reason: str) -> None:
        self._over = self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        # It may still be sending: closed on that, the system would reset the connection, and the client not learn why.
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.close_timer = self.loop.call_later(LINGER, self.transport.close)
