"""Stopping an answer is a request of its own, and keeps what was written."""

from __future__ import annotations

from tests.api.calling import Caller, assert_problem, text_of


def test_what_was_written_stays(caller: Caller, session_id: str) -> None:
    message = caller.ask(session_id, "word " * 400)
    caller.http.get(f"/api/messages/{message['id']}/events?format=json")
    stopped = caller.cancel(message["id"])
    events = caller.events(message["id"])
    assert (stopped["status"], stopped["finish_reason"]) == ("cancelled", "cancelled")
    assert ("word " * 400).startswith(stopped["content"])
    assert text_of(events) == stopped["content"] == events[-1]["full_content"]
    assert (events[-1]["type"], events[-1]["status"]) == ("complete", "cancelled")


def test_asking_twice_changes_nothing(caller: Caller, session_id: str) -> None:
    with caller.busy(session_id) as message:
        assert caller.cancel(message["id"]) == caller.cancel(message["id"])
    assert [event["type"] for event in caller.log(session_id)].count("complete") == 1


def test_an_answer_that_is_finished_stays_finished(caller: Caller, session_id: str) -> None:
    finished = caller.answer(session_id)
    assert caller.cancel(finished["id"]) == finished


def test_a_reader_on_another_connection_sees_the_end(caller: Caller, session_id: str) -> None:
    with caller.busy(session_id) as message:
        path = f"/api/messages/{message['id']}/events"
        with caller.http.stream("GET", path, headers={"Accept": "application/x-ndjson"}) as response:
            lines = response.iter_lines()
            next(lines)
            caller.cancel(message["id"])
            assert '"status":"cancelled"' in list(lines)[-1]


def test_the_session_is_free_again(caller: Caller, session_id: str) -> None:
    with caller.busy(session_id) as message:
        caller.cancel(message["id"])
        assert caller.answer(session_id)["status"] == "completed"


def test_a_question_cannot_be_stopped(caller: Caller, session_id: str) -> None:
    message = caller.answer(session_id)
    response = caller.http.post(f"/api/messages/{message['parent_id']}/cancel")
    assert_problem(response, 409, "not_active")


def test_what_is_not_there_cannot_be_stopped(caller: Caller) -> None:
    assert_problem(caller.http.post("/api/messages/msg_nothing/cancel"), 404, "not_found")
