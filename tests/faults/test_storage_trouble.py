"""The storage fails under a running server, and comes back."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from server.app import Application
from server.settings import Settings
from tests.faults.form import LONG
from tests.faults.process import RestlessServer
from tests.faults.provider import ProviderProcess
from tests.faults.script import Script
from tests.faults.storage import Quota, Tmpfs, locked, small_disk
from tests.serving import ServerProcess, free_port

GRACE = 1.0
BUSY = 5.0  # seconds that a writer waits for a lock
LOCKED = 10.0 if LONG else 6.0


@contextmanager
def full_disk(server: ServerProcess) -> Iterator[None]:
    disk = Tmpfs(server.folder)
    disk.fill(server.pid)
    yield
    disk.free(server.pid)


@contextmanager
def no_growth(server: ServerProcess) -> Iterator[None]:
    """Nothing can be written: a quota of nothing, or what a file system does that has become read-only."""
    disk = Quota(server.folder)
    disk.fill(server.pid)
    yield
    disk.free(server.pid)


@contextmanager
def lock_held(server: ServerProcess) -> Iterator[None]:
    with locked(database(server)):
        yield


@contextmanager
def moved(server: ServerProcess, suffix: str = "") -> Iterator[None]:
    here, there = Path(f"{database(server)}{suffix}"), server.folder / "moved-away"
    here.rename(there)
    yield
    there.rename(here)


@contextmanager
def wal_moved(server: ServerProcess) -> Iterator[None]:
    with moved(server, "-wal"):
        yield


TROUBLES = {trouble.__name__: trouble for trouble in (full_disk, no_growth, lock_held, moved, wal_moved)}


def database(server: ServerProcess) -> Path:
    return server.folder / "xionimus.db"


@pytest.fixture
def stored(provider: ProviderProcess, request: pytest.FixtureRequest) -> Iterator[RestlessServer]:
    """A server with a small disk of its own."""
    with small_disk(32) as disk:
        if not isinstance(disk, Tmpfs) and "full_disk" in request.node.name:
            pytest.skip("no right to mount a small file system here")
        settings = {**provider.environment, "XIONIMUS_SHUTDOWN_GRACE": str(GRACE)}
        server = RestlessServer(disk.folder, settings, free_port())
        server.start()
        yield server
        server.kill()


class Person:
    """Asks one server about one session."""

    def __init__(self, http: httpx.Client, session_id: str) -> None:
        self._http = http
        self._questions = f"/api/sessions/{session_id}/messages"
        self._events = f"/api/sessions/{session_id}/events"
        self._followers: list[Follower] = []

    def ask(self, script: Script, **parameters: str) -> httpx.Response:
        body = {"content": script.question, "on_busy": "enqueue"}
        return self._http.post(self._questions, json=body, params=parameters)

    def follow(self, accepted: Mapping[str, Any]) -> Follower:
        self._followers.append(Follower(str(self._http.base_url.join(accepted["stream_url"]))))
        return self._followers[-1]

    def leave(self) -> None:
        for follower in self._followers:
            follower.leave()

    def get(self, path: str) -> httpx.Response:
        return self._http.get(path)

    def history(self) -> httpx.Response:
        return self._http.get(self._questions)

    def log(self) -> list[str]:
        """The events' JSON, as it stands in the answer."""
        found: list[str] = []
        cursor = "0"
        while True:
            page = self._http.get(self._events, params={"format": "json", "after": cursor, "wait": "0"})
            assert page.status_code == 200, page.text
            events = page.json()["events"]
            if not events:
                return found
            found += [json.dumps(event, separators=(",", ":")) for event in events]
            cursor = page.json()["cursor"]

    def ready(self) -> bool:
        reply = self.get("/readyz")
        assert (reply.status_code == 200) or problem(reply) == (503, "storage_unavailable")
        return reply.status_code == 200

    def becomes_ready(self, within: float) -> bool:
        deadline = monotonic() + within
        while not self.ready():
            if monotonic() > deadline:
                return False
            sleep(0.05)
        return True


