"""Streams compressed, each event by itself: nothing waits in the compressor for more.

A compressor costs every connection memory and time, and boxes on the way handle a compressed stream worse than a plain
one; so this is for operators who pay for bytes, and off by default.
"""

from __future__ import annotations

import zlib
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.lean_connections import WRITE_NOW
from server.transports import ndjson, sse, text

STREAMS = (sse.MEDIA_TYPE, ndjson.MEDIA_TYPE, text.MEDIA_TYPE)
# Events repeat their own shape, so a window of 2 KiB finds nearly as much as zlib's 32: about 20 kB a connection.
WINDOW_BITS = 11
MEMORY_LEVEL = 4
LEVEL = 6
GZIP = 16  # added to the window bits, it makes zlib write gzip's header and trailer


class StreamCompression:
    """ASGI middleware that compresses the transports' streams, for clients that accept gzip, and nothing else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and accepts_gzip(Headers(scope=scope).get("accept-encoding", "")):
            send = _Compressing(send)
            scope = {name: value for name, value in scope.items() if name != WRITE_NOW}  # it would go past this
        await self._app(scope, receive, send)


class _Compressing:
    def __init__(self, send: Send) -> None:
        self._send = send
        self._compressor: Any = None  # the standard library does not export its type

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begin(MutableHeaders(raw=message["headers"]))
        elif self._compressor is not None and (message.get("body") or not message.get("more_body", False)):
            return await self._compressed(message)
        await self._send(message)

    def _begin(self, headers: MutableHeaders) -> None:
        if headers.get("content-type") in STREAMS and "content-encoding" not in headers:
            headers["Content-Encoding"] = "gzip"
            headers.add_vary_header("Accept-Encoding")
            self._compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP + WINDOW_BITS, MEMORY_LEVEL)

    async def _compressed(self, message: Message) -> None:
        # A copy, because who sends may give up before there is room, and then send something else: nothing has
        # happened then.
        compressor = self._compressor.copy()
        body = compressor.compress(message.get("body", b""))
        body += compressor.flush(zlib.Z_SYNC_FLUSH if message.get("more_body", False) else zlib.Z_FINISH)
        await self._send({**message, "body": body})
        self._compressor = compressor


def accepts_gzip(accept_encoding: str) -> bool:
    for part in accept_encoding.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
