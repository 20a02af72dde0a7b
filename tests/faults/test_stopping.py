"""A server that is asked to stop: what it tells whom, and how long it takes."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.faults.process import RestlessServer
from tests.faults.storage import locked
from tests.faults.wire import Stream, streams
from tests.serving import free_port

GRACE = 2.0
MARGIN = 2.0
SOON = 1.0
SSE, NDJSON, TEXT = "text/event-stream", "application/x-ndjson", "text/plain"
WORDS = 50  # of an answer that takes a second


@pytest.fixture
def stopping(tmp_path: Path) -> Iterator[RestlessServer]:
    """A server of its own for each test, with the session `idle` in it."""
    settings = {"XIONIMUS_SHUTDOWN_GRACE": str(GRACE), "XIONIMUS_DEMO_DELAY": "0.02"}
    server = RestlessServer(tmp_path, settings, free_port())
    server.start()
    httpx.post(f"{server.url}/api/sessions", json={"id": "idle"})
    yield server
    server.kill()


def terminate(server: RestlessServer, number: int = signal.SIGTERM) -> float:
    assert server.process is not None
    server.process.send_signal(number)
    return monotonic()


async def ended_after(server: RestlessServer, began: float) -> float:
    """Seconds from `began` to the end of the process."""
    assert server.process is not None
    while server.process.poll() is None:
        assert monotonic() < began + 30, "it does not end"
        await asyncio.sleep(0.02)
    return monotonic() - began


class Person:
    def __init__(self, http: httpx.AsyncClient, session_id: str) -> None:
        self.http = http
        self.session_id = session_id
        self.events = f"/api/sessions/{session_id}/events"

    async def ask(self, content: str = "Go on and on.", model: str = "long") -> str:
        """The address of the answer's events."""
        body = {"content": content, "model": model, "on_busy": "enqueue"}
        reply = await self.http.post(f"/api/sessions/{self.session_id}/messages", json=body)
        address: str = reply.json()["stream_url"]
        return address

    async def status(self, address: str) -> str:
        status: str = (await self.http.get(address.removesuffix("/events"))).json()["status"]
        return status


def client(server: RestlessServer) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.url, timeout=15)


def events_in(stream: Stream) -> list[dict[str, Any]]:
    """Of NDJSON, as it came in chunks."""
    lines = stream.body.partition(b"\r\n\r\n")[2].splitlines()
    return [json.loads(line) for line in lines if line.startswith(b"{")]


def test_an_answer_that_is_nearly_done_is_finished(stopping: RestlessServer, session_id: str) -> None:
    async def case() -> None:
        async with client(stopping) as http:
            person = Person(http, session_id)
            content = "word " * WORDS
            address = await person.ask(content, "echo")
            async with streams(stopping.port, [(address, NDJSON)]) as [stream]:
                await stream.read_until('"chunk"')
                began = terminate(stopping)
                await stream.read_to_end()
            took = await ended_after(stopping, began)
        end = events_in(stream)[-1]
        assert (end["status"], end["full_content"]) == ("completed", content)
        assert stream.clean
        assert took < GRACE + SOON  # not the whole grace time and the margin: there was nothing left to wait for

    asyncio.run(case())


def test_an_answer_that_is_not_done_in_time_is_interrupted(stopping: RestlessServer, session_id: str) -> None:
    async def case() -> None:
        async with client(stopping) as http:
            person = Person(http, session_id)
            address, waiting = await person.ask(), await person.ask()
            requests = [(address, NDJSON), (person.events, NDJSON), (address, TEXT)]
            async with streams(stopping.port, requests) as opened:
                of_answer, of_session, text = opened
                await asyncio.gather(of_answer.read_until('"chunk"'), of_session.read_until('"chunk"'))
                began = terminate(stopping)
                await asyncio.gather(*(stream.read_to_end() for stream in opened))
            took = await ended_after(stopping, began)
        end = events_in(of_answer)[-1]
        assert (end["type"], end["status"], end["problem"]["code"]) == ("error", "interrupted", "interrupted")
        assert end["full_content"]
        told = [event["message_id"] for event in events_in(of_session) if event["type"] == "error"]
        assert sorted(told) == sorted(each.split("/")[-2] for each in (address, waiting))
        assert (of_answer.clean, of_session.clean, text.clean) == (True, False, False)
        assert GRACE <= took < GRACE + MARGIN
        stopping.start()
        async with client(stopping) as http:
            statuses = [await Person(http, session_id).status(each) for each in (address, waiting)]
        assert statuses == ["interrupted", "interrupted"]
        assert "had been interrupted by the end of the last process" not in stopping.log

    asyncio.run(case())


def test_idle_streams_are_let_go_at_once(stopping: RestlessServer, session_id: str) -> None:
    async def case() -> None:
        async with client(stopping) as http:
            await Person(http, session_id).ask()
            poll = asyncio.create_task(http.get("/api/sessions/idle/events?format=json&wait=20"))
            async with streams(stopping.port, [("/api/sessions/idle/events", each) for each in (SSE, NDJSON)]) as idle:
                await asyncio.gather(*(stream.read_until("ready") for stream in idle))
                await asyncio.sleep(0.2)
                began = terminate(stopping)
                await asyncio.gather(*(stream.read_to_end() for stream in idle))
            page = (await poll).json()
            assert monotonic() - began < SOON
            assert [stream.clean for stream in idle] == [False, False]
            assert (page["events"], page["done"]) == ([], False)
            await ended_after(stopping, began)

    asyncio.run(case())


