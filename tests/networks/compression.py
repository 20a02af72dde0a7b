"""What compressing streams saves and costs: `python -m tests.networks.compression [--write]`."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
import time
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path as File

from websockets.asyncio.client import connect

from server.transports.compression import GZIP, LEVEL, MEMORY_LEVEL, WINDOW_BITS
from tests.networks.clients import Path, ask, events_of, new_session
from tests.readme_tables import put_table
from tests.serving import ServerProcess, running

CONNECTIONS = 300


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.networks.compression", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    chosen = parser.parse_args()
    found = {setting: asyncio.run(measure(setting)) for setting in ("off", "gzip")}
    table = "| | sent for one answer | memory of a connection |\n|---|---|---|\n"
    for name in ("SSE", "WebSocket"):
        for setting, by_transport in found.items():
            sent, memory = by_transport[name]
            table += f"| {name}, {setting} | {sent / 1000:.0f} kB | {memory / 1000:.0f} kB |\n"
    print(table)
    asyncio.run(explain())
    if chosen.write:
        put_table("compression", table)
    return 0


async def measure(setting: str) -> dict[str, tuple[int, float]]:
    """By transport: bytes on the wire for one answer of the demo, and bytes of the server's memory a connection."""
    found = {}
    for name, opened in (("SSE", sse), ("WebSocket", websocket)):
        settings = {"XIONIMUS_STREAM_COMPRESSION": setting, "XIONIMUS_DEMO_DELAY": "0.01"}
        with tempfile.TemporaryDirectory() as folder, running(File(folder), **settings) as server:
            sent = await bytes_sent(server, opened)
            found[name] = (sent, await memory_taken(server, opened))
    return found


Opened = Callable[[Path, str], "AsyncGenerator[Callable[[], Awaitable[int]]]"]


async def sse(path: Path, session: str) -> AsyncGenerator[Callable[[], Awaitable[int]]]:
    async with path.http() as client, client.stream("GET", events_of(session)) as response:
        pieces = response.aiter_raw()

        async def receive() -> int:
            return len(await anext(pieces))

        yield receive


async def websocket(path: Path, session: str) -> AsyncGenerator[Callable[[], Awaitable[int]]]:
    url = f"{path.url.replace('http', 'ws')}/ws/chat/{session}"
    async with connect(url, proxy=None) as socket:
        protocol = socket.protocol
        taken = 0
        original = protocol.receive_data

        def count(data: bytes | bytearray) -> None:
            nonlocal taken
            taken += len(data)
            original(data)

        protocol.receive_data = count  # type: ignore[method-assign]

        async def receive() -> int:
            nonlocal taken
            await socket.recv()
            now, taken = taken, 0
            return now

        yield receive


async def bytes_sent(server: ServerProcess, opened: Opened) -> int:
    path = Path(server.url)
    session = await new_session(path)
    async with asynccontextmanager(opened)(path, session) as receive:
        total = await receive()
        await ask(path, session, "What is this?", "demo")
        while True:
            try:
                total += await asyncio.wait_for(receive(), 2)
            except TimeoutError:
                return total


async def memory_taken(server: ServerProcess, opened: Opened) -> float:
    """After every connection has been sent an answer: a compressor takes its memory when it is used."""
    path = Path(server.url)
    session = await new_session(path)
    before = resident(server.pid)
    async with AsyncExitStack() as stack:
        for _ in range(CONNECTIONS):
            receive = await stack.enter_async_context(asynccontextmanager(opened)(path, session))
            await receive()
        await ask(path, session, "Hello there.")
        await asyncio.sleep(3)
        return (resident(server.pid) - before) / CONNECTIONS


def resident(pid: int) -> int:
    """Bytes."""
    status = File(f"/proc/{pid}/status").read_text("ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return 1024 * int(found[1])


async def explain() -> None:
    """What windows of other sizes would bring, and how long an event takes."""
    with tempfile.TemporaryDirectory() as folder, running(File(folder), XIONIMUS_DEMO_DELAY="0.005") as server:
        path = Path(server.url)
        session = await new_session(path)
        await ask(path, session, "What is this?", "demo")
        await asyncio.sleep(3)
        async with path.http() as client:
            parameters = {"format": "json", "after": "0", "wait": "5"}
            page = await client.get(events_of(session), params=parameters)
    frames = [b"event: %b\ndata: %b\n\n" % (b"chunk", str(each).encode()) for each in page.json()["events"]]
    plain = sum(map(len, frames))
    for bits, level in ((9, 1), (10, 3), (WINDOW_BITS, MEMORY_LEVEL), (12, 5), (13, 6), (15, 8)):
        compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP + bits, level)
        size, begun = 0, time.perf_counter()
        for frame in frames:
            copy = compressor.copy()
            size += len(copy.compress(frame)) + len(copy.flush(zlib.Z_SYNC_FLUSH))
            compressor = copy
        each = 1e6 * (time.perf_counter() - begun) / len(frames)
        memory = (1 << (bits + 2)) + (1 << (level + 9))
        print(f"window {bits:2}: {100 * size / plain:.0f} % of the bytes, {memory // 1024} KiB, {each:.0f} µs an event")


if __name__ == "__main__":
    sys.exit(main())
