"""The HTTP client for all vendors.

Importing this module takes half a second: import it where it is used.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.request import getproxies

import httpx2

from server.providers.errors import MALFORMED, error, event_error, status_error
from server.providers.lean_transport import LeanTransport

MAX_ERROR = 65_536  # bytes of an error's body that are read
ERROR_TIMEOUT = 5.0  # seconds for it
EVENT_STREAM = "text/event-stream"


def http_client(name: str, connect_timeout: float) -> httpx2.AsyncClient:
    """A client that answers with plain event streams only, and raises ProviderError for anything else.

    `name` is the provider's, for the sentences; `connect_timeout` is in seconds. There is no other
    timeout, since whoever waits for an answer knows for how long. Redirects are not followed, because
    the key would go with them. At most `MAX_ERROR` bytes of an error are read.
    """
    if not getproxies():
        return DirectClient(LeanTransport(connect_timeout), events_only(name))
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(None, connect=connect_timeout),
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=30),
        follow_redirects=False,
        event_hooks={"response": [events_only(name)]},
    )


class DirectClient(httpx2.AsyncClient):
    """Sends requests as they are. What httpx2 does around that (proxies, redirects, cookies, logins) is none of it
    wanted here, and takes as long as the request itself.
    """

    def __init__(
        self, transport: httpx2.AsyncBaseTransport, check: Callable[[httpx2.Response], Awaitable[None]]
    ) -> None:
        super().__init__(transport=transport, timeout=None)
        self._direct = transport
        self._check = check

    async def send(self, request: httpx2.Request, **how: Any) -> httpx2.Response:
        response = await self._direct.handle_async_request(request)
        try:
            await self._check(response)
        except BaseException:
            await response.aclose()
            raise
        return response


def events_only(name: str) -> Callable[[httpx2.Response], Awaitable[None]]:
    async def check(response: httpx2.Response) -> None:
        plain = response.headers.get("content-encoding", "identity") == "identity"
        kind = response.headers.get("content-type", EVENT_STREAM).partition(";")[0].strip().lower()
        if response.status_code == 200 and kind == EVENT_STREAM and plain:
            return
        body = await read_json(response) if plain else None
        if response.status_code != 200:
            raise status_error(name, response.status_code, response.headers, body)
        if isinstance(body, dict) and "error" in body:
            raise event_error(name, body)
        raise error(MALFORMED, name)

    return check


async def read_json(response: httpx2.Response) -> object:
    """The body as JSON, or None if it is something else, too long, too slow or cut short."""
    body = b""
    try:
        async with asyncio.timeout(ERROR_TIMEOUT):
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > MAX_ERROR:
                    return None
        return json.loads(body)
    except (ValueError, RecursionError, TimeoutError, httpx2.HTTPError):
        return None
