"""HTTP as bytes, for what no client library would send."""

from __future__ import annotations

import socket

from tests.serving import ServerProcess


def exchange(server: ServerProcess, *pieces: bytes, timeout: float = 30.0) -> bytes:
    """Send pieces, and read to the end of the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return read_to_end(connection)


def read_to_end(connection: socket.socket) -> bytes:
    found = b""
    try:
        while part := connection.recv(65_536):
            found += part
    except ConnectionResetError:
        pass
    return found


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def upgrade(path: str, *headers: str) -> bytes:
    """A WebSocket handshake with these headers besides the needed ones, Host not among those."""
    lines = [
        f"GET {path} HTTP/1.1",
        *headers,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def handshake(server: ServerProcess, request: bytes, timeout: float = 30.0) -> int:
    """The status that a WebSocket handshake gets."""
    with socket.create_connection(("127.0.0.1", server.port), timeout) as connection:
        connection.sendall(request)
        return status_of(connection.recv(65_536))
