"""HTTP/1.1 to the vendors, without what makes httpx2 and httpcore slow.

They cost 170-250 µs of CPU a small piece of a stream (locks, cancel scopes, and timeouts for each), and 150 more a
request (its address, headers and body as objects, twice); this costs about 10, and 50. It speaks to one server after
the other over plain asyncio, with httptools as its parser, and does only what is asked of it: POST a body, read
the answer as it comes. Where proxies are configured httpx2 itself is used; see `http_client.py`.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from base64 import b64encode
from collections import deque
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from typing import NamedTuple, cast

import httptools
import httpx2

from server.providers.connecting import connected_socket

MAX_HEAD = 65_536  # bytes of a response's status line and headers
PIECE = 16_384  # bytes that are read at a time, so that others get their turn: half a millisecond of small chunks
HIGH_WATER = 65_536  # bytes that wait to be read before the socket is read no further
MAX_IDLE = 100  # connections kept for the next request
KEEPALIVE = 30.0  # seconds for which they are kept


class Origin(NamedTuple):
    scheme: str
    host: str
    port: int


class LeanClient:
    """`connect_timeout` in seconds, TLS included. There is no other: whoever waits knows for how long."""

    def __init__(self, connect_timeout: float) -> None:
        self._connect_timeout = connect_timeout
        self._tls: ssl.SSLContext | None = None
        self._idle: dict[Origin, deque[_Connection]] = {}

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Raises httpx2.ConnectError, ConnectTimeout, ReadError, RemoteProtocolError and InvalidURL."""
        origin, line, login = _target(url)
        if login:
            headers = {**{name: value for name, value in headers.items() if name.lower() != "authorization"}, **login}
        connection = self._reusable(origin) or await self._connect(origin)
        # Not asked again by itself if it breaks: the server may have begun to work on it.
        await connection.ask(_request(line, headers, body))
        return Response(self, origin, connection)

    async def aclose(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    def keep(self, origin: Origin, connection: _Connection) -> None:
        """Take a connection back whose answer was read to its end."""
        idle = self._idle.setdefault(origin, deque(maxlen=MAX_IDLE))
        while idle and (len(idle) == MAX_IDLE or idle[0].expired):
            idle.popleft().close()
        idle.append(connection)

    def _reusable(self, origin: Origin) -> _Connection | None:
        idle = self._idle.get(origin, deque())
        while idle:
            connection = idle.pop()
            if connection.usable():
                return connection
            connection.close()
        return None

    async def _connect(self, origin: Origin) -> _Connection:
        if origin.scheme == "https" and self._tls is None:
            self._tls = await asyncio.to_thread(httpx2.create_ssl_context)
        tls = self._tls if origin.scheme == "https" else None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout):
                connected = await connected_socket(origin.host, origin.port)
                name = origin.host if tls else None
                _, connection = await loop.create_connection(_Connection, sock=connected, ssl=tls, server_hostname=name)
        except TimeoutError:
            raise httpx2.ConnectTimeout(f"no connection within {self._connect_timeout:g} s") from None
        except (OSError, UnicodeError) as error:
            raise httpx2.ConnectError(str(error)) from error
        return connection


class Response:
    """Its head, and its body as it comes. Closed before its end, it closes the connection."""

    def __init__(self, client: LeanClient, origin: Origin, connection: _Connection) -> None:
        self.status = connection.answer.status
        self.headers = connection.answer.headers
        self._client = client
        self._origin = origin
        self._connection = connection
        self._closed = False

    @property
    def over(self) -> bool:
        return self._connection.over

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._connection.read()
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._connection.rest():
            self._client.keep(self._origin, self._connection)
        else:
            self._connection.close()


