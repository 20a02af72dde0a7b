"""The web page: its files, and the headers that keep what a model says from running in it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from posixpath import dirname, join, normpath

from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from server.api.requests import owner_of

# Browsers take no import map from a file of its own, so this one script stands in the page, allowed by its hash.
IMPORT_MAP = re.compile(r'<script type="importmap">(.*?)</script>', re.DOTALL)
IMPORTED = re.compile(r'^(?:import|export)\s(?:[\w$*{},\s]*\sfrom\s)?"([^"]+)";$', re.MULTILINE)
ROOT = "/static/"
MAIN = f'<script type="module" src="{ROOT}main.js">'
OWNER = '<meta name="owner" content="" />'


def routes(static: Path, vendor: Path, signs_in: bool = False) -> list[BaseRoute]:
    """`signs_in`: whether people sign in here, and so may sign out."""
    page = Page(static, vendor)

    async def index(request: Request) -> Response:
        html = named(await asyncio.to_thread(page.html), owner_of(request), signs_in)
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": policy(html)}
        return HTMLResponse(html, headers={**headers, "Referrer-Policy": "no-referrer"})

    async def service_worker(request: Request) -> Response:
        # At the top, because a service worker answers only for what lies below its own address.
        # It lives under its own policy, not the page's: what it fetches for the page is ours.
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": "default-src 'none'; connect-src 'self'"}
        return FileResponse(static / "service-worker.js", headers=headers)

    return [
        Route("/", index),
        Route("/service-worker.js", service_worker),
        *(
            # Compressed, the page is a third as large: seconds on a slow line, the first time.
            Mount(f"{ROOT}{version}{path}", GZipMiddleware(PageFiles(page, directory), compresslevel=6))
            for version in ("@{version}/", "")
            for path, directory in (("vendor", vendor), ("", static))
        ),
    ]


class Page:
    """`index.html` as it is served: the addresses of its files name their version, and its modules are told at once.

    So a browser keeps the files and asks for none of the eighty again until there is a new version, never mixes old
    ones with new ones, and the first time need not find out one after the other what a module imports.
    """

    def __init__(self, static: Path, vendor: Path) -> None:
        self._static = static
        self._vendor = vendor
        self._stamps: object = None
        self._html = ""
        self.version = ""
        self.html()

    def html(self) -> str:
        """Who works on the page sees what it is now."""
        files = self._files()
        stamps = [(path, path.stat().st_mtime_ns) for path in files]
        if stamps != self._stamps:
            self.version = _digest(files)
            self._html = self._assembled()
            self._stamps = stamps
        return self._html

    def _assembled(self) -> str:
        html = (self._static / "index.html").read_text("utf-8")
        preloads = "".join(f'<link rel="modulepreload" href="{address}" />\n    ' for address in self._modules(html))
        return html.replace(MAIN, preloads + MAIN).replace(f'"{ROOT}', f'"{ROOT}@{self.version}/')

    def _files(self) -> Sequence[Path]:
        """All of ours; for those of a vendored package, 20 MB in all, stands its package.json."""
        # Installed, what is vendored lies among them.
        own = (path for path in self._static.rglob("*.*") if self._vendor not in path.parents)
        return sorted([*own, *self._vendor.glob("*/package.json")])

    def _modules(self, html: str) -> Iterator[str]:
        """The addresses of what `main.js` imports, and what that imports, and so on."""
        names = json.loads(found[1])["imports"] if (found := IMPORT_MAP.search(html)) else {}
        seen, left = set(), [f"{ROOT}main.js"]
        while left:
            address = left.pop(0)
            path = self._path(address)
            if address in seen or not path.is_file():
                continue
            seen.add(address)
            yield address
            left += [
                normpath(join(dirname(address), name)) if name.startswith(".") else names[name]
                for name in IMPORTED.findall(path.read_text("utf-8"))
            ]

    def _path(self, address: str) -> Path:
        name = address.removeprefix(ROOT)
        return self._vendor / name.removeprefix("vendor/") if name.startswith("vendor/") else self._static / name


def _digest(files: Iterable[Path]) -> str:
    found = hashlib.sha256()
    for path in files:
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()[:12]


def named(html: str, owner: str, signs_in: bool) -> str:
    """Says in the page whose it is: what it keeps in the browser, it keeps by that name."""
    more = " data-signs-in" if signs_in else ""
    return html.replace(OWNER, f'<meta name="owner" content="{escape(owner)}"{more} />')


class PageFiles(StaticFiles):
    """Kept by browsers for good under the address of their version, asked for again under any other."""

    def __init__(self, page: Page, directory: Path) -> None:
        super().__init__(directory=directory, check_dir=False)  # what is vendored is not there before it is built
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        current = scope.get("path_params", {}).get("version") == self._page.version
        kept = b"max-age=31536000, immutable" if current else b"no-cache"

        async def send_kept(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"cache-control", kept)]
            await send(message)

        await super().__call__(scope, receive, send_kept)


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
