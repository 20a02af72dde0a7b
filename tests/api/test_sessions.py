"""The list of conversations, what one holds, and what may be done to it."""

from __future__ import annotations

import json
import re

import pytest

from tests.api.calling import Caller, Json, assert_problem, text_of
from tests.transports.wire import sse_events


def listed(caller: Caller, **params: str | int) -> list[str]:
    sessions: list[Json] = caller.http.get("/api/sessions", params=params).raise_for_status().json()["sessions"]
    return [session["id"] for session in sessions]


def test_a_session_is_created_read_renamed_and_deleted(caller: Caller, session_id: str) -> None:
    created = caller.http.post("/api/sessions", json={"id": session_id, "title": "One"})
    path = created.headers["location"]
    assert (created.status_code, path) == (201, f"/api/sessions/{session_id}")
    assert caller.http.get(path).json() == created.json()
    assert caller.http.patch(path, json={"title": "Two"}).json()["title"] == "Two"
    assert caller.http.get(path).json()["title"] == "Two"
    assert caller.http.patch(path, json={"title": " a\n b "}).json()["title"] == "a b"
    assert_problem(caller.http.patch(path, json={"title": " \n"}), 422, "invalid")
    assert caller.http.delete(path).status_code == 204
    for gone in (caller.http.get(path), caller.http.delete(path), caller.http.patch(path, json={"title": "x"})):
        assert_problem(gone, 404, "not_found")


def test_the_server_chooses_an_id_if_nobody_else_does(caller: Caller) -> None:
    first, second = (caller.http.post("/api/sessions").json()["id"] for _ in range(2))
    assert first != second
    assert re.fullmatch(r"[A-Za-z0-9_-]{16,64}", first)


def test_an_id_that_is_taken_is_refused(caller: Caller, session_id: str) -> None:
    caller.http.post("/api/sessions", json={"id": session_id, "title": "One"})
    problem = assert_problem(caller.http.post("/api/sessions", json={"id": session_id}), 422, "invalid")
    assert problem["errors"][0]["field"] == "id"
    assert caller.http.get(f"/api/sessions/{session_id}").json()["title"] == "One"


def test_the_newest_session_is_listed_first(caller: Caller, session_id: str) -> None:
    ids = [f"{session_id}-{number}" for number in range(3)]
    for each in (*ids, ids[0]):
        caller.answer(each)
    assert listed(caller, limit=3) == [ids[0], ids[2], ids[1]]


def test_pages_of_the_list_meet_without_gap_or_overlap(caller: Caller, session_id: str) -> None:
    ids = [f"{session_id}-{number}" for number in range(5)]
    for each in ids:
        caller.http.post("/api/sessions", json={"id": each, "title": session_id})
    found: list[str] = []
    more, before = True, dict[str, str]()
    while more:
        page = caller.http.get("/api/sessions", params={"q": session_id, "limit": 2, **before}).json()
        found += [session["id"] for session in page["sessions"]]
        more, before = page["has_more"], {"before": found[-1]}
    assert found == ids[::-1]


@pytest.mark.parametrize("query", ["Zwölf", "zwölf", "ahr", "wölf Jahr", "%", "_", '"', "🎈", "a_b%c"])
def test_a_search_finds_titles_and_texts(caller: Caller, session_id: str, query: str) -> None:
    inside = caller.answer(session_id, 'Zwölf Jahre "später" a_b%c 🎈')["session_id"]
    caller.http.post("/api/sessions", json={"id": f"{session_id}-t", "title": 'Zwölf Jahre "dort" a_b%c 🎈'})
    caller.answer(f"{session_id}-other", "nothing of it")
    found = listed(caller, q=query)
    assert {inside, f"{session_id}-t"} <= set(found)
    assert f"{session_id}-other" not in found


def test_a_search_for_nothing_known_finds_nothing(caller: Caller) -> None:
    assert listed(caller, q="no such words anywhere 4711") == []


def test_history_comes_in_pages_oldest_first(caller: Caller, session_id: str) -> None:
    for number in range(3):
        caller.answer(session_id, f"question {number}")
    newest = caller.history(session_id, limit=4)
    oldest = caller.history(session_id, limit=4, before=newest["messages"][0]["id"])
    contents = [message["content"] for message in (*oldest["messages"], *newest["messages"])]
    assert contents == [f"question {number}" for number in (0, 0, 1, 1, 2, 2)]
    assert (newest["has_more"], oldest["has_more"]) == (True, False)


