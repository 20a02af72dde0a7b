"""A cursor is right, or refused loudly: never answered from elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.api.calling import Caller, Json, assert_problem
from tests.serving import running
from tests.transports.wire import ndjson_events, sse_events

MALFORMED = ["", "nonsense", "abc-", "-5", "abc--1", "ABC-1", "abc-01", "abc-1.0", "abc 1", "abc-1-1", "1", "00",
             "ä-1", "a" * 17 + "-1", "abc-" + "9" * 17, "abc-1\u0661"]  # fmt: skip
FORMS = ["sse", "ndjson"]
NAMES = ["after", "last_event_id", "lastEventId"]


@dataclass
class Conversation:
    """A session with two answers, and all its events."""

    caller: Caller
    session_id: str
    events: list[Json]

    @property
    def session(self) -> str:
        return f"/api/sessions/{self.session_id}/events"

    @property
    def answers(self) -> list[str]:
        return [event["message_id"] for event in self.events if event["type"] == "start"]

    def answer(self, number: int) -> str:
        return f"/api/messages/{self.answers[number]}/events"

    def of(self, number: int) -> list[Json]:
        return [event for event in self.events if event.get("message_id") == self.answers[number]]

    def read(self, form: str, target: str, last: str, **how: dict[str, str]) -> list[Json]:
        """What a stream gives, up to the event with the id `last`."""
        params = {"format": form, **how.get("params", {})}
        found: list[Json] = []
        with self.caller.http.stream("GET", target, params=params, headers=how.get("headers", {})) as response:
            body = b""
            for data in response.iter_raw():
                body += data
                parse = ndjson_events if form == "ndjson" else sse_json
                found = parse(body)
                if found and found[-1]["id"] == last and found[-1]["type"] not in ("ready", "reset"):
                    break
        return found

    def page(self, target: str, after: str) -> httpx.Response:
        return self.caller.http.get(target, params={"format": "json", "after": after, "wait": 0})

    def socket(self, after: str) -> Iterator[Json]:
        url = str(self.caller.http.base_url).replace("http", "ws", 1)
        with connect(f"{url}/ws/chat/{self.session_id}?after={after}", proxy=None) as socket:
            while True:
                yield json.loads(socket.recv(timeout=10))


def sse_json(body: bytes) -> list[Json]:
    return [json.loads(event.data) for event in sse_events(body)]


@pytest.fixture(scope="module")
def told(caller: Caller) -> Conversation:
    for content in ("first answer", "second answer"):
        caller.answer("cursors", content)
    return Conversation(caller, "cursors", caller.log("cursors"))


@pytest.fixture(scope="module")
def shortened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Conversation, str]]:
    """A conversation of which the first answer is kept no longer, and a cursor into what is gone."""
    with running(tmp_path_factory.mktemp("shortened"), XIONIMUS_RETENTION="0") as process:
        with Caller(process) as caller:
            caller.answer("cursors", "first answer", headers={"Idempotency-Key": "first"})
            gone = caller.log("cursors")[2]["id"]
        process.kill()
        process.start()
        with Caller(process) as caller:
            until = time.monotonic() + 10
            while caller.log("cursors") and time.monotonic() < until:
                time.sleep(0.02)
            caller.answer("cursors", "second answer")
            yield Conversation(caller, "cursors", caller.log("cursors")), gone


@pytest.mark.parametrize("cursor", MALFORMED)
@pytest.mark.parametrize("form", ["sse", "ndjson", "json", "text"])
def test_a_malformed_cursor_is_refused(told: Conversation, form: str, cursor: str) -> None:
    for target in (told.session, told.answer(0)):
        for name in NAMES:
            response = told.caller.http.get(target, params={"format": form, name: cursor})
            assert_problem(response, 400, "bad_cursor")
        header = [(b"Last-Event-ID", cursor.encode())]
        assert_problem(told.caller.http.get(target, params={"format": form}, headers=header), 400, "bad_cursor")


@pytest.mark.parametrize("cursor", ["", "nonsense", "abc-01", "1"])
def test_a_malformed_cursor_is_refused_on_a_websocket(told: Conversation, cursor: str) -> None:
    frames = told.socket(cursor)
    frame = next(frames)
    with pytest.raises(ConnectionClosed) as closed:
        next(frames)
    assert (frame["type"], frame["problem"]["code"]) == ("error", "bad_cursor")
    assert "message_id" not in frame
    assert closed.value.rcvd is not None
    assert 4500 <= closed.value.rcvd.code < 5000


def wrong(told: Conversation) -> dict[str, str]:
    """Cursors that look right and point nowhere, by the reason to refuse them."""
    epoch, seq = told.events[-1]["id"].split("-")
    return {"ahead": f"{epoch}-{int(seq) + 3}", "epoch": f"zzz-{seq}"}


@pytest.mark.parametrize("seq", [0, 1, 5, 500])
def test_a_cursor_of_another_epoch_is_of_another_epoch_wherever_it_points(told: Conversation, seq: int) -> None:
    problem = assert_problem(told.page(told.session, f"zzz-{seq}"), 409, "cursor_reset")
    assert problem["reason"] == "epoch"


@pytest.mark.parametrize("reason", ["ahead", "epoch"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("route", ["session", "answer"])
def test_a_stream_is_reset_and_goes_on_from_the_oldest(told: Conversation, form: str, route: str, reason: str) -> None:
    target, events = (told.session, told.events) if route == "session" else (told.answer(1), told.of(1))
    found = told.read(form, target, told.events[-1]["id"], params={"after": wrong(told)[reason]})
    ready, reset = found[:2]
    assert (ready["type"], reset["type"], reset["reason"]) == ("ready", "reset", reason)
    assert ready["id"] == ready["cursor"] == reset["id"] == reset["cursor"]
    assert found[2:] == events


@pytest.mark.parametrize("reason", ["ahead", "epoch"])
def test_a_long_poll_is_refused_with_the_same_fields(told: Conversation, reason: str) -> None:
    for target in (told.session, told.answer(1)):
        problem = assert_problem(told.page(target, wrong(told)[reason]), 409, "cursor_reset")
        assert problem["reason"] == reason
        assert told.page(told.session, problem["cursor"]).json()["events"] == told.events


@pytest.mark.parametrize("reason", ["ahead", "epoch"])
def test_a_websocket_is_reset_and_goes_on_from_the_oldest(told: Conversation, reason: str) -> None:
    frames = told.socket(wrong(told)[reason])
    ready, reset = next(frames), next(frames)
    assert (ready["type"], reset["type"], reset["reason"]) == ("ready", "reset", reason)
    assert [next(frames) for _ in told.events] == told.events


@pytest.mark.parametrize("reason", ["ahead", "epoch"])
def test_text_has_no_word_for_a_reset_and_is_refused(told: Conversation, reason: str) -> None:
    asked = {"format": "text", "after": wrong(told)[reason]}
    assert assert_problem(told.caller.http.get(told.answer(1), params=asked), 409, "cursor_reset")["reason"] == reason


@pytest.mark.parametrize("form", FORMS)
def test_what_is_kept_no_longer_is_a_reset_too(shortened: tuple[Conversation, str], form: str) -> None:
    told, gone = shortened
    found = told.read(form, told.session, told.events[-1]["id"], params={"after": gone})
    assert (found[1]["type"], found[1]["reason"]) == ("reset", "expired")
    assert found[2:] == told.events
    problem = assert_problem(told.page(told.session, gone), 409, "cursor_reset")
    assert (problem["reason"], problem["cursor"]) == ("expired", found[1]["cursor"])
    assert next(event for event in told.socket(gone) if event["type"] == "reset")["reason"] == "expired"


def test_the_text_of_an_answer_outlives_its_events(shortened: tuple[Conversation, str]) -> None:
    told, _ = shortened
    messages = told.caller.http.get("/api/sessions/cursors/messages").json()["messages"]
    for message in (messages[1], messages[3]):
        read = told.caller.http.get(f"/api/messages/{message['id']}/events", params={"format": "text"})
        assert (read.status_code, read.text) == (200, message["content"])
        assert read.headers["content-type"] == "text/plain; charset=utf-8"
    again = told.caller.send("cursors", "first answer", params={"format": "text"}, headers={"Idempotency-Key": "first"})
    assert (again.status_code, again.text) == (200, messages[1]["content"])


def test_a_part_of_a_text_is_not_made_up_for_with_all_of_it(shortened: tuple[Conversation, str]) -> None:
    told, gone = shortened
    [_, first, *_] = told.caller.http.get("/api/sessions/cursors/messages").json()["messages"]
    read = told.caller.http.get(f"/api/messages/{first['id']}/events", params={"format": "text", "after": gone})
    assert assert_problem(read, 409, "cursor_reset")["reason"] == "expired"


@pytest.mark.parametrize("form", FORMS)
def test_zero_is_everything_that_is_kept(shortened: tuple[Conversation, str], form: str) -> None:
    told, _ = shortened
    found = told.read(form, told.session, told.events[-1]["id"], params={"after": "0"})
    assert found[0]["type"] == "ready"
    assert found[1:] == told.events
    assert not told.events[0]["id"].endswith("-1")


@pytest.mark.parametrize("form", FORMS)
def test_zero_is_everything(told: Conversation, form: str) -> None:
    last = told.events[-1]["id"]
    assert told.read(form, told.session, last, params={"after": "0"})[1:] == told.events
    assert told.read(form, told.answer(1), last, params={"after": "0"})[1:] == told.of(1)
    assert told.page(told.session, "0").json()["events"] == told.events
    assert told.page(told.answer(0), "0").json()["events"] == told.of(0)
    assert told.events[0]["id"].endswith("-1")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", FORMS)
def test_every_event_is_a_place_to_go_on_from(told: Conversation, form: str, name: str) -> None:
    last = told.events[-1]["id"]
    for place, event in enumerate(told.events[:-1], 1):
        assert told.read(form, told.session, last, params={name: event["id"]})[1:] == told.events[place:]
        assert told.page(told.session, event["id"]).json()["events"] == told.events[place:]


@pytest.mark.parametrize("form", FORMS)
def test_the_header_goes_before_the_query(told: Conversation, form: str) -> None:
    headers = {"Last-Event-ID": told.events[4]["id"]}
    for name in NAMES:
        for other in ("0", "nonsense", told.events[0]["id"]):
            how = {"headers": headers, "params": {name: other}}
            assert told.read(form, told.session, told.events[-1]["id"], **how)[1:] == told.events[5:]


@pytest.mark.parametrize("form", FORMS)
def test_a_message_without_a_cursor_begins_at_its_first_event(told: Conversation, form: str) -> None:
    assert told.read(form, told.answer(0), told.of(0)[-1]["id"])[1:] == told.of(0)


@pytest.mark.parametrize("form", FORMS)
def test_a_message_from_a_place_before_it_begins_at_its_first_event(told: Conversation, form: str) -> None:
    found = told.read(form, told.answer(1), told.events[-1]["id"], params={"after": told.events[2]["id"]})
    assert found[1:] == told.of(1)


def test_a_session_without_a_cursor_begins_at_the_tail(caller: Caller, session_id: str) -> None:
    caller.answer(session_id, "before")
    tail = caller.log(session_id)[-1]["id"]
    with caller.http.stream("GET", f"/api/sessions/{session_id}/events?format=ndjson") as response:
        lines = filter(None, response.iter_lines())  # without heartbeats
        ready = json.loads(next(lines))
        caller.answer(session_id, "after")
        assert json.loads(next(lines))["message"]["content"] == "after"
    assert (ready["type"], ready["id"], ready["cursor"], ready["tail"]) == ("ready", tail, tail, tail)


def test_a_long_poll_without_a_cursor_tells_where_the_tail_is(told: Conversation) -> None:
    page = told.caller.http.get(told.session, params={"format": "json", "wait": 0}).json()
    assert page == {"events": [], "cursor": told.events[-1]["id"], "done": False}


@pytest.mark.parametrize("form", [*FORMS, "text"])
def test_an_answer_read_to_its_end_is_no_content(told: Conversation, form: str) -> None:
    for cursor in (told.of(0)[-1]["id"], told.events[-1]["id"]):
        by_query = told.caller.http.get(told.answer(0), params={"after": cursor, "format": form})
        by_header = told.caller.http.get(told.answer(0), params={"format": form}, headers={"Last-Event-ID": cursor})
        for response in (by_query, by_header):
            assert (response.status_code, response.content) == (204, b"")


def test_a_long_poll_of_an_answer_read_to_its_end_is_done(told: Conversation) -> None:
    last = told.of(0)[-1]["id"]
    assert told.page(told.answer(0), last).json() == {"events": [], "cursor": last, "done": True}


def test_a_session_read_to_its_end_goes_on(told: Conversation) -> None:
    page = told.page(told.session, told.events[-1]["id"])
    assert page.json() == {"events": [], "cursor": told.events[-1]["id"], "done": False}


def test_ready_carries_the_cursor_it_was_asked_with(told: Conversation) -> None:
    cursor = told.events[3]["id"]
    ready = told.read("sse", told.session, told.events[-1]["id"], params={"after": cursor})[0]
    assert (ready["id"], ready["cursor"], ready["tail"]) == (cursor, cursor, told.events[-1]["id"])
