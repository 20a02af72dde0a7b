"""Clients of the log, over each transport and through any proxy; and the one that climbs down the ladder."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

Event = dict[str, Any]
Events = AsyncGenerator[Event]
Transport = Literal["sse", "ndjson", "poll", "websocket"]

TRANSPORTS: tuple[Transport, ...] = ("sse", "ndjson", "poll", "websocket")
RUNGS: tuple[Transport, ...] = ("sse", "ndjson", "poll")
TLS = ssl.create_default_context()  # never used, but each client would take 30 ms to make its own
READY_WITHIN = 3.0  # seconds
HELD_BACK = 2.5  # seconds
AGAIN = 0.3  # seconds before coming back
BROKEN = (httpx.HTTPError, OSError, WebSocketException, TimeoutError, ValueError)


class Refused(Exception):
    """Something answered, but not as asked for."""


class HeldBack(Exception):
    """Something on the way keeps the events of a connection to itself."""


@dataclass(frozen=True)
class Path:
    """The way to a server: through a reverse proxy (`url` is the proxy's), or through a forward `proxy`."""

    url: str
    proxy: str | None = None

    @asynccontextmanager
    async def http(self) -> AsyncGenerator[httpx.AsyncClient]:
        async with httpx.AsyncClient(
            base_url=self.url, proxy=self.proxy, trust_env=False, timeout=40, verify=TLS
        ) as client:
            yield client

    async def post(self, route: str, body: object = None) -> httpx.Response:
        async with self.http() as client:
            return await client.post(route, json=body)


async def read(path: Path, transport: Transport, session: str, after: str) -> Events:
    """A session's events after a cursor, until the connection ends. Raises Refused, and any of BROKEN."""
    readers = {"sse": _sse, "ndjson": _ndjson, "poll": _poll, "websocket": _websocket}
    async with aclosing(readers[transport](path, session, after)) as events:
        async for event in events:
            yield event


async def _sse(path: Path, session: str, after: str) -> Events:
    async with aclosing(_lines(path, session, after, "sse")) as lines:
        async for line in lines:
            if line.startswith("data: "):
                yield json.loads(line[6:])


async def _ndjson(path: Path, session: str, after: str) -> Events:
    async with aclosing(_lines(path, session, after, "ndjson")) as lines:
        async for line in lines:
            if line:
                yield json.loads(line)


async def _lines(path: Path, session: str, after: str, form: str) -> AsyncGenerator[str]:
    parameters = {"after": after, "format": form}
    async with path.http() as client, client.stream("GET", events_of(session), params=parameters) as response:
        if response.status_code != 200:
            raise Refused(f"status {response.status_code}")
        rest = ""
        async for text in response.aiter_text():
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                yield line


async def _poll(path: Path, session: str, after: str) -> Events:
    async with path.http() as client:
        while True:
            parameters = {"after": after, "format": "json", "wait": "10"}
            response = await client.get(events_of(session), params=parameters)
            if response.status_code != 200:
                raise Refused(f"status {response.status_code}")
            page = response.json()
            after = page["cursor"]
            for event in page["events"]:
                yield event


async def _websocket(path: Path, session: str, after: str) -> Events:
    url = f"{path.url.replace('http', 'ws', 1)}/ws/chat/{session}?after={after}"
    async with connect(url, proxy=path.proxy, open_timeout=10, close_timeout=1) as socket:
        async for frame in socket:
            yield json.loads(frame)


async def new_session(direct: Path) -> str:
    session = f"s{uuid.uuid4().hex[:12]}"
    (await direct.post("/api/sessions", {"id": session})).raise_for_status()
    return session


async def ask(path: Path, session: str, content: str, model: str = "echo") -> str:
    """The id of the answer."""
    answer = await path.post(f"/api/sessions/{session}/messages", {"content": content, "model": model})
    answer.raise_for_status()
    message: str = answer.json()["message"]["id"]
    return message


def events_of(session: str) -> str:
    return f"/api/sessions/{session}/events"


@dataclass
class LadderClient:
    """Reads a session as a page does: by SSE; if that shows nothing within 3 s, or comes late by the events' own
    stamps, by NDJSON; then by long-poll. With the same cursor all along, and whenever a connection ends.

    `found`: seconds from the start to the first event on the rung where it stayed.
    """

    path: Path
    session: str
    rung: Transport = "sse"
    cursor: str = "0"
    events: list[Event] = field(default_factory=list)
    found: float | None = None
    connections: int = 0

    async def run(self, until: Callable[[Event], bool], on_event: Callable[[Event], None] | None = None) -> None:
        """Until an event says that it is enough; `on_event` sees each event of the log."""
        started = time.monotonic()
        enough = False
        while not enough:
            self.connections += 1
            try:
                async with aclosing(read(self.path, self.rung, self.session, self.cursor)) as events:
                    async for event in self._checked(events):
                        self.found = self.found or time.monotonic() - started
                        enough = self._take(event, on_event) and until(event)
                        if enough:
                            break
            except HeldBack:
                self.found = None
                self.rung = RUNGS[RUNGS.index(self.rung) + 1]
            except (*BROKEN, Refused):
                await asyncio.sleep(AGAIN)

    def _take(self, event: Event, on_event: Callable[[Event], None] | None) -> bool:
        """Whether it is an event of the log."""
        if event["type"] in ("ready", "reset"):
            return False
        self.events.append(event)
        self.cursor = event["id"]
        if on_event is not None:
            on_event(event)
        return True

    async def _checked(self, events: Events) -> Events:
        """The events of one connection. Raises HeldBack, but not on the last rung."""
        meter = Lateness()
        patience: float | None = READY_WITHIN
        while True:
            try:
                async with asyncio.timeout(None if self.rung == "poll" else patience):
                    event = await anext(events, None)
            except TimeoutError:
                raise HeldBack from None
            if event is None:
                return
            patience = None
            yield event
            if self.rung != "poll" and meter.held_back(event):
                raise HeldBack


class Lateness:
    """Whether events come late, by the server's stamps: how much later than the quickest one, as clocks may differ."""

    def __init__(self) -> None:
        self._opened = self._least = float("inf")

    def held_back(self, event: Event) -> bool:
        stamped = event.get("server_time") or event.get("timestamp")
        if stamped is None:
            return False
        stamp = datetime.fromisoformat(stamped).timestamp()
        if event["type"] == "ready":
            self._opened = stamp
        if stamp < self._opened:
            return False  # history, not news
        late = time.time() - stamp
        self._least = min(self._least, late)
        return late - self._least > HELD_BACK
