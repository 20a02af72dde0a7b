"""Under which names the server answers: on HTTP, on SSE and on WebSocket."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from server.access.hosts import Hosts, is_loopback
from server.app import Application
from server.settings import Settings
from tests import plain
from tests.access.raw import exchange, handshake, status_of, upgrade
from tests.serving import ServerProcess

GOOD = [
    "localhost",
    "LOCALHOST:8000",
    "localhost.",
    "chat.localhost",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.1.2.3",
    "[::1]:8000",
    "chat.example.com",
    "chat.example.com:443",
    "Chat.Example.Com",
    "192.0.2.7",
]
BAD = [
    "evil.example",
    "evil.example:8000",
    "chat.example.com.evil.example",
    "evilchat.example.com",
    "localhost.evil.example",
    "evillocalhost",
    "127.0.0.1.evil.example",
    "127.0.0.1@evil.example",
    "192.0.2.8",
    "0.0.0.0",
    "",
    " ",
    ":8000",
    "localhost:port",
    "localhost:123456",
    "localhost/",
    "[::1",
    "localhost localhost",
    "localhost,evil.example",
]


@pytest.mark.parametrize("host", GOOD)
def test_names_of_its_own_are_allowed(host: str) -> None:
    assert Hosts(["chat.example.com"]).allow(host, "192.0.2.7")


@pytest.mark.parametrize("host", BAD)
def test_every_other_name_is_not(host: str) -> None:
    assert not Hosts(["chat.example.com"]).allow(host, "192.0.2.7")


@pytest.mark.parametrize("name", ["", "0.0.0.0", "::", "192.168.1.2", "example.com"])
def test_what_others_can_reach_is_no_loopback(name: str) -> None:
    assert not is_loopback(name)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80"])
@pytest.mark.parametrize(
    "path", ["/", "/docs", "/healthz", "/api/sessions", "/api/sessions/s/events", "/static/docs.js"]
)
def test_another_name_is_refused_on_every_route(public: ServerProcess, path: str, host: str) -> None:
    answer = plain.get(public.url + path, headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden_host")


def test_a_configured_name_is_served(public: ServerProcess) -> None:
    assert plain.get(f"{public.url}/api/sessions", headers={"Host": "chat.example.com"}).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [("Host: evil.example", 403), ("Host: 127.0.0.1", 101), ("Host: chat.example.com", 101)],
)
def test_a_socket_is_refused_before_it_is_accepted(public: ServerProcess, host: str, status: int) -> None:
    assert handshake(public, upgrade("/ws/chat/s", host)) == status


@pytest.mark.parametrize("hosts", ["", "Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n"])
def test_no_host_or_two_are_refused(public: ServerProcess, hosts: str) -> None:
    answer = exchange(public, f"GET /healthz HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n".encode())
    assert status_of(answer) == 400


@pytest.mark.parametrize("hosts", [(), ("Host: 127.0.0.1", "Host: 127.0.0.1")])
def test_no_host_or_two_are_refused_on_a_socket(public: ServerProcess, hosts: tuple[str, ...]) -> None:
    assert handshake(public, upgrade("/ws/chat/s", *hosts)) == 400


@pytest.mark.parametrize("path", ["/", "/nowhere", "/api/sessions", "/static/docs.js", "/ws", "/ws/chat/a/b"])
def test_a_socket_to_where_there_is_none_is_refused_in_the_handshake(public: ServerProcess, path: str) -> None:
    answer = exchange(public, upgrade(path, "Host: 127.0.0.1"))
    assert status_of(answer) == 404
    assert b'"code":"not_found"' in answer
    assert b"x-content-type-options: nosniff" in answer.lower()
    assert "Traceback" not in public.log


def test_an_address_of_sockets_says_so_to_a_plain_request(public: ServerProcess) -> None:
    """As it arrives from a proxy that was not told to pass upgrades on."""
    answer = plain.get(f"{public.url}/ws/chat/s")
    assert (answer.status_code, answer.json()["code"]) == (426, "upgrade_required")
    assert answer.headers["upgrade"] == "websocket"


@pytest.mark.anyio
@pytest.mark.parametrize(("address", "status"), [("127.0.0.1", 200), ("::1", 200), ("192.0.2.7", 401)])
async def test_without_tokens_only_loopback_is_served_whoever_started_the_server(
    address: str, status: int, tmp_path: Path
) -> None:
    """As with uvicorn's own command line, which may listen on what it likes."""
    application = Application(Settings(database_url=f"sqlite:///{tmp_path}/x.db"))
    transport = httpx.ASGITransport(Addressed(application.asgi, address))
    async with plain.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        assert (await client.get("/api/providers")).status_code == status


class Addressed:
    """What arrives at `app` has come to `address`."""

    def __init__(self, app: ASGIApp, address: str) -> None:
        self._app = app
        self._address = address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "server": (self._address, 8000)}, receive, send)