class _Answer:
    """What has come of one response; httptools calls its methods."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.has_head = False
        self.complete = False
        self.keep_alive = False
        self.until_close = True  # unless a header says how long the body is
        self.size = 0  # bytes that wait in `pieces`
        self.pieces: list[bytes] = []
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._head_size = 0

    def feed(self, data: bytes) -> None:
        """Raises httptools.HttpParserError."""
        if not self.has_head:
            self._head_size += len(data)
        if self._parser is not None:
            self._parser.feed_data(data)
        if not self.has_head and self._head_size > MAX_HEAD:
            raise httptools.HttpParserError("the headers are too long")
        if self.complete:
            self.let_go()

    def let_go(self) -> None:
        """Nothing more comes. The parser knows this object: both would stay until garbage is looked for."""
        self._parser = None

    def take(self) -> bytes:
        """The next bytes of the body, as many as have come, PIECE at the most."""
        whole = b"".join(self.pieces)
        rest = whole[PIECE:]
        self.pieces, self.size = [rest] if rest else [], len(rest)
        return whole[:PIECE]

    def on_message_begin(self) -> None:
        if self.complete:
            self.keep_alive = False  # nobody has asked for another answer

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.has_head:
            return  # a trailer
        self.headers.append((name, value))
        lowered = name.lower()
        if lowered == b"content-length" or (lowered == b"transfer-encoding" and b"chunked" in value.lower()):
            self.until_close = False

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        if self.complete:
            return
        self.status = self._parser.get_status_code()
        if self.status >= 200:
            self.has_head = True
            self.keep_alive = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self.pieces.append(body)
            self.size += len(body)

    def on_message_complete(self) -> None:
        if self.has_head:
            self.complete = True
        else:
            # That was 100 Continue or the like: the answer is still to come.
            self.headers, self.until_close = [], True


class _Connection(asyncio.Protocol):
    """One connection, with one request at a time on it."""

    def __init__(self) -> None:
        self.answer = _Answer()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._idle_since = self._loop.time()

    async def ask(self, request: bytes) -> None:
        """Send a request, and wait for the head of its answer."""
        self.answer.let_go()
        self.answer = _Answer()
        if self._transport is not None:
            self._transport.write(request)
        try:
            while not self.answer.has_head and self._transport is not None:
                await self._wait()
        except asyncio.CancelledError:
            self.close()
            raise
        if not self.answer.has_head:
            raise self._error or _truncated()

    async def read(self) -> bytes:
        """The next bytes of the body; none at its end."""
        answer = self.answer
        if answer.pieces:
            await asyncio.sleep(0)  # it comes faster than it is read: let the others run
        while not answer.pieces and not answer.complete and self._transport is not None:
            await self._wait()
        if answer.pieces:
            taken = answer.take()
            if answer.size <= HIGH_WATER:
                self._resume()
            return taken
        if not answer.complete:
            raise self._error or _truncated()
        return b""

    @property
    def over(self) -> bool:
        return self.answer.complete and not self.answer.pieces

    def rest(self) -> bool:
        """Whether the answer is read to its end, and another request can follow."""
        self._idle_since = self._loop.time()
        return self.over and self.answer.keep_alive and self.usable()

    @property
    def expired(self) -> bool:
        return self._loop.time() - self._idle_since >= KEEPALIVE

    def usable(self) -> bool:
        if self._transport is None or self._transport.is_closing() or self.expired:
            return False
        # Its end may have come that the loop has not seen yet; and nothing else was asked for.
        waiting = select.poll()
        waiting.register(self._transport.get_extra_info("socket"), select.POLLIN)
        return not waiting.poll(0)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self.answer.let_go()

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance

    def data_received(self, data: bytes) -> None:
        if self.answer.complete:
            self.close()  # nothing was asked
            return
        try:
            self.answer.feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._error = httpx2.RemoteProtocolError(str(error))
            self.close()
        if self.answer.size > HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.answer.let_go()
        if exc is not None:
            self._error = self._error or httpx2.ReadError(str(exc))
        elif self.answer.has_head and self.answer.until_close:
            self.answer.complete = True
        self._wake()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            if self._transport is not None:
                self._transport.resume_reading()

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _truncated() -> httpx2.RemoteProtocolError:
    return httpx2.RemoteProtocolError("the server closed the connection in the middle of its answer")


@lru_cache
def _target(url: str) -> tuple[Origin, str, Mapping[str, str]]:
    """Where a request goes, how it begins, and the header for a login in its address, which goes before a key."""
    parsed = httpx2.URL(url)
    origin = Origin(parsed.scheme, parsed.host, parsed.port or (443 if parsed.scheme == "https" else 80))
    path, host = parsed.raw_path.decode("ascii"), parsed.netloc.decode("ascii")
    login = b64encode(f"{parsed.username}:{parsed.password}".encode()).decode() if parsed.userinfo else ""
    header = {"Authorization": f"Basic {login}"} if login else {}
    return origin, f"POST {path} HTTP/1.1\r\nHost: {host}\r\n", header


def _request(line: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """As RFC 9112 has it."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"{line}{lines}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body
