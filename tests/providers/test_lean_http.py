"""HTTP/1.1 to vendors, as they and the networks before them may have it."""

from __future__ import annotations

import asyncio
import socket
import time
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import httpx2
import pytest

from server.providers import connecting
from server.providers.lean_http import KEEPALIVE, LeanClient
from tests.providers.wire import Connection, WireServer, response, stream_head

pytestmark = pytest.mark.anyio
HELLO = response(200, {}, b"hello")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def client() -> AsyncIterator[LeanClient]:
    async with aclosing(LeanClient(connect_timeout=5)) as client:
        yield client


async def body_of(client: LeanClient, url: str, headers: dict[str, str] | None = None) -> bytes:
    async with aclosing(await client.post(url, headers or {}, b"{}")) as got:
        return b"".join([piece async for piece in got])


def names(monkeypatch: pytest.MonkeyPatch, *places: tuple[str, int]) -> str:
    """A name that has these addresses, in this order."""

    async def addresses_of(*_: Any) -> list[tuple[int, tuple[str, int]]]:
        return [(socket.AF_INET, place) for place in places]

    monkeypatch.setattr(connecting, "addresses_of", addresses_of)
    return "vendor.test"


# Connecting.


async def test_an_address_that_leads_nowhere_does_not_keep_others_from_being_tried(
    client: LeanClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as hole:
        place = hole.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:  # who comes then gets no answer at all
            each.setblocking(False)
            each.connect_ex(place)
        async with WireServer(HELLO) as vendor:
            port = int(vendor.url.rpartition(":")[2])
            name = names(monkeypatch, place, ("127.0.0.1", port))
            async with asyncio.timeout(4):
                assert await body_of(client, f"http://{name}:{port}/") == b"hello"
        for each in waiting:
            each.close()


async def test_an_address_that_refuses_makes_way_for_the_next(
    client: LeanClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nobody = gone.getsockname()
    async with WireServer(HELLO) as vendor:
        port = int(vendor.url.rpartition(":")[2])
        assert await body_of(client, f"http://{names(monkeypatch, nobody, ('127.0.0.1', port))}:{port}/") == b"hello"
    with pytest.raises(httpx2.ConnectError):
        await client.post(f"http://{names(monkeypatch, nobody, nobody)}:{port}/", {}, b"")


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".test", "nobody.invalid"])
async def test_what_is_no_name_is_no_connection(client: LeanClient, host: str) -> None:
    with pytest.raises(httpx2.ConnectError):
        await client.post(f"http://{host}/v1", {}, b"")


# A connection that is used again.


async def test_one_that_the_vendor_has_closed_is_not_used_again(client: LeanClient) -> None:
    def answer_once_each(times: int) -> None:
        for _ in range(times):
            with listening.accept()[0] as connection:
                connection.recv(65_536)
                connection.sendall(HELLO)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        answering = asyncio.create_task(asyncio.to_thread(answer_once_each, 5))
        for _ in range(5):
            assert await body_of(client, url) == b"hello"
            time.sleep(0.05)  # the loop is busy, and has not seen the end yet  # noqa: ASYNC251
        await answering


async def test_one_on_which_something_comes_unasked_is_not_used_again(client: LeanClient) -> None:
    async with WireServer(HELLO + response(500, {}, b"WORLD"), HELLO) as vendor:
        got = await client.post(vendor.url, {}, b"{}")
        assert (got.status, b"".join([piece async for piece in got])) == (200, b"hello")
        await got.aclose()
        assert await body_of(client, vendor.url) == b"hello"
        assert vendor.connections == 2


async def test_those_that_were_idle_for_too_long_are_closed(client: LeanClient) -> None:
    async with WireServer(HELLO) as vendor:
        at_once = [body_of(client, vendor.url) for _ in range(10)]
        assert await asyncio.gather(*at_once) == [b"hello"] * 10
        [idle] = client._idle.values()
        assert len(idle) == 10
        for connection in idle:
            connection._idle_since -= KEEPALIVE
        assert await body_of(client, vendor.url) == b"hello"
        assert len(idle) == 1


# What is asked and answered.


async def test_a_login_in_the_address_is_sent_in_place_of_a_key(client: LeanClient) -> None:
    async with WireServer(HELLO) as vendor:
        address = vendor.url.replace("http://", "http://ada:p%40ss%3Aword@")
        await body_of(client, address, {"Authorization": "Bearer sk-1", "X-Other": "kept"})
    [request] = vendor.requests
    kind, _, login = request.headers["authorization"].partition(" ")
    assert (kind, b64decode(login)) == ("Basic", b"ada:p@ss:word")
    assert (request.headers["x-other"], request.headers["host"]) == ("kept", vendor.url.removeprefix("http://"))


async def test_trailers_are_nothing_to_keep(client: LeanClient) -> None:
    trailers = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 1_000) for number in range(100))
    whole = stream_head() + b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n"
    async with WireServer(whole) as vendor:
        got = await client.post(vendor.url, {}, b"{}")
        assert b"".join([piece async for piece in got]) == b"hello"
        assert [name for name, _ in got.headers if name.startswith(b"X-")] == []


async def test_what_is_said_before_the_answer_is_none_of_it(client: LeanClient) -> None:
    async def continued(connection: Connection) -> None:
        await connection.send(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\nLink: </x>\r\n\r\n")
        await connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello")

    async with WireServer(continued) as vendor:
        got = await client.post(vendor.url, {}, b"{}")
        assert (got.status, dict(got.headers)) == (200, {b"Connection": b"close"})
        assert b"".join([piece async for piece in got]) == b"hello"


@pytest.mark.parametrize("chunks", [1, 4_000], ids=["in one", "in many"])
async def test_what_comes_faster_than_it_is_read_leaves_the_loop_to_others(client: LeanClient, chunks: int) -> None:
    body = bytes(range(250)) * 4_000
    size = len(body) // chunks
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    whole = stream_head() + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with WireServer(whole) as vendor, aclosing(await client.post(vendor.url, {}, b"{}")) as got:
        running = asyncio.create_task(others())
        turns_at, pieces = [], []
        async for piece in got:
            pieces.append(piece)
            turns_at.append(turns)
        running.cancel()
    assert b"".join(pieces) == body
    assert max(map(len, pieces)) <= 16_384
    assert all(before < after for before, after in pairwise(turns_at))
