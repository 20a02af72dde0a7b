"""What really goes over the socket: an HTTP answer chunk by chunk, and whether it was ended or cut."""

from __future__ import annotations

import json
import re
import select
import socket
import struct
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

BLOCK = re.compile(
    rb"(?:retry: (?P<retry>\d+)\n)?event: (?P<event>\w+)\nid: (?P<id>[a-z0-9]+-\d+)\ndata: (?P<data>.*)\n\n"
)
COMMENT = re.compile(rb"^:\n", re.MULTILINE)
TO_WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


class Cut(Exception):
    """The connection ended before the answer did."""


class SseEvent(NamedTuple):
    retry: int | None
    event: str
    id: str
    data: bytes


class Wire:
    """One HTTP/1.1 request on a bare socket. Every chunk is one write of the server."""

    def __init__(
        self,
        url: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: bytes = b"",
        receive_buffer: int | None = None,
        timeout: float = 20.0,
    ) -> None:
        address = urlsplit(url)
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect((address.hostname, address.port))
        given = {"Host": address.netloc, **(headers or {})}
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def head(self) -> tuple[int, dict[str, str]]:
        """The status and the headers, names in lower case."""
        status = int(self._line().split()[1])
        headers: dict[str, str] = {}
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(": ")
            headers[name.lower()] = value
        return status, headers

    def chunk(self) -> bytes:
        """The next one; empty for the last. Raises Cut."""
        size = int(self._line(), 16)
        try:
            data = self._file.read(size + 2)
        except ConnectionResetError:
            raise Cut from None
        if len(data) != size + 2:
            raise Cut
        return data[:-2]

    def chunks(self) -> Iterator[bytes]:
        """To the end of the answer. Raises Cut if it has none."""
        while chunk := self.chunk():
            yield chunk

    def reset_when_closed(self) -> None:
        """Leave without the end that a connection has in good order."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def body(self, length: int) -> bytes:
        """Of an answer that says its length."""
        return self._file.read(length)

    def rest(self) -> tuple[bytes, bool]:
        """The rest of the body, and whether it was ended as it should be."""
        body = b""
        try:
            for chunk in self.chunks():
                body += chunk
        except Cut:
            return body, False
        return body, True

    def hung_up(self, timeout: float) -> bool:
        """Whether the server breaks the connection off within `timeout` seconds, though nobody reads."""
        poll = select.poll()
        poll.register(self.socket, select.POLLHUP | select.POLLERR)
        return bool(poll.poll(timeout * 1000))

    def _line(self) -> bytes:
        try:
            line = self._file.readline()
        except ConnectionResetError:
            raise Cut from None
        if not line.endswith(b"\r\n"):
            raise Cut
        return line[:-2]


def sse_events(body: bytes) -> list[SseEvent]:
    """Every complete event of a body that holds nothing else but comments and, at its end, a beginning."""
    found = []
    place = 0
    body = COMMENT.sub(b"", body)
    while match := BLOCK.match(body, place):
        retry = match["retry"]
        found.append(
            SseEvent(int(retry) if retry else None, match["event"].decode(), match["id"].decode(), match["data"])
        )
        place = match.end()
    assert b"\n\n" not in body[place:], body[place:]
    return found


def ndjson_events(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in body.split(b"\n")[:-1] if line]
