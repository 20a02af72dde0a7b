"""Two people behind one proxy, with chats of the same name: each gets their own, and nothing of the other's."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.access.people import ADA, BOB, TOKENS, bearer
from tests.networks.measure import path_to
from tests.networks.setups import SETUPS, Setup, free_ports, proxying
from tests.serving import ServerProcess, running

CHAT = "/api/sessions/diary"
READ = (f"{CHAT}/messages", f"{CHAT}/events?after=0&format=json&wait=0", f"{CHAT}/export", "/api/sessions", CHAT)
CACHING = [setup for setup in SETUPS if setup.forward or "as it comes" in setup.name]
"""They may cache, or bring the requests of several people over one connection."""
WORDS = {ADA: "amber", BOB: "birch"}

pytestmark = pytest.mark.timeout(120)


class AskingAgain(httpx.HTTPTransport):
    """As browsers do if a connection they used before ends without an answer (RFC 9112, section 9.3.1).

    tinyproxy ends each after its first answer, and does not say so.
    """

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return super().handle_request(request)
        except httpx.RemoteProtocolError:
            return super().handle_request(request)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="people-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServerProcess]:
    (folder / "server").mkdir(mode=0o700)
    with running(folder / "server", XIONIMUS_TOKENS=TOKENS) as server:
        yield server


@pytest.fixture(scope="module", params=CACHING, ids=lambda setup: setup.name)
def client(request: pytest.FixtureRequest, folder: Path, server: ServerProcess) -> Iterator[httpx.Client]:
    setup: Setup = request.param
    if setup.missing is not None:
        pytest.skip(setup.missing)
    [port] = free_ports(1)
    with proxying(setup, folder / str(port), port, server.port) as proxy:
        path = path_to(setup, proxy, server.url)
        transport = AskingAgain(proxy=path.proxy, trust_env=False)
        with httpx.Client(base_url=path.url, transport=transport, trust_env=False, timeout=20) as client:
            client.delete(CHAT, headers=bearer(ADA))
            client.delete(CHAT, headers=bearer(BOB))
            yield client


def signed_in(client: httpx.Client, token: str) -> dict[str, str]:
    """A browser's way."""
    answer = client.post("/sign-in", data={"token": token})
    name, value = next(iter(answer.cookies.items()))
    client.cookies.clear()
    return {"Cookie": f"{name}={value}"}


@pytest.mark.parametrize("by", ["token", "cookie"])
def test_each_gets_their_own(client: httpx.Client, by: str) -> None:
    who = {token: bearer(token) if by == "token" else signed_in(client, token) for token in (ADA, BOB)}
    for token, headers in who.items():
        question = {"content": WORDS[token], "model": "echo"}
        told = client.post(f"{CHAT}/messages?wait=20", json=question, headers=headers)
        assert WORDS[token] in told.json()["content"]
    for address in (*READ, *READ):
        for token, headers in who.items():
            answer = client.get(address, headers=headers)
            assert answer.status_code == 200, (address, answer.text)
            other = WORDS[BOB if token == ADA else ADA]
            assert other not in json.dumps(answer.text), address
        assert client.get(address).status_code in (303, 401), address
