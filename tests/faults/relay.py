"""A TCP relay between clients and the server, whose connections can be cut on either side, or held still."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Self

Side = Literal["client", "server", "both"]
SIDES: Sequence[Side] = ("client", "server", "both")
BLOCK = 65_536


@dataclass(eq=False)
class _Link:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter

    def cut(self, side: Side) -> None:
        """Reset the connection on one side; the other one sees an end."""
        for writer, here in ((self.client, "client"), (self.server, "server")):
            if side in (here, "both"):
                _reset(writer)
            else:
                writer.close()


class Relay:
    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._links: set[_Link] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1_000)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut("both", 1.0, random.Random(0))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self, side: Side, share: float, chance: random.Random) -> int:
        """Cut about `share` of the connections; how many it were."""
        chosen = [link for link in self._links if chance.random() < share]
        for link in chosen:
            link.cut(side)
        return len(chosen)

    async def hold(self, seconds: float) -> None:
        """Carry nothing for a while; nothing is lost."""
        self._flowing.clear()
        await asyncio.sleep(seconds)
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._carry(reader, writer)
        except OSError:
            _reset(writer)  # there is no server
        finally:
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        link = _Link(writer, server_writer)
        self._links.add(link)
        pumps = [self._pump(reader, server_writer), self._pump(server_reader, writer)]
        tasks = [asyncio.create_task(pump) for pump in pumps]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._links.discard(link)
            writer.close()
            server_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(BLOCK):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
