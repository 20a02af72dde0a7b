"""A key is sent in every way and through every failure of a provider; then it is looked for everywhere.

The canary looks like nobody's key, so that no redaction by looks can hide it.
"""

from __future__ import annotations

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


FAILURES: dict[str, Reply] = {
    "400": quoting(400),
    "401": quoting(401),
    "403": quoting(403),
    "404": quoting(404),
    "429": quoting(429),
    "500": quoting(500),
    "redirect": response(307, {"Location": f"http://127.0.0.1:1/{CANARY}"}),
    "html": response(502, {"Content-Type": "text/html"}, f"<h1>{CANARY}</h1>".encode()),
    "not json": response(200, SSE, f"data: {CANARY}\n\n".encode()),
    "wrong shape": response(200, SSE, events({"choices": CANARY})),
    "error in the stream": response(200, SSE, events({"error": {"message": CANARY, "code": CANARY}})),
    "no stream": response(200, {"Content-Type": CANARY}, CANARY.encode()),
    "reset": reset,
    "cut": cut,
}


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


@asynccontextmanager
async def watched(folder: Path, reply: Reply) -> AsyncIterator[Seen]:
    async with WireServer(reply) as vendor:
        with running(
            folder,
            XIONIMUS_TOKENS=TOKENS,
            XIONIMUS_LOG_LEVEL="debug",
            XIONIMUS_DELTA_TIMEOUT="2",
            OPENAI_API_KEY=CANARY,
            OPENAI_BASE_URL=vendor.url,
            OPENAI_LOG="debug",
        ) as server:
            async with httpx.AsyncClient(base_url=server.url, headers=bearer(ADA), timeout=60) as client:
                seen = Seen(server, vendor, client)
                yield seen
            server.stop()


def assert_nowhere(seen: Seen, secret: str) -> None:
    for answer in seen.answers:
        assert secret not in answer
    assert secret not in seen.server.log
    for file in seen.server.folder.iterdir():
        assert secret.encode() not in file.read_bytes(), file


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_key_is_nowhere_after_the_provider_failed(failure: str, tmp_path: Path) -> None:
    async with watched(tmp_path, FAILURES[failure]) as seen:
        for keys in ({}, {"openai": CANARY}):
            body = {
                "content": "hi",
                "provider": "openai",
                "model": "gpt-test",
                "api_keys": keys,
                "on_busy": "interrupt",
            }
            asked = await seen.send("POST", "/api/sessions/s/messages", params={"wait": 20}, json=body)
            assert asked.json()["status"] == "failed", asked.text
        await seen.send("GET", "/api/sessions/s/events", params={"format": "json", "after": "0"})
        await seen.send("GET", "/api/sessions/s/export")
        keys_sent = {request.headers.get("authorization") for request in seen.vendor.requests}
        assert keys_sent <= {f"Bearer {CANARY}"}
    assert_nowhere(seen, CANARY)


def in_bodies(path: str) -> Callable[[Seen], Awaitable[None]]:
    async def send(seen: Seen) -> None:
        for body in (
            {"content": "hi", "model": "echo", "api_keys": {"openai": CANARY}},
            {"content": "hi", "provider": "openai", "model": CANARY[:0] or "m", "api_keys": {"openai": CANARY}},
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
            {"type": "chat", "content": "hi", "provider": "openai", "model": "m", "api_keys": {"openai": [CANARY]}},
            {"type": "chat", "content": "hi", "api_keys": CANARY},
            {"type": CANARY},
            CANARY,
        ):
            await socket.send_text(json.dumps(frame))
            seen.answers.append(await socket.receive_text(10))
        await socket.send_text(
            json.dumps(
                {"type": "chat", "content": "hi", "provider": "openai", "model": "m", "api_keys": {"openai": CANARY}}
            )
        )
        while "problem" not in (answer := await socket.receive_text(20)):
            seen.answers.append(answer)
        seen.answers.append(answer)


WAYS = {
    "bodies": in_bodies("/api/sessions/s/messages"),
    "headers": in_headers,
    "queries": in_queries,
    "a socket": on_a_socket,
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_key_is_nowhere_however_it_was_sent(way: str, tmp_path: Path) -> None:
    async with watched(tmp_path, quoting(401)) as seen:
        await seen.client.post("/api/sessions", json={"id": "s"})
        await WAYS[way](seen)
        for path in ("/api/sessions", "/api/sessions/s/messages", "/api/providers", "/api/stream/status", "/metrics"):
            await seen.send("GET", path)
            await seen.send("GET", path, headers=bearer(BOB))
    assert_nowhere(seen, CANARY)


async def test_tokens_of_people_are_nowhere_either(tmp_path: Path) -> None:
    async with watched(tmp_path, quoting(401)) as seen:
        await seen.send("POST", "/api/sessions", json={"id": "s"})
        await seen.send("GET", "/api/sessions", headers={"Authorization": "", "Cookie": f"xionimus={ADA}"})
        assert (await seen.client.post("/sign-in", data={"token": ADA})).status_code == 303
    assert_nowhere(seen, ADA)


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
