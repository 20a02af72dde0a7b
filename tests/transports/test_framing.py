"""The bytes on the socket: headers, the first write, frames and heartbeats."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api.calling import Caller
from tests.serving import ServerProcess
from tests.transports.reading import events_in
from tests.transports.wire import BLOCK, SseEvent, Wire, sse_events

EVERY_STREAM = {
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
}
MEDIA_TYPES = {
    "sse": "text/event-stream",
    "ndjson": "application/x-ndjson",
    "text": "text/plain; charset=utf-8",
    "json": "application/json",
}
STREAMS = ["sse", "ndjson", "text"]


def opened(caller: Caller, target: str, form: str = "sse", **headers: str) -> Wire:
    return Wire(str(caller.http.base_url), f"{target}{'&' if '?' in target else '?'}format={form}", headers)


@pytest.mark.parametrize("form", MEDIA_TYPES)
def test_headers_of_a_stream(caller: Caller, session_id: str, form: str) -> None:
    message = caller.answer(session_id)
    with opened(caller, f"/api/messages/{message['id']}/events", form) as wire:
        status, headers = wire.head()
    assert (status, headers["content-type"]) == (200, MEDIA_TYPES[form])
    assert EVERY_STREAM.items() <= headers.items()
    assert "content-encoding" not in headers


@pytest.mark.parametrize("form", STREAMS)
def test_headers_of_an_answer_to_a_question(server: ServerProcess, session_id: str, form: str) -> None:
    body = b'{"content":"hello","model":"echo"}'
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Accept-Encoding": "gzip, br"}
    target = f"/api/sessions/{session_id}/messages?format={form}"
    with Wire(server.url, target, headers, method="POST", body=body) as wire:
        _, headers = wire.head()
    assert headers["content-type"] == MEDIA_TYPES[form]
    assert EVERY_STREAM.items() <= headers.items()
    assert headers["location"].startswith("/api/messages/msg_")


def test_the_first_write_is_ready_alone_and_under_512_bytes(caller: Caller, session_id: str) -> None:
    longest = session_id.ljust(64, "x")
    with caller.busy(longest), opened(caller, f"/api/sessions/{longest}/events?after=0") as wire:
        wire.head()
        first, second = wire.chunk(), wire.chunk()
    [ready] = sse_events(first)
    assert (ready.event, ready.retry) == ("ready", 1000)
    assert len(json.loads(ready.data)["active"]) == 1
    assert len(first) < 512
    assert sse_events(second)[0].event == "posted"


def test_the_first_bytes_come_at_once_though_nothing_happens(caller: Caller, session_id: str) -> None:
    caller.answer(session_id)
    begun = time.monotonic()
    with opened(caller, f"/api/sessions/{session_id}/events") as wire:
        wire.head()
        assert sse_events(wire.chunk())[0].event == "ready"
    assert time.monotonic() - begun < 2


def test_an_sse_event_is_its_type_its_id_and_one_line_of_ascii(caller: Caller, session_id: str) -> None:
    message = caller.answer(session_id, "Grüße\r\n\u2028\ufeff 🎈 \\ \x1b")
    with opened(caller, f"/api/messages/{message['id']}/events") as wire:
        wire.head()
        body, _ = wire.rest()
    assert body.isascii()
    assert b"\r" not in body
    assert b"".join(block[0] for block in BLOCK.finditer(body)) == body
    for event in sse_events(body):
        told = json.loads(event.data)
        assert (told["type"], told["id"]) == (event.event, event.id)


def test_retry_is_in_the_block_of_ready_alone(caller: Caller, session_id: str) -> None:
    message = caller.answer(session_id)
    with opened(caller, f"/api/messages/{message['id']}/events") as wire:
        wire.head()
        events = sse_events(wire.rest()[0])
    assert [event.retry for event in events] == [1000, *[None] * (len(events) - 1)]


def test_an_ndjson_line_is_an_event(caller: Caller, session_id: str) -> None:
    message = caller.answer(session_id, "Grüße\n🎈")
    with opened(caller, f"/api/messages/{message['id']}/events", "ndjson") as wire:
        wire.head()
        body, _ = wire.rest()
    lines = body.split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line)["type"] for line in lines] == ["ready", "start", "chunk", "chunk", "complete"]
    assert len(body.split(b"\n", 1)[0]) < 512


def test_events_are_sent_as_they_come(caller: Caller, session_id: str) -> None:
    caller.http.post("/api/sessions", json={"id": session_id})
    with opened(caller, f"/api/sessions/{session_id}/events") as wire:
        wire.head()
        wire.chunk()
        caller.ask(session_id, "word " * 60)
        writes: list[list[SseEvent]] = []
        while not writes or writes[-1][-1].event != "complete":
            writes += [events] if (events := sse_events(wire.chunk())) else []
    assert len(writes) >= 5


# Heartbeats.


def heartbeats(caller: Caller, session_id: str, form: str = "sse", query: str = "") -> list[bytes]:
    caller.http.post("/api/sessions", json={"id": session_id})
    with opened(caller, f"/api/sessions/{session_id}/events?after=0{query}", form) as wire:
        wire.head()
        wire.chunk()
        return [wire.chunk() for _ in range(3)]


def test_a_heartbeat_is_one_colon_without_a_blank_line(hasty: Caller, session_id: str) -> None:
    assert heartbeats(hasty, session_id) == [b":\n"] * 3


def test_a_heartbeat_can_be_an_event(hasty: Caller, session_id: str) -> None:
    for beat in heartbeats(hasty, session_id, query="&heartbeat=event"):
        assert re.fullmatch(rb"event: ping\ndata: {.*}\n\n", beat)


def test_an_ndjson_heartbeat_is_an_empty_line(hasty: Caller, session_id: str) -> None:
    assert heartbeats(hasty, session_id, "ndjson") == [b"\n"] * 3


def test_an_event_follows_heartbeats_unharmed(hasty: Caller, session_id: str) -> None:
    hasty.http.post("/api/sessions", json={"id": session_id})
    with opened(hasty, f"/api/sessions/{session_id}/events") as wire:
        wire.head()
        wire.chunk()
        assert wire.chunk() == b":\n"
        hasty.http.patch(f"/api/sessions/{session_id}", json={"title": "New"})
        while not (events := sse_events(wire.chunk())):
            pass  # another heartbeat
    assert json.loads(events[0].data)["title"] == "New"


def test_heartbeats_come_too_while_only_others_are_written_about(hasty: Caller, session_id: str) -> None:
    first = hasty.ask(session_id, model="long")
    waiting = hasty.ask(session_id, on_busy="enqueue")
    with opened(hasty, f"/api/messages/{waiting['id']}/events") as wire:
        wire.head()
        wire.chunk()
        beats = [wire.chunk(), wire.chunk()]
    hasty.cancel(first["id"])
    assert beats == [b":\n"] * 2


def test_ready_says_how_often_the_heart_beats(hasty: Caller, session_id: str) -> None:
    message = hasty.answer(session_id)
    with opened(hasty, f"/api/messages/{message['id']}/events") as wire:
        wire.head()
        assert json.loads(sse_events(wire.chunk())[0].data)["heartbeat"] == 0.3


# Long-poll.


def test_a_long_poll_waits_for_what_comes(caller: Caller, session_id: str) -> None:
    caller.answer(session_id)
    tail = caller.log(session_id)[-1]["id"]
    with opened(caller, f"/api/sessions/{session_id}/events?after={tail}&wait=20", "json") as wire:
        caller.ask(session_id, "next")
        _, headers = wire.head()
        page = json.loads(wire.body(int(headers["content-length"])))
    assert page["events"][0]["message"]["content"] == "next"
    assert (page["cursor"], page["done"]) == (page["events"][-1]["id"], False)


def test_a_long_poll_waits_no_longer_than_it_was_told(caller: Caller, session_id: str) -> None:
    caller.answer(session_id)
    begun = time.monotonic()
    page = caller.http.get(f"/api/sessions/{session_id}/events?format=json&wait=0.3").json()
    assert page["events"] == []
    assert 0.3 <= time.monotonic() - begun < 5


def test_a_long_poll_brings_500_events_at_the_most(caller: Caller, session_id: str) -> None:
    path = f"/api/sessions/{session_id}"
    caller.http.post("/api/sessions", json={"id": session_id})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: caller.http.patch(path, json={"title": str(number)}), range(501)))
    first = caller.http.get(f"{path}/events?format=json&after=0").json()
    rest = caller.http.get(f"{path}/events?format=json&after={first['cursor']}").json()
    assert (len(first["events"]), len(rest["events"])) == (500, 1)
    assert {event["title"] for event in first["events"] + rest["events"]} == set(map(str, range(501)))


def test_a_long_poll_brings_256_kib_at_the_most_but_always_one_event(caller: Caller, session_id: str) -> None:
    for size in (100_000, 100_000, 100_000, 400_000):
        caller.answer(session_id, "x" * size, model="demo", max_tokens=1)
    sizes, after = [], "0"
    while True:
        page = caller.http.get(f"/api/sessions/{session_id}/events?format=json&wait=0&after={after}")
        if not page.json()["events"]:
            break
        sizes.append([len(event) for event in events_in(page.text)])
        after = page.json()["cursor"]
    assert all(sum(page) <= 256 * 1024 or len(page) == 1 for page in sizes)
    assert max(map(sum, sizes)) > 400_000
    assert len(sizes) >= 3
