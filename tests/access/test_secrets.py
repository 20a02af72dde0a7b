"""A key is sent in every way and through every failure of a provider; then it is looked for everywhere.

The canary looks like nobody's key, so that no redaction by looks can hide it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import httpx
import pytest
from httpx_ws import AsyncWebSocketSession, aconnect_ws

from server import logs
from tests import plain
from tests.access.people import ADA, BOB, TOKENS, bearer
from tests.providers.wire import Connection, Reply, WireServer, events, response
from tests.serving import ServerProcess, running

pytestmark = pytest.mark.anyio

CANARY = "canary.4f0c1d77e2a94b6f8d35"
SSE = {"Content-Type": "text/event-stream"}


def quoting(status: int) -> bytes:
    """A refusal that tells the key back, as vendors do."""
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {CANARY}", "type": CANARY, "code": CANARY}})
    return response(status, {"Content-Type": "application/json", "X-Key": CANARY}, body.encode())


async def reset(connection: Connection) -> None:
    connection.reset()


async def cut(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {" + CANARY.encode())


# In the words of all vendors at once.
WRONG = {"type": "message_start", "message": CANARY, "choices": CANARY}
ERROR = {"type": "error", "error": {"type": CANARY, "message": CANARY, "code": CANARY}}

FAILURES: dict[str, Reply] = {
    "400": quoting(400),
    "401": quoting(401),
    "403": quoting(403),
    "404": quoting(404),
    "429": quoting(429),
    "500": quoting(500),
    "529": quoting(529),
    "redirect": response(307, {"Location": f"http://127.0.0.1:1/{CANARY}"}),
    "html": response(502, {"Content-Type": "text/html"}, f"<h1>{CANARY}</h1>".encode()),
    "not-json": response(200, SSE, f"data: {CANARY}\n\n".encode()),
    "wrong-shape": response(200, SSE, events(WRONG)),
    "error-in-the-stream": response(200, SSE, b"event: error\n" + events(ERROR)),
    "no-stream": response(200, {"Content-Type": CANARY}, CANARY.encode()),
    "reset": reset,
    "cut": cut,
}
VENDORS = ("openai", "anthropic", "perplexity")


async def fail_as_asked(connection: Connection) -> None:
    """The model that is asked for says how to fail."""
    reply = FAILURES[connection.request.json()["model"]]
    await (connection.send(reply) if isinstance(reply, bytes) else reply(connection))


@dataclass
class Seen:
    """All that anybody was told."""

    server: ServerProcess
    vendor: WireServer
    client: httpx.AsyncClient
    answers: list[str] = field(default_factory=list)

    async def send(self, method: str, path: str, **more: object) -> httpx.Response:
        answer = await self.client.request(method, path, **more)  # type: ignore[arg-type]
        self.answers += [answer.text, str(answer.headers)]
        return answer

    async def look_around(self) -> None:
        for path in ("/api/sessions", "/api/sessions/s/messages", "/api/providers", "/api/stream/status", "/metrics"):
            await self.send("GET", path)
            await self.send("GET", path, headers=bearer(BOB))

    def assert_nowhere(self, secret: str) -> None:
        for answer in self.answers:
            assert secret not in answer
        assert secret not in self.server.log
        for file in self.server.folder.iterdir():
            assert secret.encode() not in file.read_bytes(), file


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[Seen]:
    """A server whose providers all fail, with keys of its own; looked through while it runs, and when it has ended."""
    async with WireServer(fail_as_asked) as vendor:
        keys = {f"{name.upper()}_API_KEY": CANARY for name in VENDORS}
        addresses = {f"{name.upper()}_BASE_URL": vendor.url for name in VENDORS}
        with running(
            folder,
            XIONIMUS_TOKENS=TOKENS,
            XIONIMUS_LOG_LEVEL="debug",
            XIONIMUS_DELTA_TIMEOUT="2",
            XIONIMUS_CALLER_ANSWERS="500",
            XIONIMUS_CALLER_STREAMS="500",
            OPENAI_LOG="debug",
            ANTHROPIC_LOG="debug",
            **keys,
            **addresses,
        ) as server:
            async with plain.AsyncClient(base_url=server.url, headers=bearer(ADA), timeout=60) as client:
                seen = Seen(server, vendor, client)
                yield seen
                await seen.look_around()
            assert (folder / "xionimus.db-wal").stat().st_size > 0
            seen.assert_nowhere(CANARY)
            server.stop()
            seen.assert_nowhere(CANARY)


async def ask_in_vain(seen: Seen, vendor: str, failure: str, keys: dict[str, str]) -> None:
    session = f"/api/sessions/{vendor}-{failure}-{len(keys)}"
    body = {"content": "hi", "provider": vendor, "model": failure, "api_keys": keys}
    asked = await seen.send("POST", f"{session}/messages", params={"wait": 50}, json=body)
    assert asked.json()["status"] == "failed", asked.text
    await seen.send("GET", f"{session}/events", params={"format": "json", "after": "0"})
    await seen.send("GET", f"{session}/export")


async def test_a_key_is_nowhere_after_every_failure_of_every_provider(tmp_path: Path) -> None:
    async with watched(tmp_path) as seen:
        ways = itertools.product(VENDORS, FAILURES)
        keys: tuple[dict[str, str], ...] = ({}, dict.fromkeys(VENDORS, CANARY))
        await asyncio.gather(*(ask_in_vain(seen, *way, each) for way in ways for each in keys))
        sent = {
            (request.headers.get("authorization"), request.headers.get("x-api-key")) for request in seen.vendor.requests
        }
        assert sent == {(f"Bearer {CANARY}", None), (None, CANARY)}


def in_bodies(path: str) -> Callable[[Seen], Awaitable[None]]:
    async def send(seen: Seen) -> None:
        for body in (
            {"content": "hi", "model": "echo", "api_keys": {"openai": CANARY}},
            {"content": "hi", "provider": "openai", "model": "401", "api_keys": {"openai": CANARY}},
            {"content": "hi", "api_keys": {"openai": [CANARY]}},
            {"content": "hi", "api_keys": CANARY},
            {"content": "hi", "api_keys": {"openai": CANARY * 100}},
            {"content": "hi", "api_keys": {"openai": f"{CANARY}\n"}},
            {"content": 7, "api_keys": {"openai": CANARY}},
            {"content": "hi", "api_key": CANARY},
            {"content": "hi", "provider": [CANARY]},
        ):
            await seen.send("POST", path, json=body)
        await seen.send(
            "POST", path, content=f'{{"api_keys": {{"openai": "{CANARY}"', headers={"Content-Type": "application/json"}
        )
        await seen.send("POST", path, content=CANARY, headers={"Content-Type": "application/json"})
        await seen.send("POST", path, content=CANARY, headers={"Content-Type": "text/plain"})

    return send


async def in_headers(seen: Seen) -> None:
    for headers in (
        {"Authorization": f"Bearer {CANARY}"},
        {"Authorization": f"Basic {CANARY}"},
        {"Cookie": f"xionimus={CANARY}"},
        {"X-API-Key": CANARY},
        {"Idempotency-Key": f"!{CANARY}"},
        {"Last-Event-ID": CANARY},
        {"Content-Type": CANARY[:6]},
    ):
        for path in ("/api/sessions", "/api/sessions/s/messages", "/sign-in"):
            await seen.send("POST", path, headers=headers, content=b"{}")


async def in_queries(seen: Seen) -> None:
    for name in ("api_key", "key", "token", "ticket", "format", "wait", "after"):
        await seen.send("GET", "/api/sessions/s/events", params={"format": "json", "wait": "0", name: CANARY})
    await seen.send("POST", "/sign-in", data={"token": CANARY})


async def on_a_socket(seen: Seen) -> None:
    socket: AsyncWebSocketSession
    async with aconnect_ws(f"{seen.server.url}/ws/chat/s?token={CANARY}", seen.client) as socket:
        seen.answers.append(await socket.receive_text(10))
        for frame in (
            {"type": "chat", "content": "hi", "provider": "openai", "model": "401", "api_keys": {"openai": [CANARY]}},
            {"type": "chat", "content": "hi", "api_keys": CANARY},
            {"type": CANARY},
            CANARY,
        ):
            await socket.send_text(json.dumps(frame))
            seen.answers.append(await socket.receive_text(10))
        await socket.send_text(
            json.dumps(
                {"type": "chat", "content": "hi", "provider": "openai", "model": "401", "api_keys": {"openai": CANARY}}
            )
        )
        while "problem" not in (answer := await socket.receive_text(20)):
            seen.answers.append(answer)
        seen.answers.append(answer)


WAYS = (in_bodies("/api/sessions/s/messages"), in_headers, in_queries, on_a_socket)


async def test_a_key_is_nowhere_however_it_was_sent(tmp_path: Path) -> None:
    async with watched(tmp_path) as seen:
        await seen.client.post("/api/sessions", json={"id": "s"})
        for send in WAYS:
            await send(seen)


async def test_tokens_of_people_are_nowhere_either(tmp_path: Path) -> None:
    async with watched(tmp_path) as seen:
        await seen.send("POST", "/api/sessions", json={"id": "s"})
        await seen.send("GET", "/api/sessions", headers={"Authorization": "", "Cookie": f"xionimus={ADA}"})
        assert (await seen.client.post("/sign-in", data={"token": ADA})).status_code == 303
        seen.assert_nowhere(ADA)
    seen.assert_nowhere(ADA)


def logged(text: str, form: str = "json", **extra: str) -> str:
    stream = StringIO()
    before = logging.getLogger().handlers[:]
    try:
        logs.configure("debug", form, stream)
        try:
            raise ValueError(text)
        except ValueError:
            local_secret = CANARY  # noqa: F841
            logging.getLogger("server.test").exception("failed with %s", text, extra=extra)
    finally:
        logging.getLogger().handlers[:] = before
        logging.getLogger("uvicorn.error").filters.clear()
    return stream.getvalue()


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("secret", [ADA, "sk-proj-0123456789abcdef", "1790000000.abc.ada"])
def test_what_looks_like_a_secret_is_not_in_the_log(form: str, secret: str) -> None:
    told = logged(f"GET /x?ticket={secret}" if secret[0] == "1" else secret, form)
    assert secret not in told
    assert logs.REDACTED in told


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_shows_no_variables(form: str) -> None:
    told = logged("why", form)
    assert "ValueError: why" in told
    assert CANARY not in told


def test_a_line_names_the_request_and_the_message_for_programs() -> None:
    told = json.loads(logged("why", message_id="msg_1"))
    assert (told["level"], told["logger"], told["message_id"]) == ("error", "server.test", "msg_1")
