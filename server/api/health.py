"""Is it alive; may it be sent work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from server.api import schemas
from server.api.operation import Operation, operation
from server.chat.errors import Draining
from server.chat.service import ChatService


class HealthAPI:
    """`check` raises StorageUnavailable when the storage does not take a write."""

    def __init__(self, service: ChatService, check: Callable[[], Awaitable[None]]) -> None:
        self._service = service
        self._check = check

    @operation(Operation("GET", "/healthz", "The process is alive", "Operation", answers={200: schemas.Health}))
    async def alive(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    @operation(
        Operation(
            "GET",
            "/readyz",
            "The server takes questions: its storage works, and it is not about to stop",
            "Operation",
            answers={200: schemas.Health},
            problems=("draining", "storage_unavailable"),
        )
    )
    async def ready(self, request: Request) -> Response:
        if self._service.draining:
            raise Draining("the server is about to stop")
        await self._check()
        return JSONResponse({"status": "ok"})
