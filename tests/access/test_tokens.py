"""Tokens: made, hashed, asked for, kept in a cookie; and tickets for those who can do neither."""

from __future__ import annotations

import re

import httpx
import pytest
from httpx_ws import WebSocketDisconnect

from server.__main__ import main
from server.access.sign_in import COOKIE, LOCAL_PATH, SECURE_COOKIE
from server.access.tickets import LIFETIME, Tickets
from server.access.tokens import Tokens, new_token
from server.settings import Settings, TokenHash
from tests import plain
from tests.access.people import ADA, BOB, bearer, line, socket_to
from tests.serving import ServerProcess

HTML = {"Accept": "text/html,application/xhtml+xml"}
FORGOTTEN = '"cache", "storage"'


def test_the_command_prints_a_token_once_and_the_line_that_lets_it_in(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["token", "add", "ada"]) == 0
    told = capsys.readouterr().out
    [token] = re.findall(r"xio_\S+", told)
    [setting] = re.findall(r"XIONIMUS_TOKENS=(\S+)", told)
    assert token not in setting
    monkeypatch.setenv("XIONIMUS_TOKENS", setting)
    assert Tokens(Settings().tokens).name_of(token) == "ada"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a,b", "x" * 65, "ä"])
def test_a_name_that_the_line_could_not_hold_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "add", name]) == 2
    assert "xio_" not in capsys.readouterr().out


def test_tokens_are_random_and_long() -> None:
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert all(len(token) >= 46 for token in made)