def test_the_log_continues_the_history_exactly(caller: Caller, session_id: str) -> None:
    message = caller.ask(session_id, "word " * 100)
    caller.http.get(f"/api/messages/{message['id']}/events?format=json")
    history = caller.history(session_id)
    continued = text_of(caller.events(message["id"], after=history["cursor"]))
    assert history["messages"][-1]["content"] + continued == "word " * 100


def test_the_log_continues_a_message_exactly(caller: Caller, session_id: str) -> None:
    message = caller.ask(session_id, "word " * 100)
    caller.http.get(f"/api/messages/{message['id']}/events?format=json")
    draft = caller.message(message["id"])
    assert draft["content"] + text_of(caller.events(message["id"], after=draft["cursor"])) == "word " * 100


def test_renaming_and_deleting_is_told_to_readers(caller: Caller, session_id: str) -> None:
    path = f"/api/sessions/{session_id}"
    caller.http.post("/api/sessions", json={"id": session_id})
    with caller.http.stream("GET", f"{path}/events") as response:
        blocks = response.iter_raw()
        assert sse_events(next(blocks))[0].event == "ready"
        caller.http.patch(path, json={"title": "Neu"})
        caller.http.delete(path)
        events = [json.loads(event.data) for event in sse_events(b"".join(blocks))]
    assert [event["type"] for event in events] == ["session", "session"]
    assert (events[0]["title"], events[1]["deleted"]) == ("Neu", True)


def test_deleting_stops_the_answer(caller: Caller, session_id: str) -> None:
    message = caller.ask(session_id, model="long")
    with caller.http.stream("GET", f"/api/messages/{message['id']}/events?format=ndjson") as response:
        lines = response.iter_lines()
        next(lines)
        assert caller.http.delete(f"/api/sessions/{session_id}").status_code == 204
        assert json.loads(list(lines)[-1])["status"] == "cancelled"
    assert_problem(caller.http.get(f"/api/messages/{message['id']}"), 404, "not_found")


def test_an_id_can_be_used_anew_after_deleting(caller: Caller, session_id: str) -> None:
    caller.answer(session_id, "before")
    cursor = caller.log(session_id)[-1]["id"]
    caller.http.delete(f"/api/sessions/{session_id}")
    caller.answer(session_id, "after")
    assert [message["content"] for message in caller.history(session_id)["messages"]] == ["after", "after"]
    stale = caller.http.get(f"/api/sessions/{session_id}/events?format=json&after={cursor}")
    assert assert_problem(stale, 409, "cursor_reset")["reason"] == "epoch"


def test_an_export_is_the_whole_conversation(caller: Caller, session_id: str) -> None:
    caller.answer(session_id, "What is a log?")
    as_json = caller.http.get(f"/api/sessions/{session_id}/export")
    as_text = caller.http.get(f"/api/sessions/{session_id}/export?format=markdown")
    assert as_json.json()["messages"] == caller.history(session_id)["messages"]
    assert as_json.json()["session"]["id"] == session_id
    assert as_text.headers["content-type"] == "text/markdown; charset=utf-8"
    named = "filename*=UTF-8''What%20is%20a%20log.md"
    assert as_text.headers["content-disposition"] == f'attachment; filename="{session_id}.md"; {named}'
    assert as_text.text.count("What is a log?") == 3


@pytest.mark.parametrize("rest", ["", "/messages", "/events", "/export"])
def test_what_is_not_there_is_not_found(caller: Caller, session_id: str, rest: str) -> None:
    assert_problem(caller.http.get(f"/api/sessions/{session_id}{rest}"), 404, "not_found")


def test_a_page_before_a_session_that_is_not_there(caller: Caller, session_id: str) -> None:
    assert_problem(caller.http.get("/api/sessions", params={"before": session_id}), 404, "not_found")


def test_a_page_before_a_message_that_is_not_there(caller: Caller, session_id: str) -> None:
    caller.answer(session_id)
    response = caller.http.get(f"/api/sessions/{session_id}/messages?before=msg_nothing")
    assert assert_problem(response, 422, "invalid")["errors"][0]["field"] == "before"
