"""HTTP on a bare socket: for clients that stop reading, and for telling a clean end from a cut."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

END = b"0\r\n\r\n"
"""The last chunk of a body that ends as it should."""


@dataclass
class Stream:
    """One request whose answer stays open."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    body: bytes = b""

    async def read_until(self, text: str) -> None:
        while text.encode() not in self.body:
            piece = await self.reader.read(65_536)
            assert piece, f"it ended without {text}"
            self.body += piece

    async def read_to_end(self) -> None:
        try:
            while piece := await self.reader.read(65_536):
                self.body += piece
        except ConnectionError:
            pass  # a reset is an end, too, and no clean one

    @property
    def clean(self) -> bool:
        return self.body.endswith(END)


@asynccontextmanager
async def streams(
    port: int, requests: Iterable[tuple[str, str]], receive_buffer: int | None = None
) -> AsyncIterator[list[Stream]]:
    """GET each path with each Accept: the requests are sent, nothing is read. All are reset at the end.

    A small `receive_buffer` makes a reader slow from the first bytes.
    """
    opened = [await _open(port, path, accept, receive_buffer) for path, accept in requests]
    try:
        yield opened
    finally:
        for stream in opened:
            stream.writer.transport.abort()
        await asyncio.sleep(0)  # until then the sockets are not closed


async def _open(port: int, path: str, accept: str, receive_buffer: int | None) -> Stream:
    connection = socket.socket()
    connection.setblocking(False)
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    # Beyond twice its limit, the reader takes no more from the socket until somebody reads.
    reader, writer = await asyncio.open_connection(sock=connection, limit=receive_buffer or 1 << 16)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: {accept}\r\n\r\n".encode())
    await writer.drain()
    return Stream(reader, writer)
