"""How much one caller may do, and who a caller is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from httpx_ws import WebSocketDisconnect

from server.settings import Settings, SettingsError, load_settings
from tests.access.people import ADA, BOB, TOKENS, bearer, socket_to
from tests.serving import ServerProcess, running


@pytest.fixture
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running(
        tmp_path_factory.mktemp("narrow"),
        XIONIMUS_TOKENS=TOKENS,
        XIONIMUS_CALLER_REQUESTS="20",
        XIONIMUS_CALLER_STREAMS="3",
        XIONIMUS_CALLER_ANSWERS="2",
        XIONIMUS_DEMO_DELAY="0.5",
    ) as server:
        yield server


def client_of(server: ServerProcess, token: str) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers=bearer(token), timeout=30)


def test_requests_beyond_the_rate_are_refused_until_later(narrow: ServerProcess) -> None:
    with client_of(narrow, ADA) as ada, client_of(narrow, BOB) as bob:
        answers = [ada.get("/api/sessions") for _ in range(25)]
        assert [answer.status_code for answer in answers].count(200) == 20
        refused = answers[-1]
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.json()["retry_after"] == int(refused.headers["retry-after"])
        assert bob.get("/api/sessions").status_code == 200
        assert httpx.get(f"{narrow.url}/healthz").status_code == 200


def test_guesses_at_a_token_count_for_the_address(narrow: ServerProcess) -> None:
    answers = [httpx.get(f"{narrow.url}/api/sessions", headers=bearer(f"guess-{n}")) for n in range(25)]
    assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 5
    assert httpx.post(f"{narrow.url}/sign-in", data={"token": "guess"}).status_code == 429
    with client_of(narrow, ADA) as ada:
        assert ada.get("/api/sessions").status_code == 200


def test_streams_beyond_the_limit_are_refused_until_one_is_closed(narrow: ServerProcess) -> None:
    with client_of(narrow, ADA) as ada, client_of(narrow, BOB) as bob:
        ada.post("/api/sessions", json={"id": "s"})
        with ExitStack() as streams:
            for _ in range(3):
                # An answer that has begun is open: the head is enough.
                streams.enter_context(ada.stream("GET", "/api/sessions/s/events"))
            refused = ada.get("/api/sessions")
            assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
            assert int(refused.headers["retry-after"]) >= 1
            assert bob.get("/api/sessions").status_code == 200
            with socket_to(f"{narrow.url}/ws/chat/s", bearer(ADA)) as socket:
                assert socket.receive_json(timeout=10)["problem"]["code"] == "too_many_streams"
                with pytest.raises(WebSocketDisconnect) as closed:
                    socket.receive_json(timeout=10)
            assert closed.value.code == 4004  # come back
        while ada.get("/api/sessions").status_code == 429:
            pass  # the server takes a moment to see that they are gone


def test_answers_at_once_are_limited_for_each(narrow: ServerProcess) -> None:
    with client_of(narrow, ADA) as ada, client_of(narrow, BOB) as bob:
        body = {"content": "hi", "model": "long"}
        asked = [ada.post(f"/api/sessions/s{number}/messages", json=body) for number in range(3)]
        assert [answer.status_code for answer in asked] == [202, 202, 429]
        assert asked[-1].json()["code"] == "rate_limited"
        assert "retry-after" in asked[-1].headers
        assert bob.post("/api/sessions/s/messages", json=body).status_code == 202
        ada.post(f"/api/messages/{asked[0].json()['message']['id']}/cancel")
        assert ada.post("/api/sessions/s2/messages", json=body).status_code == 202


@pytest.mark.parametrize(("proxies", "limited"), [("", False), ("192.0.2.1", False), ("127.0.0.0/8", True)])
def test_a_forwarded_address_is_believed_only_from_a_configured_proxy(
    proxies: str, limited: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Without tokens loopback is not limited; so a limit shows that the address was believed."""
    folder = tmp_path_factory.mktemp("proxied")
    with running(folder, XIONIMUS_TRUSTED_PROXIES=proxies, XIONIMUS_CALLER_REQUESTS="5") as server:
        forwarded = {"X-Forwarded-For": "198.51.100.7"}
        with httpx.Client(base_url=server.url, headers=forwarded) as client:
            statuses = [client.get("/api/sessions").status_code for _ in range(8)]
            other = client.get("/api/sessions", headers={"X-Forwarded-For": "198.51.100.8"})
        assert statuses == ([200] * 5 + [429] * 3 if limited else [200] * 8)
        assert other.status_code == 200


def test_a_cookie_is_secure_when_the_proxy_says_https(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("https")
    with running(folder, XIONIMUS_TRUSTED_PROXIES="127.0.0.1", XIONIMUS_TOKENS=TOKENS) as server:
        https = {"X-Forwarded-Proto": "https"}
        answer = httpx.post(f"{server.url}/sign-in", data={"token": ADA}, headers=https)
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-xionimus=")
        assert "Secure" in cookie
        assert httpx.get(f"{server.url}/api/sessions", headers={"Cookie": cookie.partition(";")[0]}).status_code == 200


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