@pytest.mark.parametrize("separator", [",", "\n", " , "])
def test_the_setting_holds_several_one_a_line_or_with_commas(separator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XIONIMUS_TOKENS", separator.join([line(ada=ADA), line(bob=BOB), line(ada="second")]))
    tokens = Tokens(Settings().tokens)
    assert [tokens.name_of(token) for token in (ADA, BOB, "second", "other", "")] == ["ada", "bob", "ada", None, None]


def test_settings_do_not_show_hashes() -> None:
    settings = Settings(tokens=(TokenHash(name="ada", sha256="0" * 64),))
    assert "0" * 64 not in repr(settings)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.com"])
def test_listening_for_others_without_tokens_is_refused_with_what_to_do(
    host: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("XIONIMUS_DATABASE_URL", f"sqlite:///{tmp_path}/never.db")
    monkeypatch.delenv("XIONIMUS_TOKENS", raising=False)
    assert main(["--host", host, "--port", "0"]) == 2
    told = capsys.readouterr().err
    assert f"XIONIMUS_HOST={host}" in told
    assert "xionimus token add NAME" in told


def test_a_token_lets_its_owner_in_and_nothing_else_does(asking: ServerProcess) -> None:
    url = f"{asking.url}/api/sessions"
    assert plain.get(url, headers=bearer(ADA)).status_code == 200
    wrong: list[dict[str, str]] = [
        {},
        bearer(ADA[:-1]),
        bearer(ADA + "x"),
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {ADA}"},
        {"Authorization": ADA},
        {"Cookie": f"{COOKIE}=wrong"},
    ]
    for headers in wrong:
        answer = plain.get(url, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("name", ["token", "access_token", "ticket", "api_key", "authorization", "xionimus"])
def test_no_token_is_taken_from_an_address(asking: ServerProcess, name: str) -> None:
    assert plain.get(f"{asking.url}/api/sessions", params={name: ADA}).status_code == 401


def test_health_is_open(asking: ServerProcess) -> None:
    assert plain.get(f"{asking.url}/healthz").status_code == 200
    assert plain.get(f"{asking.url}/readyz").status_code == 401


def test_a_browser_is_led_to_sign_in_and_back(asking: ServerProcess) -> None:
    with plain.Client(base_url=asking.url, headers=HTML, follow_redirects=True) as browser:
        page = browser.get("/docs")
        assert page.url.path == "/sign-in"
        assert "action=" not in page.text
        refused = browser.post(page.url, data={"token": "wrong"})
        assert refused.status_code == 401
        assert "not known here" in refused.text
        assert not browser.cookies
        entered = browser.post(page.url, data={"token": ADA})
        assert (entered.url.path, entered.status_code) == ("/docs", 200)
        assert browser.get("/api/sessions").status_code == 200
        assert browser.post("/sign-out").url.path == "/sign-in"
        assert not browser.cookies
        assert browser.get("/api/sessions", headers={"Accept": "*/*"}).status_code == 401


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(asking: ServerProcess) -> None:
    answer = plain.post(f"{asking.url}/sign-in", data={"token": ADA})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie  # a link from elsewhere finds its reader signed in
    assert "Secure" not in cookie  # plain http on loopback


def test_what_the_browser_kept_is_forgotten_by_signing_out_and_when_another_signs_in(asking: ServerProcess) -> None:
    with plain.Client(base_url=asking.url) as browser:
        told = [
            browser.post("/sign-in", data={"token": token}).headers.get("clear-site-data")
            for token in (ADA, ADA, BOB, "wrong")
        ]
        assert told == [None, None, FORGOTTEN, None]
        assert browser.post("/sign-out").headers["clear-site-data"] == FORGOTTEN


def test_everybody_is_told_who_they_are(asking: ServerProcess, ada: httpx.Client, bob: httpx.Client) -> None:
    assert [each.get("/api/sessions").json()["owner"] for each in (ada, bob)] == ["ada", "bob"]
    assert '<meta name="owner" content="bob" data-signs-in />' in bob.get("/").text


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "/a\nb", ""])
def test_signing_in_leads_to_no_other_site(path: str, asking: ServerProcess) -> None:
    assert not LOCAL_PATH.fullmatch(path)
    answer = plain.post(f"{asking.url}/sign-in", params={"next": path}, data={"token": ADA})
    assert answer.headers["location"] == "/"


def test_what_is_asked_at_sign_in_is_shown_as_text(asking: ServerProcess) -> None:
    answer = plain.get(f"{asking.url}/sign-in", params={"next": '/"><script>alert(1)</script>'})
    assert "<script" not in answer.text


def test_a_cookie_opens_streams_and_sockets(asking: ServerProcess) -> None:
    cookie = {"Cookie": f"other=1; {COOKIE}={ADA}"}
    with plain.Client(headers=cookie) as client:
        client.post(f"{asking.url}/api/sessions", json={"id": "by-cookie"})
        with client.stream("GET", f"{asking.url}/api/sessions/by-cookie/events") as stream:
            assert stream.status_code == 200
    with socket_to(f"{asking.url}/ws/chat/by-cookie", cookie) as socket:
        assert socket.receive_json(timeout=10)["type"] == "ready"


@pytest.mark.parametrize("headers", [{}, bearer("wrong"), {"Cookie": f"{SECURE_COOKIE}=wrong"}], ids=str)
def test_a_socket_without_a_token_is_closed_for_good(asking: ServerProcess, headers: dict[str, str]) -> None:
    with socket_to(f"{asking.url}/ws/chat/s", headers) as socket:
        assert socket.receive_json(timeout=10)["problem"]["code"] == "unauthorized"
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json(timeout=10)
    assert closed.value.code == 4501


def answer_of(client: httpx.Client, session: str) -> str:
    asked = client.post(
        f"/api/sessions/{session}/messages", params={"wait": 20}, json={"content": "hi", "model": "echo"}
    )
    found: str = asked.json()["id"]
    return found


def test_a_ticket_reads_its_message_and_nothing_else(
    asking: ServerProcess, ada: httpx.Client, nobody: httpx.Client
) -> None:
    mine, other = answer_of(ada, "tickets"), answer_of(ada, "tickets")
    issued = ada.post(f"/api/messages/{mine}/ticket")
    assert (issued.status_code, issued.json()["expires_in"]) == (201, LIFETIME)
    url = issued.json()["url"]
    ticket = url.partition("?ticket=")[2]
    assert "event: complete" in nobody.get(url).text
    assert nobody.get(url, params={"ticket": ticket, "format": "ndjson"}).status_code == 200
    for path in (
        f"/api/messages/{other}/events",
        f"/api/messages/{mine}",
        "/api/sessions",
        "/api/sessions/tickets/events",
    ):
        assert nobody.get(path, params={"ticket": ticket}).status_code == 401
    for path in (f"/api/messages/{mine}/cancel", f"/api/messages/{mine}/ticket"):
        assert nobody.post(path, params={"ticket": ticket}).status_code == 401
    assert nobody.get(url[:-1]).status_code == 401
    assert ticket not in asking.log
    assert mine in asking.log


def test_a_ticket_is_good_beside_a_cookie_that_is_not(ada: httpx.Client, nobody: httpx.Client) -> None:
    url = ada.post(f"/api/messages/{answer_of(ada, 'tickets')}/ticket").json()["url"]
    assert nobody.get(url, headers={"Cookie": f"{COOKIE}=xio_of-last-year"}).status_code == 200


@pytest.mark.parametrize("query", ["utm_ticket=abc", "ticket=", "ticket", "ticket=%00&ticket="])
def test_what_only_looks_like_a_ticket_is_none(query: str, nobody: httpx.Client) -> None:
    assert nobody.get(f"/api/messages/msg_1/events?{query}").json()["code"] == "unauthorized"


def test_a_ticket_ends_after_a_minute() -> None:
    time = [1_000_000.0]
    tickets = Tickets(lambda: time[0])
    ticket = tickets.issue("ada", "msg_1")
    path = "/api/messages/msg_1/events"
    time[0] += LIFETIME - 1
    assert tickets.owner(ticket, path) == "ada"
    time[0] += 1
    assert tickets.owner(ticket, path) is None


def test_a_ticket_cannot_be_changed() -> None:
    tickets = Tickets()
    ticket = tickets.issue("ada", "msg_1")
    path = "/api/messages/msg_1/events"
    expiry, mac, owner = ticket.split(".")
    assert tickets.owner(ticket, path) == "ada"
    assert Tickets().owner(ticket, path) is None  # another process
    for changed in (
        f"{int(expiry) + 1}.{mac}.{owner}",
        f"{expiry}.{mac}.bob",
        f"{expiry}.{'A' * 43}.{owner}",
        "",
        "..",
    ):
        assert tickets.owner(changed, path) is None
