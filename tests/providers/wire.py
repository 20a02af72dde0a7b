"""A vendor on the loopback, byte by byte.

`WireServer` reads real HTTP/1.1 requests, keeps them, and sends back exactly the bytes that a test wrote
down, with the pauses, cuts and resets that it asked for:

    async with WireServer(response(200, body=b"{}")) as vendor: ...

A reply is the bytes of a whole response, or an async function that is given the `Connection`. The
replies are used in their order and the last one again and again.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

REASONS = {200: "OK", 307: "Temporary Redirect", 429: "Too Many Requests", 529: "Overloaded"}


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Connection:
    """One TCP connection from the client, while its request is being answered."""

    request: Request
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *pieces: bytes) -> None:
        """Write each piece by itself, handing the loop to the client in between."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def until_gone(self) -> None:
        """Wait for the client to close its side."""
        try:
            while await self.reader.read(65_536):
                pass
        except ConnectionError:
            pass

    def reset(self) -> None:
        """Close with a TCP RST, as a crashed or impatient machine in between does."""
        connection: socket.socket = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Reply = bytes | Callable[[Connection], Awaitable[None]]


class WireServer:
    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.requests: list[Request] = []
        self.connections = 0
        self.url = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away, or the test has ended
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; True if the connection stays open for another."""
        request = await read_request(reader)
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        connection = Connection(request, reader, writer)
        if not isinstance(reply, bytes):
            await reply(connection)
            return False
        await connection.send(reply)
        return b"connection: close" not in reply.partition(b"\r\n\r\n")[0].lower()


async def read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)


def head(status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def response(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    """A whole response of known length."""
    return head(status, {**(headers or {}), "Content-Length": str(len(body))}) + body


def stream_head(status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    """The head of an event stream that goes on in chunks."""
    usual = {"Content-Type": "text/event-stream; charset=utf-8", "Transfer-Encoding": "chunked"}
    return head(status, {**usual, **(headers or {})})


def chunk(data: bytes) -> bytes:
    """One piece of a body with `Transfer-Encoding: chunked`; the client reads it as one piece."""
    return b"%x\r\n%b\r\n" % (len(data), data)


END = b"0\r\n\r\n"


def stream(pieces: Iterable[bytes], headers: Mapping[str, str] | None = None) -> bytes:
    """A whole event stream that ends cleanly."""
    return stream_head(200, headers) + b"".join(chunk(piece) for piece in pieces if piece) + END


def events(*data: object) -> bytes:
    """An event of `data` lines alone for each value: JSON, or text as it is."""
    return b"".join(
        b"data: %b\n\n" % (value if isinstance(value, str) else json.dumps(value)).encode() for value in data
    )


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]
