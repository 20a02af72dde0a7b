"""One idempotency key, one answer, however often and in whatever form it is asked for."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.api.calling import Caller, assert_problem, text_of
from tests.transports.wire import ndjson_events, sse_events


def keyed(key: str) -> dict[str, Any]:
    return {"headers": {"Idempotency-Key": key}}


def test_the_same_request_again_is_the_same_answer(caller: Caller, session_id: str) -> None:
    first = caller.answer(session_id, **keyed(session_id))
    assert caller.answer(session_id, **keyed(session_id)) == first
    assert len(caller.history(session_id)["messages"]) == 2


def test_the_promise_is_the_same_as_well(caller: Caller, session_id: str) -> None:
    with caller.busy(session_id):
        first = caller.send(session_id, on_busy="enqueue", **keyed(session_id)).json()
        again = caller.send(session_id, on_busy="enqueue", **keyed(session_id)).json()
    assert again["message"]["id"] == first["message"]["id"]
    assert {**again, "message": None} == {**first, "message": None}


def test_asking_again_while_it_is_written_attaches_from_its_first_event(caller: Caller, session_id: str) -> None:
    first = caller.send(session_id, "word " * 60, **keyed(session_id)).json()["message"]
    again = caller.send(session_id, "word " * 60, params={"format": "sse"}, **keyed(session_id))
    events = [json.loads(event.data) for event in sse_events(again.content)]
    assert events[1]["type"] == "start"
    assert {event["message_id"] for event in events[1:]} == {first["id"]}
    assert text_of(events) == "word " * 60


@pytest.mark.parametrize("form", ["sse", "ndjson"])
def test_asking_again_from_a_place_goes_on_from_there(caller: Caller, session_id: str, form: str) -> None:
    def again(**headers: str) -> httpx.Response:
        told = {"Idempotency-Key": session_id, **headers}
        return caller.send(session_id, "one two three", params={"format": form}, headers=told)

    def ids(response: httpx.Response) -> list[str]:
        if form == "sse":
            return [json.loads(event.data)["id"] for event in sse_events(response.content)]
        return [event["id"] for event in ndjson_events(response.content)]

    whole = ids(again())
    assert ids(again(**{"Last-Event-ID": whole[3]}))[1:] == whole[4:]
    assert again(**{"Last-Event-ID": whole[-1]}).status_code == 204
    assert_problem(again(**{"Last-Event-ID": "bad"}), 400, "bad_cursor")


def test_a_place_means_nothing_where_something_new_is_asked(caller: Caller, session_id: str) -> None:
    asked = caller.send(session_id, "one", params={"format": "ndjson"}, headers={"Last-Event-ID": "elsewhere-9"})
    assert text_of(ndjson_events(asked.content)) == "one"


def test_what_is_no_place_is_refused_before_anything_is_asked(caller: Caller, session_id: str) -> None:
    for form in ("json", "sse"):
        asked = caller.send(session_id, params={"format": form}, headers={"Last-Event-ID": "garbage"})
        assert_problem(asked, 400, "bad_cursor")
    assert_problem(caller.http.get(f"/api/sessions/{session_id}"), 404, "not_found")


def test_fifty_at_once_are_one_answer(caller: Caller, session_id: str) -> None:
    def ask(number: int) -> str:
        form = ["json", "sse", "ndjson", "text"][number % 4]
        return caller.send(session_id, params={"format": form}, **keyed(session_id)).headers["location"]

    with ThreadPoolExecutor(50) as pool:
        locations = set(pool.map(ask, range(50)))
    assert len(locations) == 1
    types = [event["type"] for event in caller.log(session_id)]
    assert (types.count("posted"), types.count("start")) == (1, 1)


@pytest.mark.parametrize(
    "other", [{"content": "something else"}, {"model": "demo"}, {"max_tokens": 1}, {"system": "Be brief."}]
)
def test_another_body_is_refused(caller: Caller, session_id: str, other: dict[str, Any]) -> None:
    caller.answer(session_id, **keyed(session_id))
    assert_problem(caller.send(session_id, **keyed(session_id), **other), 422, "idempotency_key_reused")
    assert len(caller.history(session_id)["messages"]) == 2


def test_another_session_is_another_request(caller: Caller, session_id: str) -> None:
    caller.answer(session_id, **keyed(session_id))
    assert_problem(caller.send(f"{session_id}-2", **keyed(session_id)), 422, "idempotency_key_reused")
    assert_problem(caller.http.get(f"/api/sessions/{session_id}-2"), 404, "not_found")


def test_keys_sent_for_an_answer_are_no_part_of_the_request(caller: Caller, session_id: str) -> None:
    first = caller.answer(session_id, api_keys={"openai": "one"}, **keyed(session_id))
    assert caller.answer(session_id, api_keys={"openai": "two"}, **keyed(session_id)) == first


def test_a_refused_request_uses_up_no_key(caller: Caller, session_id: str) -> None:
    assert_problem(caller.send(session_id, model="none", **keyed(session_id)), 422, "unknown_model")
    assert caller.answer(session_id, **keyed(session_id))["status"] == "completed"


def test_regenerating_twice_with_one_key_is_one_more_answer(caller: Caller, session_id: str) -> None:
    first = caller.answer(session_id)
    ids = {
        caller.http.post(f"/api/messages/{first['id']}/regenerate", **keyed(session_id)).json()["message"]["id"]
        for _ in range(2)
    }
    assert len(ids) == 1
    assert len(caller.history(session_id)["messages"]) == 3


def test_what_is_as_before_is_not_what_is_taken_back(caller: Caller, session_id: str) -> None:
    first = caller.answer(session_id, "one two three", max_tokens=1)
    path = f"/api/messages/{first['id']}/regenerate"
    assert caller.http.post(path, **keyed(session_id)).status_code == 202
    again = caller.http.post(path, json={"max_tokens": None}, **keyed(session_id))
    assert_problem(again, 422, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", "a b", "a/b", "ä", "k" * 129])
def test_a_malformed_key_is_refused(caller: Caller, session_id: str, key: str) -> None:
    problem = assert_problem(caller.send(session_id, headers={"Idempotency-Key": key.encode()}), 422, "invalid")
    assert [error["field"] for error in problem["errors"]] == ["Idempotency-Key"]
    assert_problem(caller.http.get(f"/api/sessions/{session_id}"), 404, "not_found")


def test_the_longest_key_is_taken(caller: Caller, session_id: str) -> None:
    key = f"{session_id}:" + "k" * (127 - len(session_id))
    assert caller.answer(session_id, **keyed(key)) == caller.answer(session_id, **keyed(key))
