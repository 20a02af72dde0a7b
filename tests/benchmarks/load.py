"""The readers: requests written by hand, stamps looked for in what comes back, and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import httptools

from tests.benchmarks.stamps import Scanner, Stamp, clock

HOST = "127.0.0.1"
EVENTS = {"accept": "text/event-stream"}
JSON = {"accept": "application/json"}


def request(
    method: str, path: str, body: object = None, headers: Mapping[str, str] = JSON, *, close: bool = True
) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    lines = [
        f"{method} {path} HTTP/1.1",
        f"host: {HOST}",
        f"connection: {'close' if close else 'keep-alive'}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    if content:
        lines += ["content-type: application/json", f"content-length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


class Gate:
    """Opens when `count` have passed."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._open = asyncio.Event()

    def let_pass(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self._open.set()

    async def wait(self) -> None:
        await self._open.wait()


class Crowd:
    """Readers of one kind, and what they have seen together.

    `sequence`: the numbers each of them should see, the first `whole` of them without fail. Somebody may
    wait until all have `reached` the `goal`th, too.
    """

    def __init__(self, count: int, sequence: Sequence[bytes] = (), whole: int = 0) -> None:
        self.sequence = sequence
        self.whole = whole
        self.chunks = 0  # read by all together
        self.pieces = 0  # reads that had chunks in them
        self.readers: list[Reader] = []
        self.opened = Gate(count)
        self.first_started = Gate(1)
        self.first_whole = Gate(1)
        self.all_whole = Gate(count)
        self.ended = Gate(count)
        self.reached = Gate(count)
        self.goal = 0

    def latencies(self) -> list[int]:
        """Microseconds from the sending of a chunk to its being read, sorted."""
        return sorted(
            read_at - int(sent_at)
            for reader in self.readers
            for read_at, stamps in reader.seen
            for _, sent_at in stamps
        )

    def first_chunks(self) -> list[int]:
        """Microseconds from the request to the first chunk, sorted."""
        return sorted(reader.first_at - reader.sent_at for reader in self.readers if reader.first_at)

    @property
    def span(self) -> float:
        """Seconds from the first request to the last chunk."""
        end = max(reader.last_at for reader in self.readers)
        return (end - min(reader.sent_at for reader in self.readers)) / 1e6

    def gaps(self) -> list[int]:
        """Microseconds that readers waited between two chunks, sorted."""
        return sorted(later - earlier for reader in self.readers for (earlier, _), (later, _) in pairwise(reader.seen))

    def faults(self) -> list[str]:
        """What is wrong with what was seen: chunks lost, doubled or out of order, and requests refused."""
        return [fault for reader in self.readers if (fault := reader.fault())]

    def close(self) -> None:
        for reader in self.readers:
            reader.close()


class Reader(asyncio.Protocol):
    """One request and the stream that answers it."""

    def __init__(self, crowd: Crowd, asked: bytes, keep: bool = True) -> None:
        """With `keep`, the times of all chunks are kept."""
        self.seen: list[tuple[int, Sequence[Stamp]]] = []
        self.sent_at = self.first_at = self.last_at = 0
        self.status = 0
        self.position = 0
        self.bytes = 0
        self.complete = False  # the response ended as responses do
        self.lost = False  # the connection was not closed by us
        self._crowd = crowd
        self._asked = asked
        self._keep = keep
        self._wrong = ""
        self._opened = False
        self._scanner = Scanner()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        crowd.readers.append(self)

    async def connect(self, port: int) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self, HOST, port)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def fault(self) -> str:
        if self._wrong:
            return self._wrong
        if self.status not in (101, 200):
            return f"the server answered {self.status}"
        if self.position < self._crowd.whole:
            return f"only {self.position} of {self._crowd.whole} chunks came"
        if self.position not in (self._crowd.whole, len(self._crowd.sequence)) and not self._crowd.goal:
            return f"{self.position - self._crowd.whole} chunks came twice"
        return ""

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.sent_at = clock()
        self._transport.write(self._asked)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._wrong = f"not HTTP: {error}"
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = self._transport is not None
        self._transport = None
        self._crowd.ended.let_pass()
        self._give_up()

    # httptools

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        if not self._opened:
            self._opened = True
            self._crowd.opened.let_pass()
        self.bytes += len(body)
        self._scan(body)

    def on_message_complete(self) -> None:
        self.complete = True

    def _give_up(self) -> None:
        """Nobody waits for what will not come any more; `fault` tells."""
        crowd = self._crowd
        if not self._opened:
            crowd.opened.let_pass()
        if self.position < crowd.goal:
            crowd.reached.let_pass()
        if self.position < crowd.whole:
            crowd.first_started.let_pass()
            crowd.first_whole.let_pass()
            crowd.all_whole.let_pass()

    def _scan(self, piece: bytes) -> None:
        if not self._keep:
            self._take(self._scanner.numbers(piece))
            return
        position = self.position
        stamps = self._scanner.scan(piece)
        self._take([number for number, _ in stamps])
        first = stamps[: max(0, self._crowd.whole - position)]
        if first:
            self.seen.append((self.last_at, first))

    def _take(self, numbers: Sequence[bytes]) -> None:
        if not numbers:
            return
        crowd, position = self._crowd, self.position
        self.position = end = position + len(numbers)
        if numbers != crowd.sequence[position:end] and not self._wrong:
            self._wrong = f"after {position} chunks came {b' '.join(numbers[:20]).decode()}"
        if position >= crowd.whole:
            return  # the whole text, once more
        crowd.chunks += min(end, crowd.whole) - position
        crowd.pieces += 1
        now = self.last_at = clock()
        if not position:
            self.first_at = now
            crowd.first_started.let_pass()
        if position < crowd.goal <= end:
            crowd.reached.let_pass()
        if end >= crowd.whole:
            crowd.first_whole.let_pass()
            crowd.all_whole.let_pass()


