"""A question goes in, and its answer comes back in the form that was asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from itertools import groupby

import httpx
import pytest

from tests.api.calling import Caller, assert_problem
from tests.transports.wire import ndjson_events, sse_events

SSE = "text/event-stream"
NDJSON = "application/x-ndjson"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"

TYPES = ["ready", "start", "chunk", "complete"]


def kinds(types: Iterable[str]) -> list[str]:
    """However many chunks there are: a busy server joins words."""
    return [kind for kind, _ in groupby(types)]


def test_as_sse(caller: Caller, session_id: str) -> None:
    response = caller.send(session_id, headers={"Accept": SSE})
    events = sse_events(response.content)
    assert (response.status_code, response.headers["content-type"]) == (200, SSE)
    assert kinds(event.event for event in events) == TYPES
    assert json.loads(events[-1].data)["full_content"] == "one two three"


def test_as_ndjson(caller: Caller, session_id: str) -> None:
    response = caller.send(session_id, headers={"Accept": NDJSON})
    events = ndjson_events(response.content)
    assert (response.status_code, response.headers["content-type"]) == (200, NDJSON)
    assert kinds(event["type"] for event in events) == TYPES
    assert "".join(event["content"] for event in events if event["type"] == "chunk") == "one two three"


def test_as_text(caller: Caller, session_id: str) -> None:
    response = caller.send(session_id, "Grüße — 你好 🎈", headers={"Accept": "text/plain"})
    assert (response.status_code, response.headers["content-type"]) == (200, TEXT)
    assert response.text == "Grüße — 你好 🎈"


def test_as_json_it_is_promised_at_once(caller: Caller, session_id: str) -> None:
    response = caller.send(session_id, model="long", headers={"Accept": JSON})
    told = response.json()
    assert response.status_code == 202
    assert told.keys() == {"user_message", "message", "stream_url", "cursor"}
    assert told["user_message"]["content"] == "one two three"
    assert (told["message"]["status"], told["message"]["parent_id"]) == ("streaming", told["user_message"]["id"])
    assert caller.cancel(told["message"]["id"])["status"] == "cancelled"


def test_the_promise_leads_to_the_events_of_the_answer(caller: Caller, session_id: str) -> None:
    told = caller.send(session_id).json()
    by_url = caller.http.get(told["stream_url"], headers={"Accept": SSE})
    from_cursor = caller.http.get(f"/api/sessions/{session_id}/events?format=json&after={told['cursor']}").json()
    events = sse_events(by_url.content)[1:]
    assert kinds(event.event for event in events) == TYPES[1:]
    assert from_cursor["events"][0] == json.loads(events[0].data)


def test_as_json_with_wait_it_is_the_finished_message(caller: Caller, session_id: str) -> None:
    message = caller.answer(session_id, "Grüße")
    assert (message["status"], message["finish_reason"], message["content"]) == ("completed", "stop", "Grüße")
    assert (message["length"], message["sha256"]) == (5, hashlib.sha256("Grüße".encode()).hexdigest())
    assert {**message, "cursor": caller.log(session_id)[-1]["id"]} == caller.message(message["id"])


def test_as_json_a_wait_too_short_gives_the_promise(caller: Caller, session_id: str) -> None:
    response = caller.send(session_id, model="long", params={"wait": 0.05})
    assert response.status_code == 202
    assert caller.cancel(response.json()["message"]["id"])["status"] == "cancelled"


@pytest.mark.parametrize("form", ["sse", "ndjson", "json", "text"])
def test_every_form_says_where_the_events_are(caller: Caller, session_id: str, form: str) -> None:
    response = caller.send(session_id, params={"format": form})
    [_, answer] = caller.history(session_id)["messages"]
    assert response.headers["location"] == f"/api/messages/{answer['id']}/events"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("", JSON),
        ("image/png", JSON),
        (SSE, SSE),
        (f"{SSE}, */*", SSE),
        (f"{JSON};q=0.5, {SSE}", SSE),
        (f"{JSON}, {SSE};q=0.9", JSON),
        (f"text/plain; q=0.5, {NDJSON}; q=0.8, */*;q=0.1", NDJSON),
        (f"{SSE};q=0, text/plain", TEXT),
        (f"{SSE};q=0", JSON),
        ("TEXT/PLAIN", TEXT),
        ("text/plain; charset=utf-8", TEXT),
        (f"text/html, application/xhtml+xml, {NDJSON};q=0.3", NDJSON),
        (f"{SSE};q=nonsense", SSE),
    ],
)
def test_accept_decides_by_weight_and_order(caller: Caller, session_id: str, accept: str | None, expected: str) -> None:
    request = caller.http.build_request(
        "POST", f"/api/sessions/{session_id}/messages", json={"content": "hello", "model": "echo"}
    )
    del request.headers["accept"]
    if accept is not None:
        request.headers["accept"] = accept
    assert caller.http.send(request).headers["content-type"] == expected


def test_format_goes_before_accept(caller: Caller, session_id: str) -> None:
    response = caller.send(session_id, headers={"Accept": SSE}, params={"format": "ndjson"})
    assert response.headers["content-type"] == NDJSON


def test_the_first_question_creates_the_session(caller: Caller, session_id: str) -> None:
    assert_problem(caller.http.get(f"/api/sessions/{session_id}"), 404, "not_found")
    caller.answer(session_id, "What is a log?")
    assert caller.http.get(f"/api/sessions/{session_id}").json()["title"] == "What is a log?"


def test_leaving_does_not_cancel(caller: Caller, session_id: str) -> None:
    with caller.http.stream(
        "POST", f"/api/sessions/{session_id}/messages?format=sse", json={"content": "a " * 100, "model": "echo"}
    ) as response:
        location = response.headers["location"]
        next(response.iter_bytes())
    events = caller.events(location.split("/")[3])
    assert (events[-1]["type"], events[-1]["full_content"]) == ("complete", "a " * 100)


def test_leaving_a_wait_does_not_cancel(caller: Caller, session_id: str) -> None:
    with pytest.raises(httpx.ReadTimeout):
        caller.http.post(
            f"/api/sessions/{session_id}/messages",
            params={"wait": 30},
            json={"content": "a " * 400, "model": "echo"},
            timeout=0.5,
        )
    [_, answer] = caller.history(session_id)["messages"]
    assert answer["status"] == "streaming"
    assert caller.events(answer["id"])[-1]["full_content"] == "a " * 400


def test_options_of_a_question_reach_the_provider(caller: Caller, session_id: str) -> None:
    message = caller.answer(session_id, "one two three four", max_tokens=2)
    assert (message["content"], message["finish_reason"]) == ("one two ", "length")
    thought = caller.answer(session_id, model="demo", ultra_thinking=True, max_tokens=3)
    assert (thought["thinking"], thought["content"]) == ("There is no ", "")


def test_a_draft_can_be_read_while_it_is_written(caller: Caller, session_id: str) -> None:
    with caller.busy(session_id) as started, httpx.Client(base_url=caller.http.base_url) as http:
        page = http.get(f"/api/messages/{started['id']}/events?format=json&wait=5&after={_start(caller, started)}")
        draft = caller.message(started["id"])
        assert draft["status"] == "streaming"
        assert draft["content"].startswith(page.json()["events"][0]["content"])


def _start(caller: Caller, message: dict[str, str]) -> str:
    page = caller.http.get(f"/api/messages/{message['id']}/events?format=json&wait=5").json()
    assert page["events"][0]["type"] == "start"
    cursor: str = page["events"][0]["id"]
    return cursor
