"""What uvicorn's connections do stays as it is, with less memory."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from server.lean_connections import WRITE_NOW, GatheringTransport, LeanHttp
from tests.access.raw import exchange
from tests.serving import ServerProcess


def test_requests_sent_at_once_are_answered_one_after_the_other(server: ServerProcess, session_id: str) -> None:
    host = f"127.0.0.1:{server.port}"
    body = json.dumps({"id": session_id}).encode()
    requests = [
        b"GET /healthz HTTP/1.1\r\nHost: %b\r\n\r\n",
        b"POST /api/sessions HTTP/1.1\r\nHost: %%b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (len(body), body),
        b"GET /api/sessions/%b HTTP/1.1\r\nHost: %%b\r\nConnection: close\r\n\r\n" % session_id.encode(),
    ]
    answers = exchange(server, b"".join(request % host.encode() for request in requests))
    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"200", b"201", b"200"]
    assert answers.count(session_id.encode()) >= 2


PIECES = [b"one", b"two" * 100, b"", b"\r\n0\r\n\r\n"]
START = {"type": "http.response.start", "status": 200, "headers": []}


@pytest.mark.anyio
async def test_what_is_written_directly_is_what_would_have_been_sent() -> None:
    async def sending(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        for piece in PIECES:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    async def writing(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        for piece in PIECES:
            assert scope[WRITE_NOW](piece)
        await send({"type": "http.response.body"})

    assert await answer(writing) == await answer(sending)


@pytest.mark.anyio
async def test_nothing_is_written_where_there_is_no_room() -> None:
    went: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        while scope[WRITE_NOW](bytes(1 << 20)):
            went.append(True)
        assert not scope[WRITE_NOW](b"")

    async with serving(app) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(reader.read(), 10)
    assert 1 <= len(went) < 64


@pytest.mark.anyio
async def test_to_somebody_who_is_gone_everything_is_written() -> None:
    told = asyncio.get_running_loop().create_future()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set_result([scope[WRITE_NOW](b"more") for _ in range(10)])

    async with serving(app) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readline()
        writer.close()
        assert await asyncio.wait_for(told, 10) == [True] * 10


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_both_ends_of_a_connection_are_told(host: str) -> None:
    told = asyncio.get_running_loop().create_future()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told.set_result((scope["server"], scope["client"]))
        await send(START)
        await send({"type": "http.response.body"})

    async with serving(app, host) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readline()
        ends = (writer.get_extra_info("peername")[:2], writer.get_extra_info("sockname")[:2])
        assert await told == ends


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.pieces.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        self.pieces.append(b"closed")


@pytest.mark.anyio
async def test_a_head_goes_out_with_what_follows_it_at_once_and_nothing_else() -> None:
    wire = Wire()
    transport = GatheringTransport(wire)
    for _ in range(2):
        transport.gather()
        await asyncio.sleep(0)
        for piece in (b"head ", b"first", b"second", b"third"):
            transport.write(piece)
        assert wire.pieces == [b"head first", b"second", b"third"]
        wire.pieces.clear()


@pytest.mark.anyio
async def test_a_head_waits_for_nothing_that_comes_later() -> None:
    wire = Wire()
    transport = GatheringTransport(wire)
    transport.gather()
    transport.write(b"head")
    await asyncio.sleep(0)
    transport.write(b"first")
    assert wire.pieces == [b"head", b"first"]
    transport.gather()
    transport.write(b"last")
    transport.close()
    await asyncio.sleep(0)
    assert wire.pieces[2:] == [b"last", b"closed"]


def test_who_says_no_more_with_the_request_is_answered(server: ServerProcess) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % server.port
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["close", "abort"])
async def test_who_leaves_is_noticed_with_a_request_waiting_behind(how: str) -> None:
    asked = asyncio.Event()
    left = asyncio.get_running_loop().create_future()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["path"] == "/first"
        await send(START)
        asked.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.body", "body": b"to nobody"})
        left.set_result(True)

    async with serving(app) as (_, writer):
        writer.writelines(b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % name for name in (b"first", b"second"))
        await asked.wait()
        writer.transport.abort() if how == "abort" else writer.close()
        assert await asyncio.wait_for(left, 10)


async def answer(app: ASGIApp) -> bytes:
    async with serving(app) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return await asyncio.wait_for(reader.read(), 10)


@asynccontextmanager
async def serving(
    app: ASGIApp, host: str = "127.0.0.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server on which nothing is but `app`."""
    config = uvicorn.Config(app, http=LeanHttp, lifespan="off", log_config=None)
    config.load()
    new = partial(LeanHttp, config, ServerState(), {})
    async with await asyncio.get_running_loop().create_server(new, host, 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        try:
            yield reader, writer
        finally:
            writer.close()
