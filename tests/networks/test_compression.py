"""Streams that are compressed: each event at once, for those who accept it, and only if it was asked for."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send
from websockets.asyncio.client import connect

from server.transports.compression import StreamCompression, accepts_gzip
from tests.networks.clients import TRANSPORTS, Path, Transport, ask, events_of, new_session, read
from tests.serving import ServerProcess, running


@pytest.fixture(scope="module")
def compressing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("compressing")
    with running(folder, XIONIMUS_STREAM_COMPRESSION="gzip", XIONIMUS_DEMO_DELAY="0.2") as process:
        yield process


@pytest.mark.anyio
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_events_are_the_same(compressing: ServerProcess, transport: Transport) -> None:
    path = Path(compressing.url)
    session = await new_session(path)
    await ask(path, session, "one two three")
    text = ""
    async with asyncio.timeout(20), aclosing(read(path, transport, session, "0")) as events:
        async for event in events:
            text += event["content"] if event["type"] == "chunk" else ""
            if event["type"] == "complete":
                break
    assert text == "one two three"


@pytest.mark.anyio
@pytest.mark.parametrize("form", ["sse", "ndjson", "text"])
async def test_every_piece_can_be_read_when_it_comes_and_the_end_is_an_end(
    compressing: ServerProcess, form: str
) -> None:
    path = Path(compressing.url)
    session = await new_session(path)
    message = await ask(path, session, "one two three")
    url = f"{compressing.url}/api/messages/{message}/events?format={form}"
    decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
    seen = []
    async with httpx.AsyncClient() as client, client.stream("GET", url) as response:
        assert response.headers["content-encoding"] == "gzip"
        assert response.headers["vary"] == "Accept-Encoding"
        async for piece in response.aiter_raw():
            seen.append(decoder.decompress(piece))
    assert decoder.eof
    assert len([piece for piece in seen if b"two" in piece and b"three" not in piece]) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("accepted", ["identity", "br", "gzip;q=0"])
async def test_who_does_not_accept_it_gets_it_plain(compressing: ServerProcess, accepted: str) -> None:
    session = await new_session(Path(compressing.url))
    url = f"{compressing.url}{events_of(session)}"
    headers = {"Accept-Encoding": accepted}
    async with httpx.AsyncClient() as client, client.stream("GET", url, headers=headers) as response:
        assert "content-encoding" not in response.headers
        assert b"event: ready" in await anext(response.aiter_raw())


@pytest.mark.anyio
async def test_what_is_no_stream_stays_plain(compressing: ServerProcess) -> None:
    async with httpx.AsyncClient() as client:
        response = await client.get(f"{compressing.url}/api/providers")
    assert "content-encoding" not in response.headers


@pytest.mark.anyio
@pytest.mark.parametrize(("compress", "extensions"), [(True, ["permessage-deflate"]), (False, [])])
async def test_a_websocket_is_compressed_by_the_same_setting(
    compressing: ServerProcess, server: ServerProcess, compress: bool, extensions: list[str]
) -> None:
    url = (compressing if compress else server).url.replace("http", "ws")
    async with connect(f"{url}/ws/probe?ticks=1", proxy=None) as socket:
        assert json.loads(await socket.recv())["type"] == "tick"
        assert [each.name for each in socket.protocol.extensions] == extensions


@pytest.mark.anyio
async def test_a_piece_that_was_given_up_leaves_no_trace() -> None:
    """As HttpClient does it when there is no room: it throws the piece away, and sends another."""
    sent: list[Message] = []
    room = True

    async def send(message: Message) -> None:
        if not room:
            await asyncio.sleep(10)
        sent.append(message)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal room
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        room = False
        sending: Any = send({"type": "http.response.body", "body": b"given up", "more_body": True})
        sending.send(None)
        sending.close()
        room = True
        await send({"type": "http.response.body", "body": b"kept", "more_body": True})
        await send({"type": "http.response.body"})

    async def receive() -> Message:
        raise AssertionError("nobody asks")

    scope = {"type": "http", "headers": [(b"accept-encoding", b"gzip")]}
    await StreamCompression(app)(scope, receive, send)
    assert gzip.decompress(b"".join(message.get("body", b"") for message in sent)) == b"kept"


@pytest.mark.parametrize(
    ("header", "accepted"),
    [("gzip", True), ("br, gzip", True), ("GZIP;q=0.5", True), ("gzip; q=0", False), ("", False), ("x-gzip", False)],
)
def test_accepting(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted
