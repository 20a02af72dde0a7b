"""How the streams are: who is connected, and whether something on the way holds them back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from server.api import schemas
from server.api.operation import Operation, operation
from server.api.requests import read_query, wanted_format
from server.chat.models import now, timestamp
from server.chat.service import ChatService
from server.streaming.events import encode
from server.transports import ndjson, sse
from server.transports.connections import Connections
from server.transports.response import HEADERS

TICKS = 8
TICK = 0.25  # seconds


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
            f"A stream of {TICKS} stamped ticks, {TICK * 1000:g} ms apart: do they arrive one by one?",
            "Operation",
            query=schemas.ProbeQuery,
            answers={200: {sse.MEDIA_TYPE: None, ndjson.MEDIA_TYPE: schemas.Tick}},
            problems=("invalid",),
        )
    )
    async def probe(self, request: Request) -> Response:
        query = read_query(request, schemas.ProbeQuery)
        if wanted_format(request, query.format, "sse") == "ndjson":
            lines = (encode(tick) + "\n" async for tick in ticks())
            return StreamingResponse(lines, media_type=ndjson.MEDIA_TYPE, headers=HEADERS)
        events = (ServerSentEvent(encode(tick), event="tick") async for tick in ticks())
        response = EventSourceResponse(events, headers=HEADERS, ping=0, sep="\n")
        response.headers["Content-Type"] = sse.MEDIA_TYPE  # without a charset, like the streams it stands for
        return response


async def ticks() -> AsyncIterator[dict[str, object]]:
    for number in range(1, TICKS + 1):
        yield {"type": "tick", "number": number, "of": TICKS, "server_time": timestamp(now())}
        if number < TICKS:
            await asyncio.sleep(TICK)
