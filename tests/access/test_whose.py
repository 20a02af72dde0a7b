"""What one person asked is not there for anybody else: every route, with every id of theirs, by every wrong caller.

The cases come from the application's own route table, so a new route is tried without anybody thinking of it; one
that takes a body must say here what would be accepted from its owner.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_ws import WebSocketDisconnect
from starlette.routing import Mount, Route, WebSocketRoute

from server.app import Application
from server.settings import Settings
from tests import plain
from tests.access.people import ADA, BOB, bearer, socket_to
from tests.serving import ServerProcess

SESSION = "ada-session"

# By method and path: a body that the owner could send.
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/api/sessions"): {"id": "somebodys"},
    ("PATCH", "/api/sessions/{session_id}"): {"title": "taken"},
    ("POST", "/api/sessions/{session_id}/messages"): {"content": "taken", "model": "echo"},
    ("POST", "/api/messages/{message_id}/regenerate"): {},
    ("POST", "/api/messages/{message_id}/cancel"): None,
    ("POST", "/api/messages/{message_id}/ticket"): None,
}

# Asking in a session that is not there creates it, so the same name is another session for another person.
OWN_SESSION = ("POST", "/api/sessions/{session_id}/messages")

# Open to everybody, or without anything of anybody's.
OPEN = {"/healthz", "/sign-in"}


@dataclass(frozen=True)
class Ids:
    question: str
    answer: str
    active: str


def routes() -> Iterator[tuple[str, str]]:
    """Method and path; SOCKET for the method of a WebSocket."""
    for route in Application(Settings(database_url="sqlite:///unused.db")).starlette.routes:
        if isinstance(route, Mount):
            yield "GET", f"{route.path.replace('{version}', '0')}/some.file"  # a version of the page is nobody's
        elif isinstance(route, WebSocketRoute):
            yield SOCKET, route.path.replace("{path:path}", "nowhere")
        else:
            assert isinstance(route, Route), f"{route} is of a kind that this test does not know"
            yield from ((method, route.path) for method in sorted(route.methods or ()))


SOCKET = "socket"
ALL = list(routes())
ROUTES = [each for each in ALL if each[0] != SOCKET]
SOCKETS = [path for method, path in ALL if method == SOCKET]
# What a plain request to a socket's address is told is the same for everybody.
ABOUT_SOMETHING = [each for each in ROUTES if "{" in each[1] and each[1] not in SOCKETS]


def paths(path: str, ids: Ids) -> Iterator[str]:
    """`path` with every id of Ada's that could stand in it."""
    values = {"session_id": [SESSION], "message_id": [ids.question, ids.answer, ids.active]}
    names = re.findall(r"{(\w+)}", path)
    assert set(names) <= set(values), f"an id of a new kind: add Ada's to this test: {path}"
    for chosen in itertools.product(*(values[name] for name in names)):
        yield path.format(**dict(zip(names, chosen, strict=True)))


@pytest.fixture(scope="module")
def ids(asking: ServerProcess) -> Ids:
    """Ada's: a finished answer, and one being written."""
    with plain.Client(base_url=asking.url, headers=bearer(ADA), timeout=30) as ada:
        url = f"/api/sessions/{SESSION}/messages"
        done = ada.post(url, params={"wait": 20}, json={"content": "secret", "model": "echo"}).json()
        active = ada.post(url, json={"content": "long", "model": "long"}).json()
        return Ids(done["parent_id"], done["id"], active["message"]["id"])


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("token", [None, "wrong", ADA[:-1]])
def test_nobody_gets_anywhere_without_a_token(
    method: str, path: str, token: str | None, ids: Ids, nobody: httpx.Client
) -> None:
    if path in OPEN:
        return
    headers = bearer(token) if token else {}
    for each in paths(path, ids):
        answer = nobody.request(method, each, json=BODIES.get((method, path)), headers=headers)
        assert answer.status_code == 401, each


@pytest.mark.parametrize(("method", "path"), ABOUT_SOMETHING)
def test_what_is_anothers_is_not_there(method: str, path: str, ids: Ids, ada: httpx.Client, bob: httpx.Client) -> None:
    if method in ("POST", "PATCH", "PUT"):
        assert (method, path) in BODIES, "say what a good body is"
    for each in paths(path, ids):
        answer = bob.request(method, each, json=BODIES.get((method, path)))
        if (method, path) == OWN_SESSION:
            assert answer.status_code == 202
            assert bob.delete(f"/api/sessions/{SESSION}").status_code == 204
        else:
            assert answer.status_code == 404, each
            assert method == "HEAD" or answer.json()["code"] == "not_found"
            assert "secret" not in answer.text
    assert ada.get(f"/api/sessions/{SESSION}").json()["title"] == "secret"
    assert ada.get(f"/api/messages/{ids.active}").json()["status"] != "cancelled"
    assert len(ada.get(f"/api/sessions/{SESSION}/messages").json()["messages"]) == 4


def test_the_same_answer_for_what_is_anothers_and_what_is_not_there(ids: Ids, bob: httpx.Client) -> None:
    theirs, none = bob.get(f"/api/messages/{ids.answer}").json(), bob.get("/api/messages/msg_nothing").json()
    assert {**theirs, "detail": "", "instance": ""} == {**none, "detail": "", "instance": ""}
    assert theirs["detail"].replace(ids.answer, "msg_nothing") == none["detail"]


