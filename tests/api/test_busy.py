"""A question while another answer of its session is being written."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.calling import Caller, assert_problem


@pytest.mark.parametrize("how", [{}, {"on_busy": "reject"}])
def test_it_is_refused_and_leaves_nothing_behind(caller: Caller, session_id: str, how: dict[str, Any]) -> None:
    with caller.busy(session_id) as active:
        problem = assert_problem(caller.send(session_id, **how), 409, "session_busy")
        assert problem["active"] == active["id"]
        assert problem["retryable"] is True
        assert len(caller.history(session_id)["messages"]) == 2


def test_interrupt_keeps_what_was_written_and_goes_on(caller: Caller, session_id: str) -> None:
    first = caller.ask(session_id, "word " * 400)
    caller.http.get(f"/api/messages/{first['id']}/events?format=json")
    second = caller.answer(session_id, "and now", on_busy="interrupt")
    stopped = caller.message(first["id"])
    assert (stopped["status"], second["status"]) == ("cancelled", "completed")
    assert ("word " * 400).startswith(stopped["content"])
    assert caller.events(first["id"])[-1]["type"] == "complete"


def test_enqueue_answers_after_the_one_before(caller: Caller, session_id: str) -> None:
    first = caller.ask(session_id, "word " * 30)
    second = caller.ask(session_id, "later", on_busy="enqueue")
    assert caller.events(second["id"])[-1]["full_content"] == "later"
    ends = [event for event in caller.log(session_id) if event["type"] in ("posted", "start", "complete")]
    told = [(event["type"], event.get("message_id")) for event in ends]
    assert told == [
        ("posted", None),
        ("start", first["id"]),
        ("posted", None),
        ("complete", first["id"]),
        ("start", second["id"]),
        ("complete", second["id"]),
    ]


def test_a_waiting_answer_can_be_cancelled_before_its_turn(caller: Caller, session_id: str) -> None:
    with caller.busy(session_id) as first:
        waiting = caller.ask(session_id, on_busy="enqueue")
        assert caller.cancel(waiting["id"])["status"] == "cancelled"
        assert caller.message(first["id"])["status"] == "streaming"
    assert [event["type"] for event in caller.events(waiting["id"])] == ["start", "complete"]


def test_a_session_names_the_answers_that_are_to_come(caller: Caller, session_id: str) -> None:
    with caller.busy(session_id) as first:
        waiting = caller.ask(session_id, on_busy="enqueue")
        session = caller.http.get(f"/api/sessions/{session_id}").json()
        assert session["active"] == [first["id"], waiting["id"]]
        caller.cancel(waiting["id"])
    assert caller.http.get(f"/api/sessions/{session_id}").json()["active"] == []


def test_too_many_waiting_are_refused_with_a_time_to_come_back(caller: Caller, session_id: str) -> None:
    with caller.busy(session_id):
        waiting = [caller.ask(session_id, on_busy="enqueue") for _ in range(8)]
        refused = caller.send(session_id, on_busy="enqueue")
        for message in waiting:
            caller.cancel(message["id"])
    assert assert_problem(refused, 503, "overloaded")["retry_after"] == 1
    assert refused.headers["retry-after"] == "1"


def test_another_session_is_not_busy(caller: Caller, session_id: str) -> None:
    with caller.busy(session_id):
        assert caller.answer(f"{session_id}-2")["status"] == "completed"
