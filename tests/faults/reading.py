"""Reads a log over each transport, strictly, and records what came byte by byte.

Each reader fills a `Read` until the server ends it, the connection breaks, or `enough` says so.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from time import time
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from tests.faults.history import End, Read

TIMEOUT = httpx.Timeout(5.0, read=8.0)
BROKEN = (httpx.TransportError, OSError, ConnectionClosed, InvalidHandshake, InvalidMessage, TimeoutError)
NOT_FOUND = 4502

Event = dict[str, Any]
Enough = Callable[[Event], bool]
"""Given each event as it comes; True makes the client leave."""
Items = Callable[[httpx.Response, Read], AsyncGenerator[str, None]]
Reader = Callable[[httpx.AsyncClient, Read, Enough], Awaitable[None]]


async def read_sse(http: httpx.AsyncClient, read: Read, enough: Enough) -> None:
    await _stream(http, read, enough, "text/event-stream", sse_items)


async def read_ndjson(http: httpx.AsyncClient, read: Read, enough: Enough) -> None:
    await _stream(http, read, enough, "application/x-ndjson", ndjson_items)


async def read_poll(http: httpx.AsyncClient, read: Read, enough: Enough) -> None:
    """One request; who wants more asks again."""
    parameters = {"wait": "1", **({"after": read.after} if read.after is not None else {})}
    try:
        reply = await http.get(path_of(read), params=parameters, headers={"Accept": "application/json"})
    except BROKEN:
        return close(read, "cut")
    if reply.status_code == 200:
        _take_page(read, reply.text, enough)
    elif code_of(reply) == "cursor_reset":
        problem = reply.json()
        reset = {"type": "reset", "id": problem["cursor"], "reason": problem["reason"], "cursor": problem["cursor"]}
        take(read, json.dumps(reset))
        close(read, "left")
    else:
        _refuse(read, code_of(reply))


async def read_websocket(http: httpx.AsyncClient, read: Read, enough: Enough, say: str | None = None) -> None:
    """The session's log; `say` is a frame to send first."""
    after = f"?after={read.after}" if read.after is not None else ""
    url = f"{http.base_url}/ws/chat/{read.session}{after}".replace("http", "ws", 1)
    try:
        async with connect(url, open_timeout=5, close_timeout=1, max_size=None, proxy=None) as socket:
            if say is not None:
                await socket.send(say)
            await _take_frames(socket, read, enough)
    except BROKEN as problem:
        if read.end == "open" and isinstance(problem, ConnectionClosed) and problem.rcvd is not None:
            _closed_with(read, problem.rcvd.code)
    if read.end == "open":
        close(read, "cut")


READERS: dict[str, Reader] = {
    "sse": read_sse,
    "ndjson": read_ndjson,
    "poll": read_poll,
    "websocket": read_websocket,
}


async def read_response(response: httpx.Response, read: Read, enough: Enough, items: Items) -> None:
    """The body of a response that is a stream."""
    try:
        async with aclosing(items(response, read)) as found:
            async for text in found:
                if enough(take(read, text)):
                    return close(read, "left")
        close(read, "clean")
    except BROKEN:
        close(read, "cut")


async def sse_items(response: httpx.Response, read: Read) -> AsyncGenerator[str, None]:
    """The `data` of each event. A framing that says otherwise than the data is an anomaly."""
    fields: dict[str, str] = {}
    async for line in _lines(response):
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        event = json.loads(fields["data"])
        if (event["type"], event["id"]) != (fields["event"], fields["id"]):
            read.anomalies.append(f"the framing does not fit the data: {fields}")
        yield fields["data"]
        fields = {}


async def ndjson_items(response: httpx.Response, read: Read) -> AsyncGenerator[str, None]:
    async for line in _lines(response):
        if line:
            yield line


def path_of(read: Read) -> str:
    return f"/api/messages/{read.message_id}/events" if read.message_id else f"/api/sessions/{read.session}/events"


def code_of(reply: httpx.Response) -> str:
    """The code of a problem; without one, the status."""
    try:
        code: str = reply.json()["code"]
    except (ValueError, KeyError, TypeError):
        return f"status {reply.status_code}"
    return code


def take(read: Read, text: str) -> Event:
    event: Event = json.loads(text)
    if "id" in event:  # an answer to a command on a WebSocket has none
        read.items.append(text)
        read.cursor = event["id"]
    return event


def close(read: Read, end: End) -> None:
    read.end = end
    read.closed = time()


async def _stream(http: httpx.AsyncClient, read: Read, enough: Enough, media_type: str, items: Items) -> None:
    headers = {"Accept": media_type}
    if read.after is not None:
        headers["Last-Event-ID"] = read.after
    try:
        async with http.stream("GET", path_of(read), headers=headers) as response:
            if response.status_code == 200:
                await read_response(response, read, enough, items)
            elif response.status_code == 204:
                read.cursor = read.after
                close(read, "exhausted")
            else:
                await response.aread()
                _refuse(read, code_of(response))
    except BROKEN:
        if read.end == "open":
            close(read, "cut")


async def _lines(response: httpx.Response) -> AsyncIterator[str]:
    """Whole lines: what a cut leaves of the last one does not count."""
    rest = b""
    async for piece in response.aiter_bytes():
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line.decode("ascii")


def _take_page(read: Read, page: str, enough: Enough) -> None:
    """The events as they stand in the page: parsing and writing them again would not show their bytes."""
    at = len('{"events":[')
    decoder = json.JSONDecoder()
    while page[at] == "{":
        _, end = decoder.raw_decode(page, at)
        enough(take(read, page[at:end]))
        at = end + (page[end] == ",")
    whole = json.loads(page)
    read.cursor = whole["cursor"]
    if [json.loads(item) for item in read.items] != whole["events"]:
        read.anomalies.append("the page is not what its events are")
    close(read, "clean" if whole["done"] else "left")


async def _take_frames(socket: ClientConnection, read: Read, enough: Enough) -> None:
    while read.end == "open":
        frame = await socket.recv()
        assert isinstance(frame, str)
        if enough(take(read, frame)):
            close(read, "left")


def _closed_with(read: Read, code: int) -> None:
    if code == NOT_FOUND:
        _refuse(read, "not_found")
    elif code not in (1006, 1012) and not 4000 <= code < 4500:
        read.anomalies.append(f"the socket was closed with {code}")


def _refuse(read: Read, code: str) -> None:
    read.code = code
    close(read, "refused")
