"""Clients that take nothing, clients that come and go: what they cost, and whom they delay."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import cycle, islice
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.faults.form import LONG
from tests.faults.process import RestlessServer, descriptors, memory
from tests.faults.wire import streams
from tests.serving import free_port

MEGABYTE = 1 << 20
READERS = 200
SEND_TIMEOUT = 5.0
DELAY = 0.01
WORDS = 150
SLACK = 2  # descriptors, or tasks: whoever asks has a connection, too
ROOT = Path(__file__).parent.parent.parent
COUNTING_TASKS = """
import asyncio, os, signal

def count(*_):
    with open("tasks.new", "w") as file:
        file.write(str(len(asyncio.all_tasks())))
    os.rename("tasks.new", "tasks")

signal.signal(signal.SIGUSR1, count)
"""
"""Imported by Python at its start: tells at a signal how many tasks there are."""
SSE, NDJSON = "text/event-stream", "application/x-ndjson"


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestlessServer]:
    """A server that gives readers a few seconds to take something, and has a session with a log of megabytes."""
    server = RestlessServer(tmp_path_factory.mktemp("patient"), {"XIONIMUS_DEMO_DELAY": "0"}, free_port())
    server.start()
    with httpx.Client(base_url=server.url, timeout=60) as http:
        for _ in range(12):
            ask(http, "big", {"content": "x" * 300_000, "model": "echo", "max_tokens": 40})
        # In JSON, this character takes twelve: more than the system keeps for a client that does not take it.
        ask(http, "huge", {"content": "😀" * 250_000, "model": "echo"})
    server.stop()
    (server.folder / "sitecustomize.py").write_text(COUNTING_TASKS)
    server.environment = {
        "XIONIMUS_STREAM_SEND_TIMEOUT": str(SEND_TIMEOUT),
        "XIONIMUS_DEMO_DELAY": str(DELAY),
        "PYTHONPATH": f"{server.folder}:{ROOT}",
    }
    server.start()
    yield server
    server.kill()


def ask(http: httpx.Client, session_id: str, body: dict[str, Any]) -> dict[str, Any]:
    """The finished message."""
    reply = http.post(f"/api/sessions/{session_id}/messages", json=body, params={"wait": "60"})
    message: dict[str, Any] = reply.json()
    return message


def connections(server: RestlessServer) -> int:
    count: int = httpx.get(f"{server.url}/api/stream/status").json()["total_connections"]
    return count


def tasks(server: RestlessServer) -> int:
    answer = server.folder / "tasks"
    answer.unlink(missing_ok=True)
    assert server.process is not None
    server.process.send_signal(signal.SIGUSR1)
    deadline = monotonic() + 10
    while not answer.exists():
        assert monotonic() < deadline, "the server does not count"
        sleep(0.02)
    return int(answer.read_text())


def settles(server: RestlessServer, files: int, within: float) -> bool:
    """Whether all connections, and what they held open, are gone in time."""
    deadline = monotonic() + within
    while connections(server) or descriptors(server.pid) > files + SLACK:
        if monotonic() > deadline:
            return False
        sleep(0.1)
    return True


async def time_of_an_answer(http: httpx.AsyncClient, session_id: str) -> float:
    """Seconds for one answer of WORDS words, DELAY apart, read as it comes."""
    body = {"content": "word " * WORDS, "model": "echo", "on_busy": "enqueue"}
    began = monotonic()
    reply = await http.post(f"/api/sessions/{session_id}/messages?format=ndjson", json=body)
    assert json.loads(reply.text.splitlines()[-1])["status"] == "completed"
    return monotonic() - began


@pytest.mark.timeout(180)
def test_readers_that_never_read(patient: RestlessServer, session_id: str) -> None:
    """Some are live, some far behind; some read a session, some an answer; some over a WebSocket."""

    async def case() -> None:
        async with httpx.AsyncClient(base_url=patient.url, timeout=60) as http, AsyncExitStack() as held:
            alone = min([await time_of_an_answer(http, session_id) for _ in range(3)])
            before = memory(patient.pid)
            live, behind = f"/api/sessions/{session_id}/events", "/api/sessions/big/events?after=0"
            kinds = [(live, SSE), (behind, SSE), (behind, NDJSON), (f"{live}?after=0", NDJSON)]
            await held.enter_async_context(streams(patient.port, islice(cycle(kinds), READERS - 40), 4096))
            for _ in range(40):
                url = f"ws://127.0.0.1:{patient.port}/ws/chat/big?after=0"
                await held.enter_async_context(connect(url, proxy=None, max_queue=1, close_timeout=0))
            # Live readers get more than the system takes for them; those behind fill what it has for them.
            big = {"content": "z" * 300_000, "model": "echo", "max_tokens": 10}
            for _ in range(3):
                await http.post(f"/api/sessions/{session_id}/messages?wait=30", json=big)
            assert connections(patient) >= READERS / 2
            beside = min([await time_of_an_answer(http, session_id) for _ in range(2)])
            cost = memory(patient.pid) - before
        assert cost < 50 * MEGABYTE, f"{cost / MEGABYTE:.1f} MB"
        assert beside < 2 * alone + 0.5, f"{beside:.2f} s beside them, {alone:.2f} s alone"

    files = descriptors(patient.pid)
    asyncio.run(case())
    assert settles(patient, files, within=30)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("after_its_end", [False, True], ids=["amid", "after-the-last-event"])
def test_who_takes_nothing_is_let_go(patient: RestlessServer, after_its_end: bool) -> None:
    """Though the client stays: nothing is left of the connection, not even what it should have taken."""
    [*_, message] = httpx.get(f"{patient.url}/api/sessions/huge/messages").json()["messages"]
    of_answer, of_session = f"/api/messages/{message['id']}/events", "/api/sessions/big/events?after=0"

    async def case() -> None:
        path = of_answer if after_its_end else of_session
        async with streams(patient.port, [(path, SSE), (path, NDJSON)] * 5, 4096):
            await asyncio.sleep(1)
            assert await asyncio.to_thread(settles, patient, files, 8 * SEND_TIMEOUT)

    files = descriptors(patient.pid)
    asyncio.run(case())


@pytest.mark.timeout(600)
def test_coming_and_going_leaves_nothing(patient: RestlessServer, session_id: str) -> None:
    cycles, answers = (1_000, 2_000) if LONG else (300, 400)

    async def come_and_go(count: int) -> None:
        kinds = [(f"/api/sessions/{session_id}/events?wait=1", accept) for accept in (SSE, NDJSON, "application/json")]
        for start in range(0, count, 50):
            async with streams(patient.port, islice(cycle(kinds), start, start + 45)):
                for _ in range(5):
                    async with connect(f"ws://127.0.0.1:{patient.port}/ws/chat/{session_id}", proxy=None) as socket:
                        await socket.recv()

    async def answer(count: int) -> None:
        async with httpx.AsyncClient(base_url=patient.url, timeout=60) as http:
            for start in range(0, count, 40):
                await asyncio.gather(
                    *(
                        http.post(
                            f"/api/sessions/{session_id}-{number % 40}/messages?format=ndjson",
                            json={"content": f"Say {number}.", "model": "echo", "on_busy": "enqueue"},
                        )
                        for number in range(start, start + 40)
                    )
                )

    asyncio.run(come_and_go(200))
    asyncio.run(answer(200))
    assert settles(patient, files=10_000, within=30)
    files, before, working = descriptors(patient.pid), memory(patient.pid), tasks(patient)
    asyncio.run(come_and_go(cycles))
    asyncio.run(answer(answers))
    assert settles(patient, files, within=30)
    assert httpx.get(f"{patient.url}/api/stream/status").json()["active_streams"] == 0
    assert memory(patient.pid) - before < 16 * MEGABYTE
    assert tasks(patient) <= working + SLACK


@pytest.mark.timeout(300)
def test_many_sessions_do_not_add_up(tmp_path: Path) -> None:
    """What is kept in memory of logs is bounded for all of them together."""
    server = RestlessServer(tmp_path, {"XIONIMUS_DEMO_DELAY": "0"}, free_port())
    server.start()
    count = 400 if LONG else 120
    try:
        with httpx.Client(base_url=server.url, timeout=60) as http:
            ask(http, "first", {"content": "Go on and on.", "model": "long"})
            before = memory(server.pid)
            for number in range(count):
                assert ask(http, f"s-{number}", {"content": "Go on and on.", "model": "long"})["status"] == "completed"
        assert memory(server.pid) - before < 100 * MEGABYTE
    finally:
        server.kill()
