"""Who can answer."""

from __future__ import annotations

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from server.api import schemas
from server.api.operation import Operation, operation
from server.chat.provider import Providers


class ProvidersAPI:
    def __init__(self, providers: Providers) -> None:
        self._providers = providers

    @operation(
        Operation(
            "GET",
            "/api/providers",
            "Providers, their models, and which are ready to use",
            "Operation",
            answers={200: schemas.Providers},
        )
    )
    async def list(self, request: Request) -> Response:
        infos = [asdict(info) for info in self._providers.infos()]
        return JSONResponse({"providers": infos, "default_provider": self._providers.default})
