"""The page as it is served: what browsers may keep of it, and what they are told to fetch at once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from server.api import page
from server.api.requests import OWNER_KEY

pytestmark = pytest.mark.anyio

SEEN = "max-age=31536000, immutable"
MAIN = 'import { a } from "./parts/a.js";\nimport {\n  b,\n} from "vendored";\nimport("./late.js");\n'
HTML = """<meta name="owner" content="" />
<link rel="stylesheet" href="/static/page.css" />
<script type="importmap">{"imports": {"vendored": "/static/vendor/v/v.js"}}</script>
<script type="module" src="/static/main.js"></script>
"""
FILES = {
    "static/index.html": HTML,
    "static/main.js": MAIN,
    "static/late.js": "",
    "static/page.css": "",
    "static/parts/a.js": 'export { b } from "../b.js";\nexport const c = () => {\n  return "x";\n};\n',
    "static/b.js": 'import { a } from "./parts/a.js";\n',
    "vendor/v/v.js": "export const b = 1;\n",
    "vendor/v/package.json": '{"version": "1.0"}',
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return tmp_path


class LetIn:
    """As the gate does it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, OWNER_KEY: "o'ada"}, receive, send)


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=page.routes(folder / "static", folder / "vendor", signs_in=True))
    app.add_middleware(LetIn)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


async def test_the_page_says_whose_it_is(client: httpx.AsyncClient) -> None:
    assert '<meta name="owner" content="o&#x27;ada" data-signs-in />' in (await client.get("/")).text


async def test_files_are_kept_under_the_version_that_the_page_names_and_asked_for_again_under_others(
    client: httpx.AsyncClient,
) -> None:
    html = (await client.get("/")).text
    for address in (*_addresses(html), *_imported(html)):
        found = await client.get(address)
        assert (found.status_code, found.headers["cache-control"]) == (200, SEEN), address
    for address in ("/static/main.js", "/static/@000000000000/main.js", "/static/vendor/v/v.js"):
        found = await client.get(address)
        assert (found.status_code, found.headers["cache-control"]) == (200, "no-cache"), address


async def test_files_are_compressed_for_those_who_take_it(client: httpx.AsyncClient, folder: Path) -> None:
    text = "export const a = 1;\n" * 1_000
    (folder / "static" / "late.js").write_text(text, "utf-8")
    found = await client.get("/static/late.js")
    assert (found.headers["content-encoding"], found.text) == ("gzip", text)
    assert found.num_bytes_downloaded < len(text) / 10
    plain = await client.get("/static/late.js", headers={"Accept-Encoding": "identity"})
    assert ("content-encoding" not in plain.headers, plain.text) == (True, text)
    again = await client.get("/static/late.js", headers={"If-None-Match": found.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["static/late.js", "static/page.css", "vendor/v/package.json"])
async def test_with_any_file_the_version_changes(client: httpx.AsyncClient, folder: Path, name: str) -> None:
    before = _addresses((await client.get("/")).text)
    (folder / name).write_text("another", "utf-8")
    after = _addresses((await client.get("/")).text)
    assert set(before).isdisjoint(after)
    assert (await client.get(after[0])).headers["cache-control"] == SEEN
    assert (await client.get(before[0])).headers["cache-control"] == "no-cache"


async def test_where_vendored_files_lie_among_ours_they_are_named_by_their_package(folder: Path) -> None:
    vendor = (folder / "vendor").rename(folder / "static" / "vendor")
    served = page.Page(folder / "static", vendor)
    before = served.version
    (vendor / "v" / "v.js").write_text("another", "utf-8")
    served.html()
    assert served.version == before
    (vendor / "v" / "package.json").write_text("another", "utf-8")
    served.html()
    assert served.version != before


async def test_all_modules_that_the_page_begins_with_are_named_in_it_once(client: httpx.AsyncClient) -> None:
    html = (await client.get("/")).text
    told = re.findall(r'modulepreload" href="([^"]+)"', html)
    assert sorted(re.sub("@[0-9a-f]{12}/", "", address) for address in told) == [
        "/static/b.js",
        "/static/main.js",
        "/static/parts/a.js",
        "/static/vendor/v/v.js",
    ]
    # A browser that sees a module before the import map may not take the map any more.
    assert html.index("importmap") < html.index("modulepreload")


async def test_the_policy_allows_the_import_map_as_it_is_served(client: httpx.AsyncClient) -> None:
    served = await client.get("/")
    assert served.headers["content-security-policy"] == page.policy(served.text)
    assert "'sha256-" in page.policy(served.text)


def _addresses(html: str) -> list[str]:
    return re.findall(r'(?:href|src)="([^"]+)"', html)


def _imported(html: str) -> list[str]:
    return re.findall(r': "(/static[^"]+)"', html)