def test_new_questions_are_refused_and_reads_go_on(stopping: RestlessServer, session_id: str) -> None:
    async def case() -> None:
        async with client(stopping) as http, client(stopping) as newcomer:
            person = Person(http, session_id)
            address = await person.ask()
            began = terminate(stopping)
            await asyncio.sleep(GRACE / 4)
            for each in (http, newcomer):
                reply = await each.post("/api/sessions/other/messages", json={"content": "Hello?"})
                assert (reply.status_code, reply.json()["code"]) == (503, "draining")
                assert int(reply.headers["Retry-After"]) >= 1
                ready = await each.get("/readyz")
                assert (ready.status_code, ready.json()["code"]) == (503, "draining")
            assert await person.status(address) == "streaming"
            assert (await newcomer.get("/api/sessions/idle/messages")).status_code == 200
            assert monotonic() - began < GRACE
            await ended_after(stopping, began)

    asyncio.run(case())


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_sockets_are_told_to_come_back(stopping: RestlessServer, session_id: str, busy: bool) -> None:
    """At once, if nothing is written in their session; else when that has ended, and they have seen it end."""

    async def case() -> None:
        async with client(stopping) as http:
            address = await Person(http, session_id).ask()
            session = session_id if busy else "idle"
            async with connect(f"ws://127.0.0.1:{stopping.port}/ws/chat/{session}", proxy=None) as socket:
                await socket.recv()
                began = terminate(stopping)
                if not busy:
                    frames, code = await frames_to_end(socket)
                    assert monotonic() - began < SOON
                else:
                    await asyncio.sleep(GRACE / 4)
                    await socket.send(json.dumps({"type": "chat", "content": "Hello?"}))
                    frames, code = await frames_to_end(socket)
                    refused = [each for each in frames if each["type"] == "error" and "message_id" not in each]
                    assert [each["problem"]["code"] for each in refused] == ["draining"]
                    ends = [each for each in frames if each["type"] == "error" and "message_id" in each]
                    assert [each["message_id"] for each in ends] == [address.split("/")[-2]]
            took = await ended_after(stopping, began)
        assert code == 4001
        assert took < GRACE + MARGIN

    asyncio.run(case())


async def frames_to_end(socket: Any) -> tuple[list[dict[str, Any]], int | None]:
    frames = []
    try:
        while True:
            frames.append(json.loads(await socket.recv()))
    except ConnectionClosed as closed:
        return frames, closed.rcvd.code if closed.rcvd else None


@pytest.mark.timeout(120)
def test_hundreds_of_streams_take_no_longer(stopping: RestlessServer, session_id: str) -> None:
    """Of every kind, in idle and busy sessions; half of them do not read."""

    async def case() -> None:
        async with client(stopping) as http:
            person = Person(http, session_id)
            address = await person.ask()
            kinds = [(person.events, SSE), (person.events, NDJSON), (address, SSE), (address, TEXT)]
            kinds += [("/api/sessions/idle/events", accept) for accept in (SSE, NDJSON)]
            url = f"ws://127.0.0.1:{stopping.port}/ws/chat"
            sockets = [await connect(f"{url}/{name}", proxy=None) for name in (session_id, "idle") * 25]
            async with streams(stopping.port, islice(cycle(kinds), 400)) as opened:
                reading = opened[::2]
                await asyncio.sleep(0.5)
                began = terminate(stopping)
                ends = asyncio.gather(*(stream.read_to_end() for stream in reading))
                codes = asyncio.gather(*(frames_to_end(socket) for socket in sockets))
                took = await ended_after(stopping, began)
                await ends
            assert {code for _, code in await codes} == {4001}
        assert took < GRACE + MARGIN
        assert all(stream.body for stream in reading)

    asyncio.run(case())


@pytest.mark.parametrize(
    "numbers",
    [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)],
    ids=lambda numbers: "-".join(number.name for number in numbers),
)
def test_a_second_signal_ends_it_at_once(
    stopping: RestlessServer, session_id: str, numbers: tuple[signal.Signals, signal.Signals]
) -> None:
    async def case() -> None:
        async with client(stopping) as http:
            address = await Person(http, session_id).ask()
            async with streams(stopping.port, [(address, SSE)]) as [stream]:
                await stream.read_until('"chunk"')
                terminate(stopping, numbers[0])
                await asyncio.sleep(0.3)
                took = await ended_after(stopping, terminate(stopping, numbers[1]))
        assert took < SOON
        stopping.start()
        async with client(stopping) as http:
            assert await Person(http, session_id).status(address) == "interrupted"

    asyncio.run(case())


def test_a_storage_that_is_held_by_another_does_not_hold_it_up(stopping: RestlessServer, session_id: str) -> None:
    async def case() -> None:
        async with client(stopping) as http:
            address = await Person(http, session_id).ask()
            async with streams(stopping.port, [(address, SSE)]) as [stream]:
                await stream.read_until('"chunk"')
                with locked(stopping.folder / "xionimus.db"):
                    took = await ended_after(stopping, terminate(stopping))
        assert took < GRACE + 2
        stopping.start()
        async with client(stopping) as http:
            assert await Person(http, session_id).status(address) == "interrupted"

    asyncio.run(case())
