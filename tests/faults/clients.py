"""Clients that ask, follow, leave, come back over another transport, and cancel; and that write everything down."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Any

import httpx

from tests.faults.history import Ask, Cancel, History, Read, Transport
from tests.faults.reading import (
    BROKEN,
    READERS,
    TIMEOUT,
    Event,
    Items,
    close,
    code_of,
    ndjson_items,
    read_response,
    read_websocket,
    sse_items,
)
from tests.faults.script import Script

MESSAGE_TRANSPORTS: Sequence[Transport] = ("sse", "ndjson", "poll")
SESSION_TRANSPORTS: Sequence[Transport] = ("sse", "ndjson", "poll", "websocket")
STREAMS: dict[Transport, tuple[str, Items]] = {
    "sse": ("text/event-stream", sse_items),
    "ndjson": ("application/x-ndjson", ndjson_items),
}
ATTEMPTS = 10
PAUSE = 0.4  # seconds, about, before something is tried again


class Budget:
    """Makes a client leave after so many events; or never."""

    def __init__(self, events: int | None = None) -> None:
        self._left = events

    def __call__(self, event: Event) -> bool:
        if self._left is not None:
            self._left -= 1
        return self._left == 0


@dataclass
class Client:
    """One person with one device. `sessions` are shared with the others."""

    name: str
    http: httpx.AsyncClient
    sessions: Sequence[str]
    history: History
    chance: random.Random
    stopping: asyncio.Event
    asked: int = 0
    cursors: dict[str, str | None] = field(default_factory=dict)

    async def live(self) -> None:
        while not self.stopping.is_set():
            what = self.chance.choices([self.ask_and_follow, self.watch, self.reread], [6, 3, 1])[0]
            await what(self.chance.choice(self.sessions))

    # Asking.

    async def ask_and_follow(self, session: str) -> None:
        self.asked += 1
        key = f"{self.name}-{self.asked}"
        chunks, delay = self.chance.randint(1, 120), self.chance.choice([0, 0.001, 0.005, 0.02])
        body = {
            "content": Script(chunks=chunks, delay=delay, seed=self.asked, tag=key).question,
            "on_busy": self.chance.choice(["reject", "interrupt", "enqueue", "enqueue"]),
        }
        message_id = await self._ask_until_known(session, key, body)
        if message_id is not None:
            if self.chance.random() < 0.25:
                await asyncio.gather(self.follow(session, message_id), self._cancel_soon(session, message_id))
            else:
                await self.follow(session, message_id)

    async def _ask_until_known(self, session: str, key: str, body: dict[str, Any]) -> str | None:
        """Ask again, with the same key, until it is clear what became of it."""
        for _ in range(ATTEMPTS):
            how = self.chance.choices(
                [self._ask_json, self._ask_stream, self._ask_socket, self._ask_thrice], [5, 3, 2, 1]
            )
            ask = await how[0](session, key, body)
            if ask.outcome == "ok":
                return ask.message_id
            if ask.outcome == "fail" and ask.code not in ("draining", "storage_unavailable"):
                return None
            await self._pause()
        return None

    def _begin(self, session: str, key: str, body: dict[str, Any]) -> Ask:
        ask = Ask(client=self.name, session=session, key=key, question=body["content"], invoked=time())
        self.history.add(ask)
        return ask

    async def _ask_json(self, session: str, key: str, body: dict[str, Any]) -> Ask:
        ask = self._begin(session, key, body)
        try:
            reply = await self.http.post(_questions(session), json=body, headers={"Idempotency-Key": key})
        except BROKEN:
            pass
        else:
            _note(ask, reply, reply.json().get("message", {}).get("id"))
        ask.finished = time()
        return ask

    async def _ask_stream(self, session: str, key: str, body: dict[str, Any]) -> Ask:
        ask = self._begin(session, key, body)
        transport = self.chance.choice(list(STREAMS))
        media_type, items = STREAMS[transport]
        headers = {"Idempotency-Key": key, "Accept": media_type}
        try:
            async with self.http.stream("POST", _questions(session), json=body, headers=headers) as response:
                if response.status_code != 200:
                    await response.aread()
                _note(ask, response, response.headers.get("Location", "//").split("/")[-2])
                ask.finished = time()
                if ask.outcome == "ok":
                    read = self._open(transport, session, ask.message_id, None)
                    await read_response(response, read, self._budget(), items)
        except BROKEN:
            ask.finished = ask.finished or time()
        return ask

    async def _ask_socket(self, session: str, key: str, body: dict[str, Any]) -> Ask:
        ask = self._begin(session, key, body)
        read = self._open("websocket", session, None, None)
        frame = json.dumps({"type": "chat", "client_id": key, **body})

        def enough(event: Event) -> bool:
            if event["type"] == "error" and "message_id" not in event:
                ask.outcome, ask.code = "fail", event["problem"]["code"]
            elif event["type"] == "posted" and event.get("client_id") == key:
                ask.outcome = "ok"
            ask.finished = time()
            return ask.outcome != "unknown"

        # Who asks again may have been heard before; then nothing comes on this socket.
        await _for_at_most(3.0, read_websocket(self.http, read, enough, frame), read)
        ask.finished = ask.finished or time()
        return ask

    async def _ask_thrice(self, session: str, key: str, body: dict[str, Any]) -> Ask:
        """At the same time: the server must make one answer of it."""
        asks = await asyncio.gather(*(self._ask_json(session, key, body) for _ in range(3)))
        return next((ask for ask in asks if ask.outcome == "ok"), asks[0])

    # Reading.

    async def follow(self, session: str, message_id: str) -> None:
        """An answer to its end, over one transport after the other."""
        cursor: str | None = None
        for _ in range(400):
            read = self._open(self.chance.choice(MESSAGE_TRANSPORTS), session, message_id, cursor)
            await READERS[read.transport](self.http, read, self._budget())
            cursor = read.cursor or cursor
            if read.end in ("clean", "exhausted") or read.code == "not_found":
                return
            if read.end != "left":
                await self._pause()

    async def watch(self, session: str) -> None:
        """A session from where this client has left it, for a while."""
        for _ in range(self.chance.randint(1, 4)):
            read = self._open(self.chance.choice(SESSION_TRANSPORTS), session, None, self.cursors.get(session))
            await _for_at_most(
                self.chance.uniform(0.1, 2.0), READERS[read.transport](self.http, read, self._budget()), read
            )
            self.cursors[session] = read.cursor or self.cursors.get(session)
            await self._pause()

    async def reread(self, session: str) -> None:
        """The whole log, in pages."""
        cursor = "0"
        for _ in range(50):
            read = self._open("poll", session, None, cursor)
            await READERS["poll"](self.http, read, Budget())
            if not read.items or read.end != "left" or read.cursor is None:
                return
            cursor = read.cursor

    def _open(self, transport: Transport, session: str, message_id: str | None, after: str | None) -> Read:
        read = Read(
            client=self.name,
            transport=transport,
            session=session,
            message_id=message_id,
            after=after,
            opened=time(),
        )
        self.history.add(read)
        return read

    def _budget(self) -> Budget:
        return Budget(self.chance.randint(1, 30) if self.chance.random() < 0.4 else None)

    # Stopping.

    async def _cancel_soon(self, session: str, message_id: str) -> None:
        await asyncio.sleep(self.chance.uniform(0, 1))
        for _ in range(self.chance.randint(1, ATTEMPTS)):
            cancel = Cancel(client=self.name, session=session, message_id=message_id, invoked=time())
            self.history.add(cancel)
            try:
                reply = await self.http.post(f"/api/messages/{message_id}/cancel")
            except BROKEN:
                cancel.finished = time()
            else:
                cancel.finished = time()
                if reply.status_code == 200:
                    cancel.outcome, cancel.message_status = "ok", reply.json()["status"]
                    return
                cancel.outcome, cancel.code = "fail", code_of(reply)
            await self._pause()

    async def _pause(self) -> None:
        await asyncio.sleep(self.chance.uniform(0.5, 1.5) * PAUSE)


def _questions(session: str) -> str:
    return f"/api/sessions/{session}/messages"


async def _for_at_most(seconds: float, reading: Awaitable[None], read: Read) -> None:
    """Read, and leave when the time is over."""
    try:
        async with asyncio.timeout(seconds):
            await reading
    except TimeoutError:
        close(read, "left")


def _note(ask: Ask, reply: httpx.Response, message_id: str | None) -> None:
    """What the server said about a question. A fault of the server leaves it open."""
    ask.status = reply.status_code
    if reply.status_code in (200, 202):
        ask.outcome, ask.message_id = "ok", message_id
    else:
        ask.outcome, ask.code = "fail" if reply.status_code != 500 else "unknown", code_of(reply)


def connect(port: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=TIMEOUT, trust_env=False)
