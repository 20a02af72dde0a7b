"""Clients that know nothing of this server read an answer whole: over its end, and over the server's."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

import pytest

from tests.api.calling import Caller, Json, text_of
from tests.clients.programs import PATIENCE, Client, available
from tests.serving import ServerProcess, running

CLIENTS = {
    "httpx-sse": "",
    "websockets": "",
    "curl": "there is no curl here",
    "eventsource": "there is no Node here, or no npm",
    "fetch-event-source": "there is no Node here, or no npm",
}
TEXT = "Grüße 你好 🎈 " * 10


@dataclass
class Reading:
    """What one client has read so far."""

    events: list[Json] = field(default_factory=list)
    begun: Event = field(default_factory=Event)

    def take(self, event: Json) -> None:
        self.events.append(event)
        if event["type"] == "chunk":
            self.begun.set()

    @property
    def answer(self) -> list[Json]:
        return [event for event in self.events if "message_id" in event]

    def count(self, kind: str) -> int:
        return [event["type"] for event in self.events].count(kind)


@dataclass
class Read:
    """What each client has read of an answer, and what there is to read."""

    readings: dict[str, Reading]
    answer: list[Json]

    def by(self, name: str) -> Reading:
        if name not in self.readings:
            pytest.skip(CLIENTS[name])
        return self.readings[name]


@pytest.fixture(scope="module")
def clients(pytestconfig: pytest.Config) -> dict[str, Client]:
    assert pytestconfig.cache is not None
    return available(pytestconfig.cache.mkdir("clients"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running(tmp_path_factory.mktemp("mortal"), XIONIMUS_DEMO_DELAY="0.01") as server:
        yield server


def read(clients: dict[str, Client], server: ServerProcess, session_id: str, model: str, crash: bool) -> Read:
    readings = {name: Reading() for name in clients}
    with Caller(server) as caller, ThreadPoolExecutor(len(clients)) as pool:
        message = caller.ask(session_id, TEXT, model=model)
        events = f"/api/messages/{message['id']}/events"
        running = [
            pool.submit(client, server.url, f"/ws/chat/{session_id}" if name == "websockets" else events, reading.take)
            for (name, client), reading in zip(clients.items(), readings.values(), strict=True)
        ]
        if crash:
            assert all(reading.begun.wait(20) for reading in readings.values())
            server.kill()
            server.start()
        for each in running:
            each.result(PATIENCE)
    with Caller(server) as caller:
        return Read(readings, caller.events(message["id"]))


@pytest.fixture(scope="module")
def whole(clients: dict[str, Client], server: ServerProcess) -> Read:
    return read(clients, server, "whole", "echo", crash=False)


@pytest.fixture(scope="module")
def crashed(clients: dict[str, Client], server: ServerProcess) -> Read:
    """The server was killed in the middle, and started again at the same port."""
    return read(clients, server, "crashed", "long", crash=True)


@pytest.mark.parametrize("name", CLIENTS)
def test_it_reads_an_answer_whole_and_is_done(whole: Read, name: str) -> None:
    reading = whole.by(name)
    assert reading.answer == whole.answer
    assert text_of(reading.answer) == TEXT
    assert reading.count("ready") == 1


@pytest.mark.parametrize("name", CLIENTS)
def test_it_reads_on_when_the_server_was_killed(crashed: Read, name: str) -> None:
    reading = crashed.by(name)
    assert reading.answer == crashed.answer
    assert (reading.answer[-1]["type"], reading.answer[-1]["status"]) == ("error", "interrupted")
    assert text_of(reading.answer) == reading.answer[-1]["full_content"] != ""
    assert reading.count("ready") > 1