@pytest.fixture
def person(stored: RestlessServer, session_id: str) -> Iterator[Person]:
    with httpx.Client(base_url=stored.url, timeout=20) as http:
        person = Person(http, session_id)
        yield person
        person.leave()


class Follower(threading.Thread):
    """Reads one answer to its end, and comes back with its cursor when it is cut off, until it is told to leave."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.lines: list[str] = []
        self._url = url
        self._left = False
        self.start()

    def run(self) -> None:
        while not (self.ended or self._left):
            with suppress(httpx.TransportError):
                self._read()

    @property
    def ended(self) -> bool:
        return bool(self.lines) and json.loads(self.lines[-1])["type"] in ("complete", "error")

    def leave(self) -> None:
        """Has it stop at the next cut: a later test may have a proxy, or the port that was the server's."""
        self._left = True

    def wait_for(self, count: int, within: float = 10.0) -> None:
        deadline = monotonic() + within
        while len(self.lines) < count:
            assert monotonic() < deadline, f"{len(self.lines)} events after {within} s"
            sleep(0.01)

    def _read(self) -> None:
        headers = {"Last-Event-ID": json.loads(self.lines[-1])["id"]} if self.lines else {}
        with httpx.stream("GET", f"{self._url}?format=ndjson", headers=headers, timeout=30) as stream:
            for line in stream.iter_lines():
                if line and json.loads(line)["type"] != "ready":
                    self.lines.append(line)


