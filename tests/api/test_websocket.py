"""The log and the commands on one socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from httpx_ws import WebSocketSession, connect_ws
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.api.calling import Caller, Json, text_of
from tests.serving import ServerProcess


@contextmanager
def joined(caller: Caller, session_id: str, after: str | None = None) -> Iterator[WebSocketSession]:
    """A socket that has had its `ready`."""
    params = {} if after is None else {"after": after}
    url = str(caller.http.base_url.join(f"/ws/chat/{session_id}"))
    socket: WebSocketSession
    with connect_ws(url, caller.http, params=params) as socket:
        assert socket.receive_json(timeout=10)["type"] == "ready"
        yield socket


def until(socket: WebSocketSession, *types: str) -> list[Json]:
    """What comes, up to the first event of one of these types."""
    found: list[Json] = []
    while not found or found[-1]["type"] not in types:
        found.append(socket.receive_json(timeout=10))
    return found


def ask(socket: WebSocketSession, content: str = "one two three", **more: Any) -> None:
    socket.send_json({"type": "chat", "content": content, "model": "echo", **more})


def test_ready_comes_first_and_the_session_is_there(caller: Caller, session_id: str) -> None:
    socket: WebSocketSession
    with connect_ws(str(caller.http.base_url.join(f"/ws/chat/{session_id}")), caller.http) as socket:
        ready: Json = socket.receive_json(timeout=10)
    assert ready.keys() == {"id", "type", "session_id", "cursor", "tail", "active", "server_time", "heartbeat"}
    assert (ready["type"], ready["session_id"], ready["active"]) == ("ready", session_id, [])
    assert caller.http.get(f"/api/sessions/{session_id}").status_code == 200


def test_a_question_is_posted_and_answered(caller: Caller, session_id: str) -> None:
    with joined(caller, session_id) as socket:
        ask(socket, "Grüße 🎈")
        events = until(socket, "complete")
    assert [event["type"] for event in events] == ["posted", "session", "start", "chunk", "chunk", "complete"]
    assert "client_id" not in events[0]
    assert text_of(events) == events[-1]["full_content"] == "Grüße 🎈"
    assert events == caller.log(session_id)


def test_the_client_id_is_echoed_and_is_the_idempotency_key(caller: Caller, session_id: str) -> None:
    with joined(caller, session_id) as socket:
        ask(socket, client_id=session_id)
        events = until(socket, "complete")
        ask(socket, client_id=session_id)
        [again] = until(socket, "accepted")
    assert events[0]["client_id"] == again["client_id"] == session_id
    assert (again["user_message"]["id"], again["message"]["status"]) == (events[0]["message"]["id"], "completed")
    assert again.keys() == {"type", "client_id", "user_message", "message", "stream_url", "cursor"}
    assert caller.log(session_id) == events


def test_a_question_that_is_refused_is_told_by_its_client_id(caller: Caller, session_id: str) -> None:
    with joined(caller, session_id) as socket:
        ask(socket, model="nonsense", client_id=f"{session_id}-1")
        ask(socket, client_id=f"{session_id}-2")
        assert refusal(socket, client_id=f"{session_id}-1")["code"] == "unknown_model"


def test_a_client_id_with_another_question_is_refused(caller: Caller, session_id: str) -> None:
    with joined(caller, session_id) as socket:
        ask(socket, client_id=session_id)
        until(socket, "complete")
        ask(socket, "something else", client_id=session_id)
        assert refusal(socket, client_id=session_id)["code"] == "idempotency_key_reused"


def test_a_question_sent_again_over_http_is_the_same(caller: Caller, session_id: str) -> None:
    with joined(caller, session_id) as socket:
        ask(socket, client_id=session_id)
        answered = until(socket, "complete")[-1]["message_id"]
    assert caller.answer(session_id, headers={"Idempotency-Key": session_id})["id"] == answered


def test_all_fields_of_a_question_mean_the_same(caller: Caller, session_id: str) -> None:
    with joined(caller, session_id) as socket:
        ask(socket, "one two three", max_tokens=2, system="Be brief.", temperature=0.5, parent_id="root")
        assert until(socket, "complete")[-1]["full_content"] == "one two "
        ask(socket, model="demo", ultra_thinking=True, max_tokens=2)
        assert [event["type"] for event in until(socket, "complete")] == [
            "posted", "start", "thinking", "thinking", "complete",
        ]  # fmt: skip


def test_on_busy_means_the_same(caller: Caller, session_id: str) -> None:
    with caller.busy(session_id) as active, joined(caller, session_id) as socket:
        ask(socket)
        assert (problem := refusal(socket))["code"] == "session_busy"
        assert problem["active"] == active["id"]
        ask(socket, on_busy="interrupt")
        assert [each["status"] for each in until_ends(socket, 2)] == ["cancelled", "completed"]


def until_ends(socket: WebSocketSession, count: int) -> list[Json]:
    return [until(socket, "complete", "error")[-1] for _ in range(count)]


def refusal(socket: WebSocketSession, **echo: str) -> Json:
    """The problem of the next error frame, which is about a frame, not about an answer."""
    frame = until(socket, "error")[-1]
    problem: Json = frame["problem"]
    assert frame == {"type": "error", "problem": problem, **echo}
    return problem


def test_cancel_stops_an_answer(caller: Caller, session_id: str) -> None:
    with joined(caller, session_id) as socket:
        ask(socket, model="long")
        message_id = until(socket, "chunk")[-1]["message_id"]
        for _ in range(2):
            socket.send_json({"type": "cancel", "message_id": message_id})
        end = until(socket, "complete")[-1]
        socket.send_json({"type": "ping"})
        assert until(socket, "pong", "error")[-1]["type"] == "pong"
    assert (end["status"], end["message_id"]) == ("cancelled", message_id)


def test_cancel_reaches_no_other_session(caller: Caller, session_id: str) -> None:
    with caller.busy(f"{session_id}-2") as active, joined(caller, session_id) as socket:
        socket.send_json({"type": "cancel", "message_id": active["id"]})
        assert refusal(socket)["code"] == "not_found"
        assert caller.message(active["id"])["status"] == "streaming"


def test_a_question_cannot_be_cancelled(caller: Caller, session_id: str) -> None:
    message = caller.answer(session_id)
    with joined(caller, session_id) as socket:
        socket.send_json({"type": "cancel", "message_id": message["parent_id"]})
        assert refusal(socket)["code"] == "not_active"


def test_a_ping_is_answered_while_an_answer_is_written(caller: Caller, session_id: str) -> None:
    with joined(caller, session_id) as socket:
        ask(socket, model="long")
        until(socket, "chunk")
        for _ in range(5):
            socket.send_json({"type": "ping"})
        for _ in range(5):
            pong = until(socket, "pong", "complete")[-1]
            assert pong.keys() == {"type", "timestamp"}
        caller.http.delete(f"/api/sessions/{session_id}")


def test_a_client_that_comes_back_with_its_cursor_misses_nothing(caller: Caller, session_id: str) -> None:
    with joined(caller, session_id) as socket:
        ask(socket, "word " * 40)
        seen = until(socket, "chunk")
    with joined(caller, session_id, after=seen[-1]["id"]) as socket:
        seen += until(socket, "complete")
    assert seen == caller.log(session_id)


def test_two_sockets_see_the_same(caller: Caller, session_id: str) -> None:
    with joined(caller, session_id) as one, joined(caller, session_id) as other:
        ask(one)
        assert until(one, "complete") == until(other, "complete")


NONSENSE: list[tuple[str, str, set[str]]] = [
    ("", "bad_request", set()),
    ("hello", "bad_request", set()),
    ('{"type": "ping"', "bad_request", set()),
    ('{"type": "chat", "content": "\\ud800"}', "bad_request", set()),
    ("[" * 100_000, "bad_request", set()),
    ("[]", "invalid", {"body"}),
    ("null", "invalid", {"body"}),
    ("{}", "invalid", {"type"}),
    ('{"type": "shout"}', "invalid", {"type"}),
    ('{"type": 5}', "invalid", {"type"}),
    ('{"type": "ping", "x": 1}', "invalid", {"x"}),
    ('{"type": "cancel"}', "invalid", {"message_id"}),
    ('{"type": "cancel", "message_id": 5}', "invalid", {"message_id"}),
    ('{"type": "cancel", "message_id": "a b"}', "invalid", {"message_id"}),
    ('{"type": "cancel", "message_id": "msg_nothing"}', "not_found", set()),
    ('{"type": "chat"}', "invalid", {"content"}),
    ('{"type": "chat", "content": ""}', "invalid", {"content"}),
    ('{"type": "chat", "content": "a\\u0000b"}', "invalid", {"content"}),
    ('{"type": "chat", "content": "x", "client_id": "a b"}', "invalid", {"client_id"}),
    ('{"type": "chat", "content": "x", "unheard_of": 1, "max_tokens": 0}', "invalid", {"unheard_of", "max_tokens"}),
    ('{"type": "chat", "content": "x", "api_keys": {"openai": ""}}', "invalid", {"api_keys.openai"}),
    ('{"type": "chat", "content": "x", "parent_id": "msg_nothing"}', "invalid", {"parent_id"}),
    ('{"type": "chat", "content": "x", "model": "nothing"}', "unknown_model", set()),
    ('{"type": "chat", "content": "x", "provider": "openai"}', "provider_not_configured", set()),
]


def test_a_frame_that_is_not_understood_is_told_and_the_socket_stays(caller: Caller, session_id: str) -> None:
    with joined(caller, session_id) as socket:
        for frame, code, fields in NONSENSE:
            socket.send_text(frame)
            problem = refusal(socket)
            assert (problem["code"], {each["field"] for each in problem.get("errors", [])}) == (code, fields), frame
        socket.send_json({"type": "ping"})
        assert socket.receive_json(timeout=10)["type"] == "pong"
    assert caller.log(session_id) == []


@pytest.mark.parametrize("data", [b"", b"\x00\xff", b'{"type": "ping"}'])
def test_a_binary_frame_is_told_and_the_socket_stays(caller: Caller, session_id: str, data: bytes) -> None:
    with joined(caller, session_id) as socket:
        socket.send_bytes(data)
        assert refusal(socket)["code"] == "bad_request"
        ask(socket)
        assert until(socket, "complete")[-1]["status"] == "completed"


# How it ends.


def closed_with(
    server: ServerProcess, path: str, act: Callable[[ClientConnection], Any] = lambda socket: None
) -> tuple[list[Json], int | None]:
    """What comes until the server closes, and its code."""
    found: list[Json] = []
    with connect(server.url.replace("http", "ws") + path, proxy=None) as socket:
        try:
            act(socket)
            while True:
                found.append(json.loads(socket.recv(timeout=10)))
        except ConnectionClosed:
            return found, socket.close_code


def test_a_session_that_is_gone_is_not_found(server: ServerProcess, session_id: str) -> None:
    found, code = closed_with(server, f"/ws/chat/{session_id}?after=abc-5")
    assert ([frame["problem"]["code"] for frame in found], code) == (["not_found"], 4502)


def test_a_session_deleted_meanwhile_is_told_and_not_found(
    server: ServerProcess, caller: Caller, session_id: str
) -> None:
    def delete(socket: ClientConnection) -> None:
        socket.recv(timeout=10)
        caller.http.delete(f"/api/sessions/{session_id}")

    found, code = closed_with(server, f"/ws/chat/{session_id}", delete)
    assert ([(frame["type"], frame["deleted"]) for frame in found], code) == ([("session", True)], 4502)


@pytest.mark.parametrize("name", ["a.b", "two%20words", "x" * 65, "%00"])
def test_a_session_id_that_does_not_fit(server: ServerProcess, name: str) -> None:
    found, code = closed_with(server, f"/ws/chat/{name}")
    assert code is not None
    assert 4500 <= code < 5000
    assert [error["field"] for frame in found for error in frame["problem"]["errors"]] == ["session_id"]


def test_too_many_frames(server: ServerProcess, session_id: str) -> None:
    def flood(socket: ClientConnection) -> None:
        for _ in range(300):
            socket.send('{"type":"ping"}')

    assert closed_with(server, f"/ws/chat/{session_id}", flood)[1] == 4503


@pytest.mark.parametrize("fragments", [1, 3])
def test_a_frame_over_one_mebibyte(server: ServerProcess, caller: Caller, session_id: str, fragments: int) -> None:
    text = json.dumps({"type": "chat", "content": "x" * (1 << 20)})
    size = len(text) // fragments + 1
    pieces = [text[start : start + size] for start in range(0, len(text), size)]

    def send(socket: ClientConnection) -> None:
        socket.recv(timeout=10)
        socket.send(text if fragments == 1 else pieces)

    assert closed_with(server, f"/ws/chat/{session_id}", send)[1] == 1009
    assert caller.log(session_id) == []


def test_who_is_still_sending_learns_why_it_was_ended(server: ServerProcess, session_id: str) -> None:
    def send(socket: ClientConnection) -> None:
        socket.recv(timeout=10)
        socket.send("x" * (1 << 19) for _ in range(40))

    assert closed_with(server, f"/ws/chat/{session_id}", send)[1] == 1009


def test_a_frame_of_one_mebibyte_is_taken(caller: Caller, session_id: str) -> None:
    with joined(caller, session_id) as socket:
        frame = json.dumps({"type": "chat", "content": "x" * 900_000, "model": "demo", "max_tokens": 1})
        socket.send_text(frame.ljust(1 << 20))
        assert until(socket, "posted")[0]["message"]["length"] == 900_000


def test_text_that_is_no_utf_8(server: ServerProcess, session_id: str) -> None:
    def garble(socket: ClientConnection) -> None:
        socket.send(b"\xff\xfe", text=True)

    assert closed_with(server, f"/ws/chat/{session_id}", garble)[1] == 1007
    assert "Traceback" not in server.log


def test_nothing_is_compressed(server: ServerProcess, session_id: str) -> None:
    with connect(f"{server.url.replace('http', 'ws')}/ws/chat/{session_id}", proxy=None) as socket:
        assert socket.request is not None
        assert socket.response is not None
        assert "permessage-deflate" in socket.request.headers["Sec-WebSocket-Extensions"]
        assert "Sec-WebSocket-Extensions" not in socket.response.headers


def test_a_client_may_close_in_peace(server: ServerProcess, caller: Caller, session_id: str) -> None:
    with connect(f"{server.url.replace('http', 'ws')}/ws/chat/{session_id}", proxy=None) as socket:
        socket.recv(timeout=10)
        socket.close(1000)
        assert socket.close_code == 1000
    assert caller.http.get("/healthz").status_code == 200
