"""A server with as many answers as it may write refuses questions, and nothing else."""

from __future__ import annotations

from contextlib import ExitStack

from tests.api.calling import Caller, assert_problem


def test_a_question_too_many_is_refused_with_a_time_to_come_back(hasty: Caller, session_id: str) -> None:
    with ExitStack() as stack:
        for number in range(3):
            stack.enter_context(hasty.busy(f"{session_id}-{number}"))
        refused = hasty.send(session_id)
    assert assert_problem(refused, 503, "overloaded")["retryable"] is True
    assert refused.headers["retry-after"] == "1"
    assert_problem(hasty.http.get(f"/api/sessions/{session_id}"), 404, "not_found")


def test_readers_are_never_refused(hasty: Caller, session_id: str) -> None:
    with ExitStack() as stack:
        busy = [stack.enter_context(hasty.busy(f"{session_id}-{number}")) for number in range(3)]
        for form in ("sse", "ndjson", "text", "json"):
            path = f"/api/messages/{busy[0]['id']}/events?format={form}"
            with hasty.http.stream("GET", path) as response:
                assert response.status_code == 200