def problem(reply: httpx.Response) -> tuple[int, str]:
    told: Mapping[str, Any] = reply.json()
    return reply.status_code, told["code"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", TROUBLES)
def test_storage_trouble(
    stored: RestlessServer, person: Person, provider: ProviderProcess, session_id: str, name: str
) -> None:
    trouble: AbstractContextManager[None] = TROUBLES[name](stored)
    under_way, refused, later = (Script(chunks=3_000, delay=0.01, seed=seed, tag=session_id) for seed in (1, 2, 3))
    first = person.ask(Script(tag=session_id), wait="20").json()
    assert first["status"] == "completed"
    accepted = person.ask(under_way).json()
    follower = person.follow(accepted)
    follower.wait_for(10)

    with trouble:
        began = monotonic()
        reply = person.ask(refused)
        assert problem(reply) == (503, "storage_unavailable")
        assert int(reply.headers["Retry-After"]) >= 1
        assert not person.ready()
        assert person.get("/healthz").status_code == 200
        assert [message["id"] for message in person.history().json()["messages"]][1] == first["id"]
        during = person.log()
        assert set(follower.lines) >= {line for line in during if accepted["message"]["id"] in line}
        assert provider.closes(under_way.question, within=BUSY + 1)
        sleep(max(0, LOCKED - (monotonic() - began)) if name == "lock_held" else 0)

    assert person.becomes_ready(within=8)
    follower.join(timeout=10)
    assert follower.ended
    after = person.log()
    assert set(follower.lines) <= set(after)
    assert after[: len(during)] == during
    check_failed_answer(follower.lines, under_way)
    asked = [message["content"] for message in person.history().json()["messages"]]
    assert refused.question not in asked
    assert not provider.requests(refused.question)
    assert person.ask(Script(seed=4, tag=session_id), wait="20").json()["status"] == "completed"

    going_on = person.ask(later).json()
    complete_log = person.log()
    stored.kill()
    stored.start()
    assert person.log()[: len(complete_log)] == complete_log
    assert person.get(f"/api/messages/{going_on['message']['id']}").json()["status"] == "interrupted"


def check_failed_answer(lines: list[str], script: Script) -> None:
    events = [json.loads(line) for line in lines]
    end = events[-1]
    assert (end["type"], end["status"], end["problem"]["code"]) == ("error", "failed", "storage_unavailable")
    text = "".join(event["content"] for event in events if event["type"] == "chunk")
    assert text == end["full_content"] == script.text[: len(text)]
    assert text


def test_a_lock_that_is_soon_let_go_only_delays(stored: RestlessServer, person: Person, session_id: str) -> None:
    script = Script(chunks=300, delay=0.01, tag=session_id)
    follower = person.follow(person.ask(script).json())
    follower.wait_for(5)
    with locked(database(stored)):
        sleep(2)
        seen = len(follower.lines)
        sleep(0.2)
        assert len(follower.lines) == seen  # nothing is shown that is not committed
    follower.join(timeout=20)
    assert json.loads(follower.lines[-1])["full_content"] == script.text
    assert json.loads(follower.lines[-1])["status"] == "completed"


def test_cancelling_while_the_storage_is_away_is_refused_and_works_later(
    stored: RestlessServer, person: Person, session_id: str
) -> None:
    accepted = person.ask(Script(chunks=3_000, delay=0.01, tag=session_id)).json()
    cancel = f"{stored.url}/api/messages/{accepted['message']['id']}/cancel"
    with moved(stored):
        assert problem(httpx.post(cancel, timeout=20)) == (503, "storage_unavailable")
    assert person.becomes_ready(within=8)
    assert httpx.post(cancel, timeout=20).json()["status"] in ("failed", "cancelled")


@pytest.mark.parametrize("name", ["no_growth", "moved"])
def test_stopping_without_storage_takes_no_longer(
    stored: RestlessServer, person: Person, session_id: str, name: str
) -> None:
    accepted = person.ask(Script(chunks=3_000, delay=0.01, tag=session_id)).json()
    with TROUBLES[name](stored):
        began = monotonic()
        stored.stop()
        assert monotonic() - began < GRACE + 2
    stored.start()
    message = person.get(f"/api/messages/{accepted['message']['id']}").json()
    assert (message["status"], message["error"]["code"]) == ("interrupted", "interrupted")


def test_a_read_only_file_is_refused_at_the_start(stored: RestlessServer, person: Person) -> None:
    person.ask(Script(), wait="20")
    stored.stop()
    with read_only(stored.folder):
        said = stored.refusal()
    assert str(database(stored)) in said
    assert "Traceback" not in said
    assert "another" not in said  # that is what it says of a lock
    stored.start()
    assert person.history().json()["messages"][1]["status"] == "completed"


NEXT_TO_NOTHING = ("prlimit", "--fsize=33000")  # a file may become so long: room for the -shm, none for a commit


def test_a_start_that_cannot_end_what_was_left_is_refused(stored: RestlessServer, person: Person) -> None:
    accepted = person.ask(Script(chunks=3_000, delay=0.01)).json()
    follower = person.follow(accepted)
    follower.wait_for(5)
    stored.kill()
    with closing(sqlite3.connect(database(stored))) as shell:
        shell.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    check_start_refused(stored)
    stored.start()
    assert person.get(f"/api/messages/{accepted['message']['id']}").json()["status"] == "interrupted"
    follower.join(timeout=10)
    assert json.loads(follower.lines[-1])["status"] == "interrupted"


def test_a_start_that_cannot_make_its_tables_is_refused(stored: RestlessServer) -> None:
    stored.stop()
    database(stored).unlink()
    check_start_refused(stored)
    stored.start()


@pytest.mark.anyio
async def test_a_start_that_fails_leaves_no_thread_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: object) -> int:
        raise ZeroDivisionError

    def threads() -> set[threading.Thread]:
        pools = ("asyncio", "uvloop")  # they end with the loop
        return {thread for thread in threading.enumerate() if not thread.name.startswith(pools)}

    before = threads()
    monkeypatch.setattr("server.app.recover", fail)
    with pytest.raises(ZeroDivisionError):
        await Application(Settings(database_url=f"sqlite:///{tmp_path}/x.db")).open()
    until = monotonic() + 5
    while not threads() <= before:  # the limiter's timer ends by itself, in a moment
        assert monotonic() < until, threads() - before
        await asyncio.sleep(0.01)


def check_start_refused(stored: RestlessServer) -> None:
    said = stored.refusal(*NEXT_TO_NOTHING)
    assert str(database(stored)) in said
    assert "the database does not work" in said
    assert "Traceback" not in said


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    if os.getuid() == 0:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
        return
    for path, closed in ((folder / "xionimus.db", 0o444), (folder, 0o555)):
        path.chmod(closed)
    yield
    for path, opened in ((folder, 0o755), (folder / "xionimus.db", 0o644)):
        path.chmod(opened)
