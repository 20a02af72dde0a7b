"""What the server does about networks without being asked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path as Folder

import httpx
import pytest
from starlette.types import Message

from server.chat.reading import Reader
from server.streaming.events import Cursor, Event
from server.transports import sse
from server.transports.connections import Connections
from server.transports.response import HttpClient
from tests.networks.clients import Path, ask, events_of, new_session
from tests.networks.setups import BOX, Setup, free_ports, proxying
from tests.serving import ServerProcess, running

FORMS = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}


class Client:
    def __init__(self) -> None:
        self.silence = 0
        self.beats: list[int] = []
        self.tick = 0

    def beat(self) -> None:
        self.beats.append(self.tick)
        self.silence = 0


class Idle(Reader):
    def __init__(self) -> None:
        pass


@pytest.mark.anyio
async def test_one_comment_follows_the_last_event_before_a_silence_of_a_heartbeat() -> None:
    connections = Connections(heartbeat=15, max_age=600)
    client = Client()
    with connections.opened("sse", Idle()) as connection:
        connection.client = client
        for client.tick in range(1, 200):
            connections._beat()
    assert client.beats == [2, 62, 122, 182]


@pytest.mark.anyio
@pytest.mark.parametrize("form", FORMS)
async def test_first_bytes_come_at_once_and_are_few(server: ServerProcess, form: str) -> None:
    session = await new_session(Path(server.url))
    async with httpx.AsyncClient() as client:
        url = f"{server.url}{events_of(session)}?format={form}"
        started = time.monotonic()
        async with client.stream("GET", url) as response:
            first = await anext(response.aiter_raw())
    assert time.monotonic() - started < 1
    assert b"ready" in first
    assert len(first) < 512


@pytest.mark.anyio
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("told_by", ["Via", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"])
async def test_behind_a_proxy_first_bytes_stay_alone(server: ServerProcess, form: str, told_by: str) -> None:
    path = Path(server.url)
    session = await new_session(path)
    message = await ask(path, session, "one two three")
    await path.post(f"/api/messages/{message}/cancel")
    url = f"{server.url}{events_of(session)}?after=0&format={form}"
    async with httpx.AsyncClient() as client, client.stream("GET", url, headers={told_by: "any"}) as response:
        pieces = response.aiter_raw()
        first, second = await anext(pieces), await anext(pieces)
    assert b"ready" in first
    assert b"posted" not in first
    assert b"posted" in second


@pytest.mark.anyio
@pytest.mark.parametrize("first_alone", [True, False])
async def test_only_there_does_what_follows_wait(first_alone: bool) -> None:
    sent: list[bytes] = []

    async def send(message: Message) -> None:
        raise AssertionError("there was room")

    async def receive() -> Message:
        raise AssertionError("nobody asked for it")

    def write_now(piece: bytes) -> bool:
        sent.append(piece)
        return True

    first, second = (Event(Cursor("k", number), "chunk", "{}") for number in (1, 2))
    client = HttpClient(sse.frame, receive, send, write_now, 1.0, first_alone=first_alone)
    await client.write([first])
    assert client.offer([second]) == 1
    assert len(sent) == (1 if first_alone else 2)
    client.let_go()
    assert sent == [first.sse, second.sse]


@pytest.mark.anyio
@pytest.mark.parametrize("form", [*FORMS, "json", "probe"])
async def test_nothing_on_the_way_may_keep_or_change_or_buffer_it(server: ServerProcess, form: str) -> None:
    session = await new_session(Path(server.url))
    url = f"{events_of(session)}?format={form}&wait=0" if form != "probe" else "/api/stream/probe"
    async with httpx.AsyncClient() as client, client.stream("GET", server.url + url) as response:
        assert response.headers["cache-control"] == "no-store, no-transform"
        assert response.headers["x-accel-buffering"] == "no"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["content-type"] == {"json": "application/json"}.get(form) or FORMS.get(
            form, FORMS["sse"]
        )
        assert "content-encoding" not in response.headers


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder: Folder = tmp_path_factory.mktemp("hasty")
    with running(folder, XIONIMUS_HEARTBEAT="0.2", XIONIMUS_STREAM_MAX_AGE="2") as process:
        yield process


@pytest.mark.anyio
@pytest.mark.parametrize("form", FORMS)
async def test_silence_is_broken_by_heartbeats_and_age_breaks_the_stream_off(hasty: ServerProcess, form: str) -> None:
    session = await new_session(Path(hasty.url))
    await ask(Path(hasty.url), session, "one")
    started = time.monotonic()
    received = await everything(f"{hasty.url}{events_of(session)}?after=0&format={form}")
    assert 1.5 < time.monotonic() - started < 4
    assert {"sse": b"\n:\n:\n", "ndjson": b"}\n\n\n"}[form] in received


@pytest.mark.anyio
@pytest.mark.parametrize("form", FORMS)
async def test_heartbeats_keep_a_stream_alive_where_silence_is_cut(
    hasty: ServerProcess, form: str, tmp_path: Folder
) -> None:
    session = await new_session(Path(hasty.url))
    setup = Setup("cuts after 1 s", BOX, arguments=("cut", "PORT", "SERVER"))
    with proxying(setup, tmp_path / "box", free_ports(1)[0], hasty.port) as proxy:
        started = time.monotonic()
        await everything(f"http://127.0.0.1:{proxy.port}{events_of(session)}?after=0&format={form}")
    assert time.monotonic() - started > 1.5


async def everything(url: str) -> bytes:
    """What a stream sends until it is broken off; one that is not, but ends, fails."""
    received = b""
    async with httpx.AsyncClient() as client, client.stream("GET", url) as response:
        try:
            async for piece in response.aiter_raw():
                received += piece
        except httpx.RemoteProtocolError:
            return received
    raise AssertionError("the stream ended cleanly")
