"""Sixty cursors that are none on every transport, and forty bad bodies for every route that could take one."""

from __future__ import annotations

import json

import httpx
import pytest
from httpx_ws import WebSocketDisconnect

from server.api.operation import Operation, operations
from server.app import Application
from server.settings import Settings
from tests import plain
from tests.access.people import socket_to
from tests.api.test_bad_input import NO_JSON
from tests.api.test_cursors import MALFORMED
from tests.serving import ServerProcess

EPOCH = "72vyide1"
CURSORS = [
    *MALFORMED,
    *(f"{EPOCH}{between}1" for between in ("", "_", "--", " - ", "\u2010", "\u2212", "/", ":", "-+", "-0x", "-1e")),
    *(f"{EPOCH}-{number}" for number in ("١", "²", "1٢", "0", "00", "1_0", "1.", ".1", "1,0", "NaN", "inf", "True")),  # noqa: RUF001
    *(f"{EPOCH}-{1 << bits}" for bits in (63, 64, 127, 128, 1_024)),
    *(f"{EPOCH}-1{end}" for end in ("\n", "\r\n", "\0", " ", "\t", "#", "&after=0", ";", "'", '"', "%00", "\\", "-")),
    *(f"{start}{EPOCH}-1" for start in ("\n", " ", "\ufeff", "\u200b", "-", "+", "../", "\U0001f388")),
    "null",
    "[]",
    "{}",
    "'; DROP TABLE events; --",
    "<script>alert(1)</script>",
    "x" * 8_000,
    f"{EPOCH.upper()}-1",
    f"{EPOCH}-1-{EPOCH}-1",
]
RIGHT = frozenset({f"{EPOCH}-0", "0"})  # right by their looks, so they are answered as cursors


def test_there_are_sixty() -> None:
    assert len(set(CURSORS) - RIGHT) >= 60


@pytest.mark.parametrize("transport", ["sse", "ndjson", "json", "websocket"])
def test_what_is_no_cursor_is_refused(server: ServerProcess, transport: str) -> None:
    plain.post(f"{server.url}/api/sessions", json={"id": "nonsense"})
    with plain.Client(base_url=server.url) as client:
        for cursor in set(CURSORS) - RIGHT:
            told = on_a_socket(server, cursor) if transport == "websocket" else over_http(client, cursor, transport)
            assert told == "bad_cursor", cursor
    assert "Traceback" not in server.log


def over_http(client: httpx.Client, cursor: str, form: str) -> str:
    params = {"format": form, "after": cursor, "wait": "0"}
    with client.stream("GET", "/api/sessions/nonsense/events", params=params) as answer:
        assert answer.status_code == 400, cursor
        answer.read()
        code: str = answer.json()["code"]
        return code


def on_a_socket(server: ServerProcess, cursor: str) -> str:
    url = httpx.URL(f"{server.url}/ws/chat/nonsense", params={"after": cursor})
    with socket_to(str(url), {}) as socket:
        code: str = socket.receive_json(timeout=10)["problem"]["code"]
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json(timeout=10)
        assert closed.value.code == 4504
    return code


def text(value: object) -> tuple[bytes, str]:
    return json.dumps(value).encode(), "application/json"


NO_OBJECTS: tuple[object, ...] = ([], "hello", 5, 1.5, None, True, [{}], [[]], "", [None] * 1_000)
WRONG: tuple[object, ...] = ([], {}, {"$ne": 1}, 1e308)
BODIES: list[tuple[bytes, str]] = [
    *((body, "application/json") for body in NO_JSON.values()),
    *(text(value) for value in NO_OBJECTS),
    *(text({name: 1}) for name in ("zz", "__proto__", "constructor", "content\0", "", "x" * 10_000, "Content")),
    *(text({"id": value, "title": value, "content": value, "provider": value}) for value in WRONG),
    text({f"field{number}": number for number in range(5_000)}),
    (b" ", "application/json"),
    (b"\0", "application/json"),
    (b"NaN", "application/json"),
    (b'{"zz": Infinity}', "application/json"),
    (b'{"content": "x"' + b" " * 2_000_000 + b"}", "application/json"),
    (b"{}", "text/plain"),
    (b"{}", "application/json; charset=utf-16"),
    (b"--x\r\n\r\n\r\n--x--", "multipart/form-data; boundary=x"),
    (b"content=hello", "application/x-www-form-urlencoded"),
    (b"<content>hello</content>", "application/xml"),
    (b"\x81\xa7content\xa5hello", "application/msgpack"),
]


def test_there_are_forty() -> None:
    assert len(set(BODIES)) == len(BODIES) >= 40


def changing() -> list[Operation]:
    application = Application(Settings(database_url="sqlite:///unused.db"))
    return [each for each in operations(application.starlette.routes) if each.method not in ("GET", "HEAD")]


@pytest.mark.parametrize("route", changing(), ids=lambda route: f"{route.method} {route.path}")
def test_a_bad_body_is_refused_or_left_alone(server: ServerProcess, route: Operation) -> None:
    """Left alone by routes that take none: they answer as without it."""
    url = server.url + route.path.format(session_id="no-body", message_id="msg_none")
    with plain.Client() as client:
        without = client.request(route.method, url).status_code
        for body, media_type in BODIES:
            answer = client.request(route.method, url, content=body, headers={"Content-Type": media_type})
            if route.body is None:
                assert answer.status_code == without, body[:80]
            else:
                assert answer.status_code in (400, 401, 413, 415, 422), body[:80]
    assert "Traceback" not in server.log
