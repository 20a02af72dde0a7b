"""The HTTP response that streams a log, in whatever framing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import cache, partial

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from server.chat.errors import ChatError
from server.chat.reading import Cut, Reader
from server.lean_connections import WRITE_NOW, WriteNow
from server.streaming.events import Event
from server.transports.connections import Connections, Transport
from server.transports.outside import run_outside

logger = logging.getLogger(__name__)

# no-store: Varnish would replay one user's stream to another. X-Accel-Buffering: nginx would hold it back.
HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}

# Bytes. uvicorn takes a piece whole when there is any room, so this is what a client that reads nothing costs us.
PART = 65_536

# Seconds. Caddy's gzip holds a response back for good if it finds 512 bytes or more at its first look. So it has to
# find `ready` alone there: where headers tell of a proxy, what follows at once is kept for a moment.
FIRST_ALONE = 0.01
PROXIED = frozenset({b"via", b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"})

Frame = Callable[[Sequence[Event]], bytes]


class Broken(Exception):
    """The answer failed, and the framing has no word for that but to break off, behind `rest`."""

    def __init__(self, rest: bytes) -> None:
        super().__init__()
        self.rest = rest


class LogResponse(Response):
    """What `reader` reads, as `frame` frames it; `frame(())` is a heartbeat.

    Not sse-starlette's EventSourceResponse: that takes four tasks and 35 kB a connection, and a task woken for every
    event. Here a connection is uvicorn's own task at rest, and events go to its socket straight from the
    writer. What it brings besides is kept: it notices who has left, who reads nothing, and the shutdown.
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
        self.status_code = 200
        self.background = None
        # Some proxies know text/event-stream only without a charset, so Starlette must not add one.
        self.raw_headers = [
            *_raw(media_type),
            *((name.lower().encode(), value.encode()) for name, value in (headers or {}).items()),
        ]
        self._transport = transport
        self._frame = frame
        self._reader = reader
        self._connections = connections
        self._send_timeout = send_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        serve = partial(self._serve, scope["method"], scope["headers"], scope.get(WRITE_NOW))
        await run_outside(scope, receive, send, serve)

    async def _serve(
        self,
        method: str,
        asked: list[tuple[bytes, bytes]],
        write_now: WriteNow | None,
        receive: Receive,
        send: Send,
    ) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        proxied = any(name in PROXIED for name, _ in asked)
        # Nobody looks at them any more, and those of a browser are 2 kB of a connection's 14.
        asked.clear()
        self.raw_headers = []
        if method != "HEAD" and not await self._stream(receive, send, write_now or partial(_sent_now, send), proxied):
            # Returning without the final chunk makes uvicorn close the connection: a client sees that it
            # was cut, not that it is finished.
            return
        await send({"type": "http.response.body"})

    async def _stream(self, receive: Receive, send: Send, write_now: WriteNow, proxied: bool) -> bool:
        """Whether it went to the end."""
        with self._connections.opened(self._transport, self._reader) as connection:
            client = HttpClient(self._frame, receive, send, write_now, self._send_timeout, first_alone=proxied)
            connection.client = client
            try:
                await self._reader.run(client)
                client.let_go()
                await client.wait_for_room()
            except (Cut, Broken, TimeoutError):
                return False
            except ChatError as error:
                logger.warning("a stream ended early: %s", error)
                return False
            finally:
                client.let_go()
            return not client.gone


@cache
def _raw(media_type: str) -> Sequence[tuple[bytes, bytes]]:
    """The headers of all streams of one kind, which share them."""
    headers = {**HEADERS, "Content-Type": media_type}
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


class HttpClient:
    """A connection of ASGI's HTTP."""

    __slots__ = (
        "_first_alone",
        "_frame",
        "_kept",
        "_receive",
        "_resting",
        "_send",
        "_send_timeout",
        "_woken",
        "_write_now",
        "gone",
        "silence",
    )

    def __init__(
        self,
        frame: Frame,
        receive: Receive,
        send: Send,
        write_now: WriteNow,
        send_timeout: float,
        *,
        first_alone: bool,
    ) -> None:
        self.gone = False
        self.silence = 0
        self._first_alone = first_alone
        self._kept: bytearray | None = None
        self._frame = frame
        self._receive = receive
        self._send = send
        self._write_now = write_now
        self._send_timeout = send_timeout
        self._resting: asyncio.Task[None] | None = None
        self._woken = False

    def offer(self, events: Sequence[Event]) -> int:
        try:
            body = self._frame(events)
        except Broken:
            return 0  # said again by `write`, where it can be dealt with
        if len(body) > PART:
            return 0  # `write` sends it in parts
        return len(events) if not body or self._sent_now(body) else 0

    async def write(self, events: Sequence[Event]) -> None:
        try:
            await self._write(self._frame(events))
        except Broken as broken:
            await self._write(broken.rest)
            raise

    async def _write(self, body: bytes) -> None:
        for start in range(0, len(body), PART):
            part = body[start : start + PART]
            if not self._sent_now(part):
                if self._kept is not None:
                    await asyncio.sleep(FIRST_ALONE)
                    self.let_go()
                async with asyncio.timeout(self._send_timeout):
                    await self._send(_part(part))
                self.silence = 0
        if body and self._first_alone:
            self._first_alone = False
            self._kept = bytearray()
            asyncio.get_running_loop().call_later(FIRST_ALONE, self.let_go)

    def let_go(self) -> None:
        """Send what was kept behind the first write. There is room for it: only that was sent before."""
        kept, self._kept = self._kept, None
        if kept:
            self._sent_now(bytes(kept))

    async def wait_for_room(self) -> None:
        """Raises TimeoutError if the client does not take what was sent before."""
        if not self._write_now(b""):
            async with asyncio.timeout(self._send_timeout):
                await self._send(_part(b""))

    def beat(self) -> None:
        if self._resting is not None and (body := self._frame(())) and not self._sent_now(body):
            self.wake()  # to look whether it still takes anything

    async def rest(self) -> bool:
        """In `receive`, which returns when the client leaves.

        `wake` cancels the task out of it, in the way of asyncio.timeout(): a cancel that is caught here and
        taken back. That spares every idle connection a second task.
        """
        await self.wait_for_room()
        task = self._resting = asyncio.current_task()
        assert task is not None
        try:
            while not self._woken and not self.gone:
                self.gone = (await self._receive())["type"] == "http.disconnect"
        except asyncio.CancelledError:
            if not self._woken or task.uncancel() > 0:
                raise
        finally:
            self._resting = None
            self._woken = False
        return not self.gone

    def wake(self) -> None:
        if not self._woken:
            self._woken = True
            if self._resting is not None:
                self._resting.cancel()

    def _sent_now(self, body: bytes) -> bool:
        if not (self._write_now(body) if self._kept is None else self._taken_later(self._kept, body)):
            return False
        self.silence = 0
        return True

    def _taken_later(self, kept: bytearray, body: bytes) -> bool:
        if len(kept) + len(body) > PART:
            return False
        kept += body
        return True


def _sent_now(send: Send, piece: bytes) -> bool:
    """WriteNow over ASGI's own `send`: uvicorn's waits for room before it takes anything."""
    sending = send(_part(piece))
    try:
        sending.send(None)  # type: ignore[attr-defined]
    except StopIteration:
        return True
    except Exception:
        return False  # said again by `write`, where it can be dealt with
    sending.close()  # type: ignore[attr-defined]
    return False


def _part(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}
