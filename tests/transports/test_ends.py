"""A clean end means that everything was sent. Whatever else ends a stream breaks it off."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from typing import Any, cast

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.api.calling import Caller, Json, assert_problem, text_of
from tests.serving import ServerProcess, running
from tests.transports.wire import TO_WEBSOCKET, Wire, ndjson_events, sse_events

STREAMS = ["sse", "ndjson"]


def opened(caller: Caller, target: str, form: str, receive_buffer: int | None = None) -> Wire:
    separator = "&" if "?" in target else "?"
    wire = Wire(str(caller.http.base_url), f"{target}{separator}format={form}", receive_buffer=receive_buffer)
    assert wire.head()[0] == 200
    return wire


def socket_to(
    caller: Caller, session_id: str, after: str | None = None, **more: Any
) -> AbstractContextManager[ClientConnection]:
    url = str(caller.http.base_url).replace("http", "ws", 1)
    target = f"/ws/chat/{session_id}{f'?after={after}' if after else ''}"
    return cast(AbstractContextManager[ClientConnection], connect(url + target, proxy=None, **more))


def frames_to_the_end(socket: ClientConnection) -> tuple[list[Json], int | None]:
    """What comes, and the code that the server closes with."""
    found: list[Json] = []
    with suppress(ConnectionClosed):
        while True:
            found.append(json.loads(socket.recv(timeout=20)))
    return found, socket.close_code


def parsed(form: str, body: bytes) -> list[Json]:
    return ndjson_events(body) if form == "ndjson" else [json.loads(event.data) for event in sse_events(body)]


@pytest.mark.parametrize("form", STREAMS)
def test_an_answer_ends_cleanly_after_its_last_event(caller: Caller, session_id: str, form: str) -> None:
    message = caller.ask(session_id, "word " * 30)
    with opened(caller, f"/api/messages/{message['id']}/events", form) as wire:
        body, clean = wire.rest()
    assert clean
    assert parsed(form, body)[-1]["type"] == "complete"


def test_text_ends_cleanly_after_the_last_word(caller: Caller, session_id: str) -> None:
    message = caller.ask(session_id, "word " * 30)
    with opened(caller, f"/api/messages/{message['id']}/events", "text") as wire:
        assert wire.rest() == (b"word " * 30, True)


@pytest.mark.parametrize("form", STREAMS)
def test_a_failure_is_an_event_and_a_clean_end(hasty: Caller, session_id: str, form: str) -> None:
    message = hasty.ask(session_id, model="long")
    with opened(hasty, f"/api/messages/{message['id']}/events", form) as wire:
        body, clean = wire.rest()
    events = parsed(form, body)
    assert clean
    assert (events[-1]["type"], events[-1]["status"]) == ("error", "failed")
    assert events[-1]["problem"]["code"] == "provider_timeout"
    assert text_of(events) == events[-1]["full_content"]


@pytest.mark.parametrize("live", [True, False])
def test_a_failure_breaks_text_off_behind_its_last_word(hasty: Caller, session_id: str, live: bool) -> None:
    message = hasty.ask(session_id, "word " * 2_000)
    if not live:
        hasty.events(message["id"])
    with opened(hasty, f"/api/messages/{message['id']}/events", "text") as wire:
        body, clean = wire.rest()
    failed = hasty.message(message["id"])
    assert not clean
    assert failed["status"] == "failed"
    assert body.decode() == failed["content"] != ""


@pytest.mark.parametrize("transport", [*STREAMS, "text", "poll", "websocket"])
def test_leaving_without_a_word_is_nobodys_mistake(
    server: ServerProcess, caller: Caller, session_id: str, transport: str
) -> None:
    with caller.busy(session_id) as message:
        path = f"/api/messages/{message['id']}/events?format={'json' if transport == 'poll' else transport}"
        how = {} if transport != "websocket" else TO_WEBSOCKET
        for number in range(20):
            with Wire(server.url, f"/ws/chat/{session_id}?after=0" if how else path, how) as wire:
                if number % 4 < 3 and transport != "poll":
                    wire.head()
                if number % 2:
                    wire.reset_when_closed()
        wait_until(lambda: connections(caller)[transport] == 0)
    assert "Traceback" not in server.log, server.log[-3000:]


# Old age.


@pytest.fixture(scope="module")
def aging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with running(tmp_path_factory.mktemp("aging"), XIONIMUS_STREAM_MAX_AGE="0.8") as server, Caller(server) as caller:
        yield caller


@pytest.mark.parametrize("form", STREAMS)
def test_a_stream_grown_old_is_cut_and_goes_on_at_its_cursor(aging: Caller, session_id: str, form: str) -> None:
    message = aging.ask(session_id, "word " * 250)
    events: list[Json] = []
    pieces = 0
    while not events or events[-1]["type"] != "complete":
        after = f"?after={events[-1]['id']}" if events else ""
        with opened(aging, f"/api/messages/{message['id']}/events{after}", form) as wire:
            body, clean = wire.rest()
        events += parsed(form, body)[1:]
        pieces += 1
        assert clean == (events[-1]["type"] == "complete")
    assert pieces > 1
    assert text_of(events) == "word " * 250


def test_an_idle_session_grown_old_is_cut(aging: Caller, session_id: str) -> None:
    aging.http.post("/api/sessions", json={"id": session_id})
    with opened(aging, f"/api/sessions/{session_id}/events", "sse") as wire:
        body, clean = wire.rest()
    assert not clean
    assert [event["type"] for event in parsed("sse", body)] == ["ready"]


def test_text_grown_old_is_cut(aging: Caller, session_id: str) -> None:
    message = aging.ask(session_id, model="long")
    with opened(aging, f"/api/messages/{message['id']}/events", "text") as wire:
        body, clean = wire.rest()
    assert not clean
    assert aging.cancel(message["id"])["content"].encode().startswith(body)


def test_a_websocket_grown_old_is_closed_with_4003(aging: Caller, session_id: str) -> None:
    with socket_to(aging, session_id) as socket:
        frames, code = frames_to_the_end(socket)
    assert ([frame["type"] for frame in frames], code) == (["ready"], 4003)


def test_a_long_poll_grown_old_is_answered(aging: Caller, session_id: str) -> None:
    aging.answer(session_id)
    tail = aging.log(session_id)[-1]["id"]
    page = aging.http.get(f"/api/sessions/{session_id}/events?format=json&wait=20&after={tail}")
    assert page.json() == {"events": [], "cursor": tail, "done": False}


# Readers that do not read.


@pytest.fixture(scope="module")
def voluminous(hasty: Caller) -> str:
    """A session whose log is far larger than what the buffers on the way can hold."""
    for _ in range(8):
        hasty.answer("voluminous", "x" * 900_000, model="demo", max_tokens=1)
    return "voluminous"


@pytest.mark.parametrize("form", STREAMS)
def test_who_does_not_read_is_cut(hasty: Caller, voluminous: str, form: str) -> None:
    with opened(hasty, f"/api/sessions/{voluminous}/events?after=0", form, receive_buffer=4096) as wire:
        assert wire.hung_up(10)


def test_what_was_cut_is_no_clean_end(hasty: Caller, voluminous: str) -> None:
    with opened(hasty, f"/api/sessions/{voluminous}/events?after=0", "ndjson", receive_buffer=4096) as wire:
        assert wire.hung_up(10)
        body, clean = wire.rest()
    assert not clean
    assert parsed("ndjson", body)[0]["type"] == "ready"


def test_a_websocket_that_does_not_read_is_cut(hasty: Caller, voluminous: str) -> None:
    target = f"/ws/chat/{voluminous}?after=0"
    with Wire(str(hasty.http.base_url), target, TO_WEBSOCKET, receive_buffer=4096) as wire:
        assert wire.head()[0] == 101
        assert wire.hung_up(10)


def test_a_websocket_too_slow_learns_it_if_it_reads_again(hasty: Caller, voluminous: str) -> None:
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.connect((hasty.http.base_url.host, hasty.http.base_url.port))
    with socket_to(hasty, voluminous, after="0", sock=plain, max_size=None, max_queue=1) as slow:
        wait_until(lambda: connections(hasty)["websocket"] == 1)
        wait_until(lambda: connections(hasty)["websocket"] == 0)
        frames, code = frames_to_the_end(slow)
    assert (frames[0]["type"], code) == ("ready", 4002)


def test_who_does_not_read_delays_nobody(hasty: Caller, voluminous: str) -> None:
    path = f"/api/sessions/{voluminous}/events?after=0"
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(opened(hasty, path, "sse", receive_buffer=4096))
        assert connections(hasty)["sse"] == 5
        answer = hasty.answer(voluminous, "quick", parent_id="root")
    assert answer["content"] == "quick"
    assert answer["timings"]["total_ms"] < 900


# The end of the server.


GRACE = 1.5


@dataclass
class Stopped:
    """What everybody found when a server was told to stop, and how long that took."""

    streams: dict[tuple[str, str], tuple[bytes, bool]]
    sockets: dict[str, tuple[list[Json], int | None]]
    page: Json
    refused: httpx.Response
    ready: httpx.Response
    alive: httpx.Response
    took: float

    def read(self, name: str, form: str) -> tuple[list[Json], bool]:
        body, clean = self.streams[name, form]
        return parsed(form, body), clean


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stopped]:
    folder = tmp_path_factory.mktemp("stopped")
    with running(folder, XIONIMUS_SHUTDOWN_GRACE=str(GRACE)) as server, Caller(server) as caller, ExitStack() as stack:
        yield stop(server, caller, stack)


def stop(server: ServerProcess, caller: Caller, stack: ExitStack) -> Stopped:
    caller.answer("idle")
    tail = caller.log("idle")[-1]["id"]
    long = caller.ask("long", model="long")
    quick = caller.ask("quick", "word " * 30)
    paths = {
        "long": f"/api/messages/{long['id']}/events",
        "quick": f"/api/messages/{quick['id']}/events",
        "session": "/api/sessions/long/events",
        "idle": "/api/sessions/idle/events",
    }
    wires = {
        (name, form): stack.enter_context(opened(caller, path, form))
        for form in STREAMS
        for name, path in paths.items()
    }
    wires["long", "text"] = stack.enter_context(opened(caller, paths["long"], "text"))
    sockets = {name: stack.enter_context(socket_to(caller, name)) for name in ("long", "idle")}
    poll = stack.enter_context(Wire(server.url, f"{paths['idle']}?format=json&wait=20&after={tail}"))
    wait_until(lambda: connections(caller)["poll"] == 1)
    begun = time.monotonic()
    os.kill(server.pid, signal.SIGTERM)
    wait_until(lambda: status(caller)["status"] == "draining")
    sockets["long"].send(json.dumps({"type": "chat", "content": "more"}))
    refused, ready, alive = caller.send("other"), caller.http.get("/readyz"), caller.http.get("/healthz")
    page = json.loads(poll.body(int(poll.head()[1]["content-length"])))
    streams = {key: wire.rest() for key, wire in wires.items()}
    closed = {name: frames_to_the_end(socket) for name, socket in sockets.items()}
    assert server.process is not None
    server.process.wait(20)
    return Stopped(streams, closed, page, refused, ready, alive, time.monotonic() - begun)


@pytest.mark.parametrize("form", STREAMS)
def test_on_sigterm_idle_streams_are_cut(stopped: Stopped, form: str) -> None:
    events, clean = stopped.read("idle", form)
    assert ([event["type"] for event in events], clean) == (["ready"], False)


@pytest.mark.parametrize("form", STREAMS)
def test_on_sigterm_an_answer_too_long_is_interrupted(stopped: Stopped, form: str) -> None:
    events, clean = stopped.read("long", form)
    assert (events[-1]["type"], events[-1]["status"], clean) == ("error", "interrupted", True)
    assert text_of(events) == events[-1]["full_content"]


@pytest.mark.parametrize("form", STREAMS)
def test_on_sigterm_an_answer_that_ends_in_the_grace_time_is_whole(stopped: Stopped, form: str) -> None:
    events, clean = stopped.read("quick", form)
    assert (events[-1]["full_content"], clean) == ("word " * 30, True)


@pytest.mark.parametrize("form", STREAMS)
def test_on_sigterm_a_session_sees_its_answer_end_before_it_is_cut(stopped: Stopped, form: str) -> None:
    events, clean = stopped.read("session", form)
    assert (events[-1], clean) == (stopped.read("long", form)[0][-1], False)


def test_on_sigterm_text_is_cut_behind_its_last_word(stopped: Stopped) -> None:
    body, clean = stopped.streams["long", "text"]
    assert (body.decode(), clean) == (stopped.read("long", "sse")[0][-1]["full_content"], False)


def test_on_sigterm_websockets_are_closed_with_4001(stopped: Stopped) -> None:
    of_long, long_code = stopped.sockets["long"]
    of_idle, idle_code = stopped.sockets["idle"]
    assert (of_long[-1], long_code) == (stopped.read("long", "sse")[0][-1], 4001)
    assert ([frame["type"] for frame in of_idle], idle_code) == (["ready"], 4001)


def test_on_sigterm_a_long_poll_is_answered(stopped: Stopped) -> None:
    assert (stopped.page["events"], stopped.page["done"]) == ([], False)


def test_while_it_stops_it_takes_no_questions(stopped: Stopped) -> None:
    assert_problem(stopped.refused, 503, "draining")
    assert stopped.refused.headers["retry-after"] == "1"
    of_long, _ = stopped.sockets["long"]
    assert [frame["problem"]["code"] for frame in of_long if frame["type"] == "error"] == ["draining", "interrupted"]


def test_while_it_stops_it_is_alive_but_not_ready(stopped: Stopped) -> None:
    assert_problem(stopped.ready, 503, "draining")
    assert stopped.alive.status_code == 200


def test_it_is_gone_within_the_grace_time_and_two_seconds(stopped: Stopped) -> None:
    assert GRACE <= stopped.took < GRACE + 2


def status(caller: Caller) -> Json:
    told: Json = caller.http.get("/api/stream/status").json()
    return told


def connections(caller: Caller) -> dict[str, int]:
    counts: dict[str, int] = status(caller)["connections"]
    return counts


def wait_until(reached: Callable[[], bool]) -> None:
    for _ in range(200):
        if reached():
            return
        time.sleep(0.05)
    raise AssertionError("this did not come about within 10 s")
