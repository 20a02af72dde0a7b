"""One way to read a log, whatever carries it: complete events, as the bytes of JSON that were sent."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from socket import SHUT_RDWR
from typing import Literal

from websockets.sync.client import connect

from tests.transports.wire import Wire

Transport = Literal["sse", "ndjson", "poll", "websocket"]

DATA = re.compile(rb"^data: (.*)$", re.MULTILINE)
OF_A_CONNECTION = (b"ready", b"reset", b"pong", b"ping")


def read(
    url: str,
    transport: Transport,
    target: str,
    after: str | None,
    *,
    until: Callable[[bytes], bool] = lambda event: False,
    limit: int | None = None,
    pause: Callable[[], None] = lambda: None,
) -> list[bytes]:
    """The events of the log after a cursor, without those of the connection.

    `target` is the path of the session or the message. Ends with the stream, with the event that `until` says is the
    last, or when `limit` bytes have come: then the client is gone, in the middle of an event or not. `pause` is
    called between what comes.
    """
    found: list[bytes] = []
    with ExitStack() as opened:
        for event in READERS[transport](url, target, after, limit, opened):
            if type_of(event) not in OF_A_CONNECTION:
                found.append(event)
                if until(event):
                    break
            pause()
    return found


def type_of(event: bytes) -> bytes:
    return event.split(b'"type":"', 1)[1].split(b'"', 1)[0]


def id_of(event: bytes) -> str:
    return event.split(b'"', 4)[3].decode()


def about(message_id: str) -> Callable[[bytes], bool]:
    return lambda event: b'"message_id":"' + message_id.encode() in event


def ends(message_id: str) -> Callable[[bytes], bool]:
    return lambda event: type_of(event) in (b"complete", b"error") and about(message_id)(event)


def _sse(url: str, target: str, after: str | None, limit: int | None, opened: ExitStack) -> Iterator[bytes]:
    for block in _parts(url, target, after, limit, opened, "text/event-stream", b"\n\n"):
        yield from DATA.findall(block)


def _ndjson(url: str, target: str, after: str | None, limit: int | None, opened: ExitStack) -> Iterator[bytes]:
    yield from filter(None, _parts(url, target, after, limit, opened, "application/x-ndjson", b"\n"))


def _parts(
    url: str, target: str, after: str | None, limit: int | None, opened: ExitStack, accept: str, end: bytes
) -> Iterator[bytes]:
    headers = {"Accept": accept} | ({} if after is None else {"Last-Event-ID": after})
    wire = opened.enter_context(Wire(url, f"{target}/events", headers))
    assert wire.head()[0] == 200
    left, rest = limit, b""
    for data in wire.chunks():
        rest += data if left is None else data[:left]
        *parts, rest = rest.split(end)
        yield from parts
        if left is not None:
            left -= len(data)
            if left <= 0:
                return


def _poll(url: str, target: str, after: str | None, limit: int | None, opened: ExitStack) -> Iterator[bytes]:
    while True:
        query = "format=json" if after is None else f"format=json&after={after}"
        with Wire(url, f"{target}/events?{query}") as wire:
            status, headers = wire.head()
            page = wire.body(int(headers["content-length"])).decode()
        assert status == 200, page
        if limit is not None:
            limit -= len(page)
            if limit < 0:
                return
        yield from events_in(page)
        told = json.loads(page)
        if told["done"]:
            return
        after = told["cursor"]


def events_in(page: str) -> Iterator[bytes]:
    """The events of a page, byte for byte."""
    place = len('{"events":[')
    while page[place] != "]":
        _, end = json.JSONDecoder().raw_decode(page, place)
        yield page[place:end].encode()
        place = end + (page[end] == ",")


def _websocket(url: str, target: str, after: str | None, limit: int | None, opened: ExitStack) -> Iterator[bytes]:
    address = url.replace("http", "ws") + target.replace("/api/sessions", "/ws/chat")
    socket = opened.enter_context(connect(address + (f"?after={after}" if after else ""), proxy=None))
    while True:
        frame = socket.recv(timeout=30)
        assert isinstance(frame, str)
        if limit is not None:
            limit -= len(frame)
            if limit < 0:
                socket.socket.shutdown(SHUT_RDWR)
                return
        yield frame.encode()


READERS: dict[Transport, Callable[[str, str, str | None, int | None, ExitStack], Iterator[bytes]]] = {
    "sse": _sse,
    "ndjson": _ndjson,
    "poll": _poll,
    "websocket": _websocket,
}
