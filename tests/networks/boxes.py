"""Boxes that stand between people and servers, in their worst form: `boxes.py store|hold|cut PORT SERVER_PORT`.

- `store` passes a response on when it is complete (a virus scanner, a TLS-inspecting proxy);
- `hold` keeps the last piece back until the next one comes (an antivirus on a desktop);
- `cut` ends a response when nothing has come for a second (a firewall, a load balancer).
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

Pass = Callable[[AsyncIterator[bytes], asyncio.StreamWriter], Awaitable[None]]


async def store(pieces: AsyncIterator[bytes], to: asyncio.StreamWriter) -> None:
    to.write(b"".join([piece async for piece in pieces]))


async def hold(pieces: AsyncIterator[bytes], to: asyncio.StreamWriter) -> None:
    held = b""
    async for piece in pieces:
        to.write(held)
        held = piece
    to.write(held)


async def cut(pieces: AsyncIterator[bytes], to: asyncio.StreamWriter) -> None:
    with suppress(TimeoutError, StopAsyncIteration):
        while True:
            async with asyncio.timeout(1):
                to.write(await anext(pieces))


async def serve(pass_on: Pass, port: int, server_port: int) -> None:
    async def meet(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        upstream, to_server = await asyncio.open_connection("127.0.0.1", server_port)
        try:
            head = await client.readuntil(b"\r\n\r\n")
            # One request a connection, so that the end of the response is the end of the connection.
            if b"upgrade: websocket" not in head.lower() or pass_on is store:
                head = re.sub(rb"(?im)^connection:.*\r\n", b"", head)[:-2] + b"Connection: close\r\n\r\n"
            to_server.write(head)
            sending = asyncio.create_task(copy(client, to_server))
            await pass_on(pieces_of(upstream), to_client)
            sending.cancel()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            to_server.close()
            to_client.close()

    server = await asyncio.start_server(meet, "127.0.0.1", port)
    await server.serve_forever()


async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    async for piece in pieces_of(source):
        target.write(piece)
    target.close()


async def pieces_of(source: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while piece := await source.read(65_536):
        yield piece


if __name__ == "__main__":
    asyncio.run(serve({"store": store, "hold": hold, "cut": cut}[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3])))
