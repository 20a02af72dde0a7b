"""Where the way to a vendor leads through a proxy, httpx2 finds it: HTTP_PROXY and its kin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from urllib.parse import urlsplit

import pytest

from server.chat.errors import ProviderError
from server.chat.provider import Finish, Text
from tests.providers.test_openai import HELLO, QUESTION, WHOLE, ask, connected
from tests.providers.wire import Connection, WireServer, chunk, response, stream_head

pytestmark = pytest.mark.anyio
VENDOR = "http://vendor.example"


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WireServer]:
    async with WireServer(WHOLE) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        yield proxy


async def test_an_answer_comes_through_it(proxy: WireServer) -> None:
    async with connected(VENDOR) as provider:
        assert await ask(provider) == [Text("Hello"), Finish("stop")]
    [request] = proxy.requests
    assert request.path == f"{VENDOR}/v1/chat/completions"
    assert request.headers["host"] == urlsplit(VENDOR).netloc


async def test_a_refusal_comes_through_it(proxy: WireServer) -> None:
    proxy.replies = [response(429, {"retry-after": "7"}, b"{}")]
    async with connected(VENDOR) as provider:
        with pytest.raises(ProviderError) as refused:
            await ask(provider)
    assert (refused.value.code, refused.value.retry_after) == ("provider_rate_limited", 7)


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:7890", "http://127.0.0.1:notaport", "socks://127.0.0.1:1"])
async def test_one_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("ALL_PROXY", address)
    async with connected(VENDOR) as provider:
        with pytest.raises(ProviderError, match="ALL_PROXY") as refused:
            await ask(provider)
    assert refused.value.code == "provider_unreachable"


async def test_leaving_closes_the_connection(proxy: WireServer) -> None:
    gone = asyncio.Event()

    async def endless(connection: Connection) -> None:
        await connection.send(stream_head(), chunk(HELLO))
        await connection.until_gone()
        gone.set()

    proxy.replies = [endless]
    async with connected(VENDOR) as provider:
        async with aclosing(provider.stream(QUESTION)) as deltas:
            assert await anext(deltas) == Text("Hello")
        async with asyncio.timeout(5):
            await gone.wait()


async def test_a_cut_is_no_end(proxy: WireServer) -> None:
    async def cut(connection: Connection) -> None:
        await connection.send(stream_head(), chunk(HELLO))
        connection.reset()

    proxy.replies = [cut]
    async with connected(VENDOR) as provider:
        with pytest.raises(ProviderError) as broken:
            await ask(provider)
    assert broken.value.code == "provider_truncated"
    assert broken.value.retryable


async def test_what_is_no_http_is_an_error(proxy: WireServer) -> None:
    async def garbled(connection: Connection) -> None:
        await connection.send(stream_head(), b"no size\r\n")
        await connection.until_gone()

    proxy.replies = [garbled]
    async with connected(VENDOR) as provider:
        with pytest.raises(ProviderError) as broken:
            await ask(provider)
    assert broken.value.code == "provider_truncated"
