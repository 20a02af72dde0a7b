"""What the server is compared with, on the same packages: `python -m tests.benchmarks.yardsticks relay|plain`.

- `relay` passes the provider's bytes on as they come, and does nothing else: no log, no second reader.
- `plain` is what one writes first: the SDK's stream objects, sse-starlette's events, a queue for every reader.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

ASK = "/api/sessions/{session_id}/messages"
FOLLOW = "/api/sessions/{session_id}/events"


def relay(provider: str) -> Starlette:
    import httpx2

    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
    client = httpx2.AsyncClient(base_url=provider, timeout=None, limits=limits)

    async def ask(request: Request) -> Response:
        return StreamingResponse(pieces(await request.json()), media_type="text/event-stream")

    async def pieces(body: dict[str, Any]) -> AsyncIterator[bytes]:
        asked = {
            "model": body["model"],
            "messages": [{"role": "user", "content": body["content"]}],
            "stream": True,
        }
        async with client.stream("POST", "/chat/completions", json=asked) as response:
            async for piece in response.aiter_raw():
                yield piece

    return Starlette(routes=[Route(ASK, ask, methods=["POST"]), alive()])


class Plain:
    """Answers, and the readers of each session."""

    def __init__(self, provider: str) -> None:
        from openai import AsyncOpenAI

        self._client = AsyncOpenAI(base_url=provider, api_key="unused", timeout=None)
        self._readers: dict[str, set[asyncio.Queue[ServerSentEvent | None]]] = defaultdict(set)
        self._tasks: set[asyncio.Task[None]] = set()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/sessions", self.create, methods=["POST"]),
                Route(ASK, self.ask, methods=["POST"]),
                Route(FOLLOW, self.follow),
                alive(),
            ]
        )

    async def create(self, request: Request) -> Response:
        return JSONResponse({"id": (await request.json())["id"]}, 201)

    async def ask(self, request: Request) -> Response:
        session = request.path_params["session_id"]
        body = await request.json()
        streamed = "text/event-stream" in request.headers.get("accept", "")
        response = EventSourceResponse(self._events(session, ends=True)) if streamed else JSONResponse({}, 202)
        task = asyncio.create_task(self._answer(session, body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return response

    async def follow(self, request: Request) -> Response:
        return EventSourceResponse(self._events(request.path_params["session_id"], ends=False))

    async def _answer(self, session: str, body: dict[str, Any]) -> None:
        stream = await self._client.chat.completions.create(
            model=body["model"],
            messages=[{"role": "user", "content": body["content"]}],
            stream=True,
            stream_options={"include_usage": True},
        )
        text, number = "", 0
        async for chunk in stream:
            content = chunk.choices[0].delta.content if chunk.choices else None
            if content:
                number += 1
                data = {"type": "chunk", "chunk_id": number, "offset": len(text), "content": content}
                text += content
                self._tell(session, ServerSentEvent(json.dumps(data), event="chunk", id=str(number)))
        self._tell(session, ServerSentEvent(json.dumps({"type": "complete", "full_content": text}), event="complete"))
        self._tell(session, None)

    def _tell(self, session: str, event: ServerSentEvent | None) -> None:
        for queue in self._readers[session]:
            queue.put_nowait(event)

    def _events(self, session: str, ends: bool) -> AsyncIterator[ServerSentEvent]:
        queue: asyncio.Queue[ServerSentEvent | None] = asyncio.Queue()
        self._readers[session].add(queue)  # now, so that nothing of the answer is missed
        return self._taken(session, queue, ends)

    async def _taken(
        self, session: str, queue: asyncio.Queue[ServerSentEvent | None], ends: bool
    ) -> AsyncIterator[ServerSentEvent]:
        try:
            yield ServerSentEvent("{}", event="ready")
            while True:
                event = await queue.get()
                if event is not None:
                    yield event
                elif ends:
                    return
        finally:
            self._readers[session].discard(queue)


def alive() -> Route:
    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return Route("/healthz", healthz)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("relay", "plain"))
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    provider = os.environ["OPENAI_BASE_URL"]
    app = relay(provider) if chosen.which == "relay" else Plain(provider).app()
    uvicorn.run(app, port=chosen.port, log_level="warning", access_log=False, ws_per_message_deflate=False)


if __name__ == "__main__":
    main()
