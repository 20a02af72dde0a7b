"""How much one caller may do, and who a caller is."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from httpx_ws import WebSocketDisconnect

from server.settings import Settings, SettingsError, load_settings
from tests import plain
from tests.access.people import ADA, bearer, line, socket_to
from tests.serving import ServerProcess, running

# One for each test, who has done nothing before it.
TOKEN = {
    name: f"xio_{name}-0123456789abcdefghijklmnopqrstuvwxyz"
    for name in ("cleo", "dora", "edda", "finn", "gina", "hugo", "ines", "jane", "kurt")
}
REQUESTS = 20


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running(
        tmp_path_factory.mktemp("narrow"),
        XIONIMUS_TOKENS=line(**TOKEN),
        XIONIMUS_CALLER_REQUESTS=str(REQUESTS),
        XIONIMUS_CALLER_STREAMS="3",
        XIONIMUS_CALLER_ANSWERS="2",
        XIONIMUS_DEMO_DELAY="0.5",
    ) as server:
        yield server


def client_of(server: ServerProcess, name: str) -> httpx.Client:
    return plain.Client(base_url=server.url, headers=bearer(TOKEN[name]), timeout=30)


def test_requests_beyond_the_rate_are_refused_until_later(narrow: ServerProcess) -> None:
    with client_of(narrow, "cleo") as cleo, client_of(narrow, "gina") as gina:
        answers = [cleo.get("/api/sessions") for _ in range(REQUESTS + 5)]
        assert [answer.status_code for answer in answers].count(200) == REQUESTS
        refused = answers[-1]
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.json()["retry_after"] == int(refused.headers["retry-after"])
        assert gina.get("/api/sessions").status_code == 200
        assert plain.get(f"{narrow.url}/healthz").status_code == 200


def test_guesses_at_a_token_count_for_the_address(narrow: ServerProcess) -> None:
    answers = [plain.get(f"{narrow.url}/api/sessions", headers=bearer(f"guess-{n}")) for n in range(REQUESTS + 5)]
    assert [answer.status_code for answer in answers] == [401] * REQUESTS + [429] * 5
    assert plain.post(f"{narrow.url}/sign-in", data={"token": "guess"}).status_code == 429
    with client_of(narrow, "gina") as gina:
        assert gina.get("/api/sessions").status_code == 200


def test_streams_beyond_the_limit_are_refused_until_one_is_closed(narrow: ServerProcess) -> None:
    with client_of(narrow, "dora") as dora, client_of(narrow, "gina") as gina:
        dora.post("/api/sessions", json={"id": "s"})
        with ExitStack() as streams:
            for _ in range(3):
                # An answer that has begun is open: the head is enough.
                streams.enter_context(dora.stream("GET", "/api/sessions/s/events"))
            refused = dora.get("/api/sessions")
            assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
            assert dora.post("/api/messages/msg_x/cancel").status_code == 404  # to stop is always possible
            assert int(refused.headers["retry-after"]) >= 1
            assert gina.get("/api/sessions").status_code == 200
            with socket_to(f"{narrow.url}/ws/chat/s", bearer(TOKEN["dora"])) as socket:
                assert socket.receive_json(timeout=10)["problem"]["code"] == "too_many_streams"
                with pytest.raises(WebSocketDisconnect) as closed:
                    socket.receive_json(timeout=10)
            assert closed.value.code == 4004  # come back
        deadline = time.monotonic() + 10  # the server takes a moment to see that they are gone
        while (again := dora.get("/api/sessions")).status_code == 429 and time.monotonic() < deadline:
            assert again.json()["code"] == "too_many_streams"
            time.sleep(0.5)
        assert again.status_code == 200


ASKING = b'{"content": "hi", "model": "long"}'
ASKED = b"Idempotency-Key: k\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(ASKING)


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("ines", b"POST /api/sessions/s/messages?wait=300 HTTP/1.1\r\n" + ASKED),
        ("jane", b"GET /api/sessions/s/events?format=json&wait=25 HTTP/1.1\r\n"),
        ("kurt", b"GET /api/stream/probe?format=json&after=1&interval=60 HTTP/1.1\r\n"),
    ],
    ids=["a wait", "a long-poll", "the probe"],
)
def test_who_has_left_holds_nothing(narrow: ServerProcess, name: str, request_: bytes) -> None:
    head = request_ + b"Host: 127.0.0.1\r\nAuthorization: Bearer %b\r\n" % TOKEN[name].encode()
    sent = head + b"\r\n" + (ASKING if ASKED in head else b"")
    with client_of(narrow, name) as client:
        client.post("/api/sessions", json={"id": "s"})
        with ExitStack() as connections:
            for _ in range(3):
                connection = socket.create_connection(("127.0.0.1", narrow.port))
                connections.enter_context(connection).sendall(sent)
                time.sleep(0.3)  # one after the other: while it is not known yet, each would be an answer
            assert client.get("/api/sessions").json()["code"] == "too_many_streams"
        time.sleep(1)  # the server takes a moment to see that they are gone
        with ExitStack() as streams:
            for _ in range(3):
                assert streams.enter_context(client.stream("GET", "/api/sessions/s/events")).status_code == 200


def test_frames_on_a_socket_are_requests_too(narrow: ServerProcess) -> None:
    with socket_to(f"{narrow.url}/ws/chat/frames", bearer(TOKEN["hugo"])) as socket:
        assert socket.receive_json(timeout=10)["type"] == "ready"
        for _ in range(REQUESTS + 5):
            socket.send_json({"type": "ping"})
        told = [socket.receive_json(timeout=10) for _ in range(REQUESTS + 5)]
    refused = [each["problem"] for each in told if each["type"] == "error"]
    assert [problem["code"] for problem in refused] == ["rate_limited"] * 6  # the socket itself was the first request
    assert 1 <= refused[0]["retry_after"] <= 60
    with client_of(narrow, "hugo") as hugo:
        assert hugo.get("/api/sessions").status_code == 429


def test_a_network_of_ipv6_is_one_caller(proxied: ServerProcess) -> None:
    """Who has one has 2^64 addresses."""
    statuses = [forwarded(proxied, f"2001:db8:0:7::{number:x}").status_code for number in range(8)]
    assert statuses == [401] * 5 + [429] * 3
    assert forwarded(proxied, "2001:db8:0:8::1").status_code == 401


def test_answers_at_once_are_limited_for_each(narrow: ServerProcess) -> None:
    with client_of(narrow, "edda") as edda, client_of(narrow, "gina") as gina:
        body = {"content": "hi", "model": "long"}
        asked = [edda.post(f"/api/sessions/s{number}/messages", json=body) for number in range(3)]
        assert [answer.status_code for answer in asked] == [202, 202, 429]
        assert asked[-1].json()["code"] == "rate_limited"
        assert "retry-after" in asked[-1].headers
        assert gina.post("/api/sessions/s/messages", json=body).status_code == 202
        edda.post(f"/api/messages/{asked[0].json()['message']['id']}/cancel")
        assert edda.post("/api/sessions/s2/messages", json=body).status_code == 202


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Behind a proxy on this machine."""
    settings = {"XIONIMUS_TRUSTED_PROXIES": "192.0.2.1,127.0.0.0/8", "XIONIMUS_CALLER_REQUESTS": "5"}
    with running(tmp_path_factory.mktemp("proxied"), XIONIMUS_TOKENS=line(**TOKEN), **settings) as server:
        yield server


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Behind a proxy on another machine, which is not who asks here."""
    settings = {"XIONIMUS_TRUSTED_PROXIES": "192.0.2.1", "XIONIMUS_CALLER_REQUESTS": "5"}
    with running(tmp_path_factory.mktemp("elsewhere"), XIONIMUS_TOKENS=line(**TOKEN), **settings) as server:
        yield server


def forwarded(server: ServerProcess, address: str) -> httpx.Response:
    """The answer to somebody without a token at `address`, if a proxy can be believed."""
    return plain.get(f"{server.url}/api/sessions", headers={"X-Forwarded-For": address})


def test_a_forwarded_address_is_believed_from_a_configured_proxy(proxied: ServerProcess) -> None:
    statuses = [forwarded(proxied, "198.51.100.7").status_code for _ in range(8)]
    assert statuses == [401] * 5 + [429] * 3
    assert forwarded(proxied, "198.51.100.8").status_code == 401


def test_a_forwarded_address_is_believed_from_nobody_else(elsewhere: ServerProcess) -> None:
    statuses = [forwarded(elsewhere, f"198.51.100.{number}").status_code for number in range(8)]
    assert statuses == [401] * 5 + [429] * 3


def test_without_configuration_no_proxy_is_believed(narrow: ServerProcess) -> None:
    cookie = cookie_of(narrow, "gina", {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.9"})
    assert cookie.startswith("xionimus=")
    assert "Secure" not in cookie


def cookie_of(server: ServerProcess, name: str, headers: dict[str, str]) -> str:
    """What signing in leaves. The token shown twice, so that it counts for its owner."""
    answer = plain.post(
        f"{server.url}/sign-in", data={"token": TOKEN[name]}, headers={**headers, **bearer(TOKEN[name])}
    )
    cookie: str = answer.headers["set-cookie"]
    return cookie


def test_a_cookie_is_secure_when_the_proxy_says_https(proxied: ServerProcess) -> None:
    cookie = cookie_of(proxied, "finn", {"X-Forwarded-Proto": "https"})
    assert cookie.startswith("__Host-xionimus=")
    assert "Secure" in cookie
    assert plain.get(f"{proxied.url}/api/sessions", headers={"Cookie": cookie.partition(";")[0]}).status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("XIONIMUS_TRUSTED_PROXIES", "proxy.example"),
        ("XIONIMUS_TRUSTED_PROXIES", "*"),
        ("XIONIMUS_ALLOWED_ORIGINS", "*"),
        ("XIONIMUS_ALLOWED_ORIGINS", "null"),
        ("XIONIMUS_ALLOWED_ORIGINS", "chat.example.com"),
        ("XIONIMUS_ALLOWED_ORIGINS", "https://chat.example.com/"),
        ("XIONIMUS_ALLOWED_HOSTS", "*"),
        ("XIONIMUS_ALLOWED_HOSTS", "https://chat.example.com"),
        ("XIONIMUS_TOKENS", "ada"),
        ("XIONIMUS_TOKENS", f"ada:{ADA}"),
        ("XIONIMUS_CALLER_STREAMS", "0"),
    ],
)
def test_what_would_open_too_much_or_nothing_is_refused_by_its_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as refused:
        load_settings()
    assert ADA not in str(refused.value)


def test_lists_are_written_with_commas_or_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XIONIMUS_ALLOWED_HOSTS", "Chat.Example.com, other.example\nlast")
    assert Settings().allowed_hosts == ("chat.example.com", "other.example", "last")
