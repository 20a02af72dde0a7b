"""Edits and other answers: a conversation is a tree, and an answer knows the path that leads to it."""

from __future__ import annotations

import json

import pytest

from tests.api.calling import Caller, assert_problem
from tests.transports.wire import ndjson_events


def words_given(message: dict[str, dict[str, int]]) -> int:
    """How many words the demo provider was given: the history and the question."""
    return message["usage"]["input_tokens"]


def test_a_question_goes_on_from_the_newest_message(caller: Caller, session_id: str) -> None:
    first = caller.answer(session_id, "one two")
    second = caller.answer(session_id, "three")
    question = caller.message(second["parent_id"])
    assert question["parent_id"] == first["id"]
    assert words_given(second) == 2 + 2 + 1


def test_a_parent_makes_a_branch_that_knows_only_its_own_path(caller: Caller, session_id: str) -> None:
    first = caller.answer(session_id, "one two")
    caller.answer(session_id, "of another branch")
    branch = caller.answer(session_id, "three", parent_id=first["id"])
    assert caller.message(branch["parent_id"])["parent_id"] == first["id"]
    assert words_given(branch) == 2 + 2 + 1


def test_root_begins_anew(caller: Caller, session_id: str) -> None:
    caller.answer(session_id, "one two")
    anew = caller.answer(session_id, "three", parent_id="root")
    assert caller.message(anew["parent_id"])["parent_id"] is None
    assert words_given(anew) == 1


def test_a_parent_of_another_session_is_refused(caller: Caller, session_id: str) -> None:
    elsewhere = caller.answer(f"{session_id}-2")
    problem = assert_problem(caller.send(session_id, parent_id=elsewhere["id"]), 422, "invalid")
    assert [error["field"] for error in problem["errors"]] == ["parent_id"]
    assert_problem(caller.http.get(f"/api/sessions/{session_id}"), 404, "not_found")


def test_regenerating_makes_a_sibling(caller: Caller, session_id: str) -> None:
    first = caller.answer(session_id, "one two three", max_tokens=2)
    response = caller.http.post(f"/api/messages/{first['id']}/regenerate?wait=20")
    second = response.json()
    assert response.status_code == 200
    assert (second["parent_id"], second["model"]) == (first["parent_id"], "echo")
    assert (second["content"], second["id"] == first["id"]) == ("one two ", False)
    assert words_given(second) == words_given(first) == 3


def test_regenerating_with_other_settings(caller: Caller, session_id: str) -> None:
    first = caller.answer(session_id, "one two three")
    other = {"model": "demo", "ultra_thinking": True, "max_tokens": 2}
    second = caller.http.post(f"/api/messages/{first['id']}/regenerate?wait=20", json=other).json()
    assert (second["model"], second["thinking"]) == ("demo", "There is ")


def test_regenerating_keeps_what_is_left_out(caller: Caller, session_id: str) -> None:
    first = caller.answer(session_id, "one two three", model="demo", ultra_thinking=True, max_tokens=2)
    second = caller.http.post(f"/api/messages/{first['id']}/regenerate?wait=20", json={"ultra_thinking": False}).json()
    assert (bool(first["thinking"]), second["thinking"], second["finish_reason"]) == (True, None, "length")


def test_a_question_can_be_regenerated_too(caller: Caller, session_id: str) -> None:
    first = caller.answer(session_id)
    second = caller.http.post(f"/api/messages/{first['parent_id']}/regenerate?wait=20", json={"model": "echo"}).json()
    assert (second["parent_id"], second["content"]) == (first["parent_id"], first["content"])


@pytest.mark.parametrize("form", ["sse", "ndjson", "text", "json"])
def test_regenerating_answers_in_every_form(caller: Caller, session_id: str, form: str) -> None:
    first = caller.answer(session_id)
    response = caller.http.post(f"/api/messages/{first['id']}/regenerate", params={"format": form})
    message_id = response.headers["location"].split("/")[3]
    assert response.status_code == (202 if form == "json" else 200)
    assert caller.events(message_id)[-1]["full_content"] == first["content"]
    if form == "text":
        assert response.text == first["content"]
    if form == "ndjson":
        assert ndjson_events(response.content)[-1]["message_id"] == message_id


def test_regenerating_an_answer_being_written_is_a_question_of_on_busy(caller: Caller, session_id: str) -> None:
    with caller.busy(session_id) as active:
        path = f"/api/messages/{active['id']}/regenerate"
        assert assert_problem(caller.http.post(path), 409, "session_busy")["active"] == active["id"]
        told = caller.http.post(path, json={"on_busy": "interrupt", "model": "echo"}).json()
    assert caller.events(told["message"]["id"])[-1]["status"] == "completed"
    assert caller.message(active["id"])["status"] == "cancelled"


def test_regenerating_nothing_is_not_found(caller: Caller) -> None:
    assert_problem(caller.http.post("/api/messages/msg_nothing/regenerate"), 404, "not_found")


def test_every_answer_of_the_tree_is_in_the_history(caller: Caller, session_id: str) -> None:
    first = caller.answer(session_id)
    caller.http.post(f"/api/messages/{first['id']}/regenerate?wait=20")
    caller.answer(session_id, "edited", parent_id="root")
    messages = caller.history(session_id)["messages"]
    parents = [message["parent_id"] for message in messages]
    question = messages[0]["id"]
    assert parents == [None, question, question, None, messages[3]["id"]], json.dumps(messages)
