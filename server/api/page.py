"""The web page: its files, and the headers that keep what a model says from running in it."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

# Browsers take no import map from a file of its own, so this one script stands in the page, allowed by its hash.
IMPORT_MAP = re.compile(r'<script type="importmap">(.*?)</script>', re.DOTALL)


def routes(static: Path, vendor: Path) -> list[BaseRoute]:
    index = static / "index.html"

    async def page(request: Request) -> Response:
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": policy(index.read_text("utf-8"))}
        return FileResponse(index, headers={**headers, "Referrer-Policy": "no-referrer"})

    async def service_worker(request: Request) -> Response:
        # At the top, because a service worker answers only for what lies below its own address.
        # It lives under its own policy, not the page's: what it fetches for the page is ours.
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": "default-src 'none'; connect-src 'self'"}
        return FileResponse(static / "service-worker.js", headers=headers)

    return [
        Route("/", page),
        Route("/service-worker.js", service_worker),
        Mount("/static/vendor", Revalidated(directory=vendor, check_dir=False)),
        Mount("/static", Revalidated(directory=static)),
    ]


class Revalidated(StaticFiles):
    """The modules have no versions in their names: without this, a browser may mix old ones with new ones."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_revalidated(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"cache-control", b"no-cache")]
            await send(message)

        await super().__call__(scope, receive, send_revalidated)


def policy(html: str) -> str:
    """The Content-Security-Policy of the page: nothing from elsewhere, nothing inline but its import map."""
    import_map = IMPORT_MAP.search(html)
    digest = hashlib.sha256(import_map[1].encode()).digest() if import_map else b""
    allowed = f" 'sha256-{base64.b64encode(digest).decode()}'" if import_map else ""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self'{allowed}",
            "style-src 'self'",
            "img-src 'self' data: blob:",
            "font-src 'self'",
            "connect-src 'self'",
            "worker-src 'self'",
            "manifest-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "require-trusted-types-for 'script'",
            "trusted-types xionimus",
        )
    )