def test_ids_of_others_are_unknown_in_bodies_and_queries_too(ids: Ids, bob: httpx.Client) -> None:
    bob.post("/api/sessions", json={"id": "bobs"})
    asked = bob.post("/api/sessions/bobs/messages", json={"content": "x", "model": "echo", "parent_id": ids.answer})
    assert (asked.status_code, asked.json()["code"]) == (422, "invalid")
    assert bob.get("/api/sessions/bobs/messages", params={"before": ids.answer}).status_code == 422
    assert bob.get("/api/sessions", params={"before": SESSION}).status_code == 404
    assert bob.get("/api/sessions", params={"q": "secret"}).json()["sessions"] == []
    assert SESSION not in bob.get("/api/sessions").text


def test_a_cursor_of_anothers_log_reads_nothing_of_it(ids: Ids, ada: httpx.Client, bob: httpx.Client) -> None:
    cursor = ada.get(f"/api/messages/{ids.answer}/events", params={"format": "json"}).json()["events"][0]["id"]
    bob.post("/api/sessions/bobs-log/messages", json={"content": "x", "model": "echo"}, params={"wait": 20})
    read = bob.get("/api/sessions/bobs-log/events", params={"format": "json", "after": cursor})
    assert (read.status_code, read.json()["code"]) == (409, "cursor_reset")


def test_idempotency_keys_are_the_callers_own(ada: httpx.Client, bob: httpx.Client) -> None:
    body, key = {"content": "same", "model": "echo"}, {"Idempotency-Key": "shared-key"}
    hers = ada.post("/api/sessions/keys/messages", json=body, headers=key).json()
    his = bob.post("/api/sessions/keys/messages", json=body, headers=key).json()
    assert hers["message"]["id"] != his["message"]["id"]
    assert bob.post("/api/sessions/keys/messages", json={**body, "content": "x"}, headers=key).status_code == 422


@pytest.mark.parametrize("path", SOCKETS)
@pytest.mark.parametrize("token", [None, "wrong", ADA[:-1]])
def test_nobody_gets_a_socket_without_a_token(path: str, token: str | None, ids: Ids, asking: ServerProcess) -> None:
    for each in paths(path, ids):
        assert first_words(f"{asking.url}{each}", token) == ("unauthorized", 4501)


@pytest.mark.parametrize("path", [path for path in SOCKETS if "{" in path])
def test_a_socket_gives_nothing_of_anothers(path: str, ids: Ids, asking: ServerProcess, ada: httpx.Client) -> None:
    """From any place in her log: it is that of another session, his own of the same name, or of none."""
    cursor = ada.get(f"/api/sessions/{SESSION}/messages").json()["cursor"]
    for each in paths(path, ids):
        for after in ("0", cursor):
            assert first_words(f"{asking.url}{each}?after={after}", BOB) == ("not_found", 4502)


def first_words(url: str, token: str | None) -> tuple[str, int]:
    """The code of the problem that a socket tells, and what it is closed with."""
    with socket_to(url, bearer(token) if token else {}) as socket:
        code: str = socket.receive_json(timeout=10)["problem"]["code"]
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json(timeout=10)
    return code, closed.value.code


def test_a_socket_shows_and_stops_only_what_is_the_callers(ids: Ids, asking: ServerProcess, ada: httpx.Client) -> None:
    with socket_to(f"{asking.url}/ws/chat/{SESSION}", bearer(BOB)) as socket:
        assert socket.receive_json(timeout=10)["active"] == []
        socket.send_json({"type": "cancel", "message_id": ids.active})
        assert socket.receive_json(timeout=10)["problem"]["code"] == "not_found"
    assert ada.get(f"/api/messages/{ids.active}").json()["status"] != "cancelled"


def test_a_ticket_of_ones_own_opens_nothing_of_anothers(ids: Ids, bob: httpx.Client, nobody: httpx.Client) -> None:
    mine = bob.post("/api/sessions/tickets/messages", json={"content": "x", "model": "echo"}).json()["message"]["id"]
    ticket = bob.post(f"/api/messages/{mine}/ticket").json()["url"].partition("?ticket=")[2]
    for path in (path for _, path in ABOUT_SOMETHING):
        for each in paths(path, ids):
            assert nobody.get(each, params={"ticket": ticket}).status_code == 401


def test_authorization_is_checked_again_when_a_reader_comes_back(
    asking: ServerProcess, ids: Ids, ada: httpx.Client, nobody: httpx.Client
) -> None:
    url = f"/api/messages/{ids.answer}/events"
    cursor = ada.get(url, params={"format": "json"}).json()["events"][0]["id"]
    for accept in ("text/event-stream", "application/x-ndjson", "application/json", "text/plain"):
        again = {"Last-Event-ID": cursor, "Accept": accept}
        assert ada.get(url, headers=again).status_code == 200
        assert nobody.get(url, headers=again).status_code == 401
        assert nobody.get(url, headers={**again, **bearer(BOB)}).status_code == 404


def test_the_unused_database_was_never_opened() -> None:
    assert not Path("unused.db").exists()
