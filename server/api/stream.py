"""How the streams are: who is connected, and whether something on the way holds them back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from pydantic import ValidationError
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from server.api import schemas
from server.api.operation import Frames, Operation, operation
from server.api.requests import read_query, wanted_format
from server.api.websocket import upgrade_required
from server.chat.models import now, timestamp
from server.chat.service import ChatService
from server.streaming.events import encode
from server.transports import ndjson, sse
from server.transports.connections import Connections
from server.transports.leaving import unless_gone
from server.transports.response import HEADERS
from server.transports.websocket import CloseCode

SOCKET_PATH = "/ws/probe"


class StreamAPI:
    def __init__(self, service: ChatService, connections: Connections) -> None:
        self._service = service
        self._connections = connections

    @operation(
        Operation(
            "GET",
            "/api/stream/status",
            "How many are connected, and how",
            "Operation",
            answers={200: schemas.StreamStatus},
        )
    )
    async def status(self, request: Request) -> Response:
        counts = {
            transport: self._connections.counts[transport]
            for transport in ("sse", "ndjson", "poll", "websocket", "text")
        }
        return JSONResponse(
            {
                "status": "draining" if self._service.draining else "ok",
                "active_sessions": self._connections.sessions,
                "total_connections": sum(counts.values()),
                "active_streams": self._service.answers,
                "connections": counts,
            }
        )

    @operation(
        Operation(
            "GET",
            "/api/stream/probe",
            "Stamped ticks, one every `interval`, the first at once: do they arrive one by one?",
            "Operation",
            query=schemas.ProbeQuery,
            answers={
                200: {sse.MEDIA_TYPE: None, ndjson.MEDIA_TYPE: schemas.Tick, "application/json": schemas.TickPage}
            },
            problems=("invalid",),
        )
    )
    async def probe(self, request: Request) -> Response:
        query = read_query(request, schemas.ProbeQuery)
        form = wanted_format(request, query.format, "sse")
        if form == "json":
            return await probe_step(request, query)
        if form == "ndjson":
            lines = (encode(tick) + "\n" async for tick in ticks(query))
            return StreamingResponse(lines, media_type=ndjson.MEDIA_TYPE, headers=HEADERS)
        # As the streams that it stands for are: lines end with LF, no charset; and whether the connection stays is
        # uvicorn's to say.
        events = (
            ServerSentEvent(encode(tick), event="tick", id=str(tick["number"]), sep="\n") async for tick in ticks(query)
        )
        response = EventSourceResponse(events, headers=HEADERS, ping=0)
        response.headers["Content-Type"] = sse.MEDIA_TYPE
        del response.headers["Connection"]
        return response

    def websocket_routes(self) -> list[WebSocketRoute]:
        return [WebSocketRoute(SOCKET_PATH, self.probe_websocket)]

    @operation(
        Operation(
            "GET",
            SOCKET_PATH,
            "The same ticks on a WebSocket",
            "Operation",
            query=schemas.ProbeTicks,
            answers={101: None},
            problems=("upgrade_required",),
            frames=Frames((), (schemas.Tick,)),
        )
    )
    async def plain(self, request: Request) -> Response:
        return upgrade_required(request)

    async def probe_websocket(self, websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            query = read_query(websocket, schemas.ProbeTicks)
        except ValidationError:
            return await websocket.close(CloseCode.BAD_REQUEST)
        with suppress(WebSocketDisconnect):
            async for tick in ticks(query):
                await websocket.send_text(encode(tick))
            await websocket.close()


async def probe_step(request: Request, query: schemas.ProbeQuery) -> Response:
    """As a long-poll: the tick after `after`, when it is there."""
    number = min(query.after + 1, query.ticks)
    if number > 1:
        await unless_gone(request.receive, asyncio.sleep(query.interval))
    page = {"events": [tick(number, query.ticks)], "cursor": str(number), "done": number == query.ticks}
    return JSONResponse(page, headers=HEADERS)


async def ticks(query: schemas.ProbeTicks) -> AsyncIterator[dict[str, object]]:
    for number in range(1, query.ticks + 1):
        yield tick(number, query.ticks)
        if number < query.ticks:
            await asyncio.sleep(query.interval)


def tick(number: int, of: int) -> dict[str, object]:
    return {"type": "tick", "number": number, "of": of, "server_time": timestamp(now())}