class WebSocketReader(Reader):
    """The same on a WebSocket: frames are not decoded, but pings are answered."""

    def __init__(self, crowd: Crowd, path: str) -> None:
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        asked = (
            f"GET {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
            f"sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n"
        )
        super().__init__(crowd, asked.encode())

    def data_received(self, data: bytes) -> None:
        if not self.status:
            head, _, data = data.partition(b"\r\n\r\n")
            self.status = int(head.split(b" ", 2)[1])
        if data.startswith(b"\x89") and self._transport is not None:
            # A pong: masked, with a mask of zeros.
            self._transport.write(b"\x8a%c\0\0\0\0%b" % (0x80 | data[1], data[2 : 2 + data[1]]))
        elif data:
            self.on_body(data)


class PollReader(Reader):
    """The same by long-poll: asks again from each answer's cursor."""

    def __init__(self, crowd: Crowd, path: str, wait: float) -> None:
        self._path = f"{path}?wait={wait:g}"
        self._body = b""
        super().__init__(crowd, request("GET", self._path, close=False))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.status = 200
        self._crowd.opened.let_pass()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        cursor, self._body = json.loads(self._body)["cursor"], b""
        again = request("GET", f"{self._path}&after={cursor}", close=False)
        if self._transport is not None:
            self._transport.write(again)


class Call(asyncio.Protocol):
    """One request and its whole answer."""

    def __init__(self, asked: bytes) -> None:
        self.took = 0  # microseconds from the request to the end of the answer
        self.body = b""
        self._asked = asked
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._sent_at = clock()
        cast(asyncio.Transport, transport).write(self._asked)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        self.took = clock() - self._sent_at
        self.body = b"".join(self._parts)
        if not self._done.done():
            self._done.set_result(self._parser.get_status_code())

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(ConnectionError("closed before the answer was whole"))

    async def done(self) -> int:
        return await self._done


class Refused(RuntimeError):
    """The server did not do what a benchmark needs."""


async def call(port: int, method: str, path: str, body: object = None) -> Call:
    """Raises Refused, ConnectionError."""
    asked = Call(request(method, path, body))
    transport, _ = await asyncio.get_running_loop().create_connection(lambda: asked, HOST, port)
    try:
        status = await asked.done()
    finally:
        transport.close()
    if status >= 400:
        raise Refused(f"{method} {path}: {status} {asked.body[:300]!r}")
    return asked


async def call_json(port: int, method: str, path: str, body: object = None) -> Mapping[str, Any]:
    answer = await call(port, method, path, body)
    found: Mapping[str, Any] = json.loads(answer.body)
    return found
