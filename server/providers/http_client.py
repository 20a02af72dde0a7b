"""The HTTP client for all vendors.

Importing this module takes half a second: import it where it is used.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol
from urllib.request import getproxies

import httpx2

from server.chat.errors import ProviderError
from server.providers.errors import error, event_error, inner, named, number, status_error
from server.providers.lean_http import LeanClient
from server.providers.meanings import MALFORMED, UNUSABLE_PROXY
from server.providers.sse_decoder import BOM, MAX_EVENT

MAX_ERROR = 65_536  # bytes of an error's body that are read
ERROR_TIMEOUT = 5.0  # seconds for it
EVENT_STREAM = b"text/event-stream"
# What RamaLama, LitServe, and some gateways in front of vLLM call their streams.
ALSO_EVENTS = (b"text/plain", b"application/x-ndjson", b"application/json")
FIELDS = (b"event:", b"data:", b"id:", b":")  # what a stream of events begins with, the longest first
BLANKS = b" \r\n" + BOM

RawHeaders = Sequence[tuple[bytes, bytes]]


class Response(Protocol):
    """The head of an answer, and its body, piece by piece."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> RawHeaders: ...

    @property
    def over(self) -> bool:
        """Whether the end has come already, as far as that is known."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None: ...


class HttpClient:
    """For answers that are plain event streams, also under another name that is in use for them, and for one in the
    OpenAI format that comes whole: some gateways stream nothing, whatever they are asked. Anything else raises
    ProviderError.

    `name` is the provider's, for the sentences; `connect_timeout` is in seconds. There is no other timeout, since
    whoever waits for an answer knows for how long. Redirects are not followed, because the key would go with them.
    """

    def __init__(self, name: str, connect_timeout: float) -> None:
        self._name = name
        try:
            self._http = ProxiedClient(connect_timeout) if getproxies() else LeanClient(connect_timeout)
        except (ValueError, ImportError, httpx2.InvalidURL):  # no address, or SOCKS
            raise error(UNUSABLE_PROXY, name) from None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Raises ProviderError, httpx2.HTTPError and InvalidURL."""
        response: Response = await self._http.post(url, headers, body)
        if is_event_stream(response):
            return response
        may_answer = response.status == 200 and kind_of(response) in ALSO_EVENTS
        if may_answer and is_plain(response):
            response = Begun(response)
            if await response.looks_like_events():
                return response
        said = await read_body(response, may_answer)
        if may_answer and isinstance(said, dict) and said.get("choices"):
            return Whole(response, said)
        raise refused(self._name, response, said)

    async def aclose(self) -> None:
        await self._http.aclose()


def no_client() -> httpx2.AsyncClient:
    """For an SDK's constructor: it is asked for addresses and headers only, and sends nothing by it."""
    return httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: httpx2.Response(501)))


class ProxiedClient:
    """Over httpx2, which finds the way through proxies."""

    def __init__(self, connect_timeout: float) -> None:
        self._http = httpx2.AsyncClient(
            timeout=httpx2.Timeout(None, connect=connect_timeout),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=30),
            follow_redirects=False,
        )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> ProxiedResponse:
        # Not `build_request`, which would add headers of its own.
        timeout = {"timeout": self._http.timeout.as_dict()}
        request = httpx2.Request("POST", url, headers=headers, content=body, extensions=timeout)
        return ProxiedResponse(await self._http.send(request, stream=True))

    async def aclose(self) -> None:
        await self._http.aclose()


class ProxiedResponse:
    over = False

    def __init__(self, response: httpx2.Response) -> None:
        self.status = response.status_code
        self.headers = response.headers.raw
        self._response = response

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._response.aiter_raw()

    async def aclose(self) -> None:
        await self._response.aclose()


class Begun:
    """One whose first bytes can be looked at."""

    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._pieces = aiter(response)
        self._begin = b""

    @property
    def over(self) -> bool:
        return self._response.over

    async def looks_like_events(self) -> bool:
        """Closed if nobody waits for it any more."""
        try:
            async for piece in self._pieces:
                self._begin += piece
                begin = self._begin.lstrip(BLANKS)
                if len(begin) >= len(FIELDS[0]) or len(self._begin) > MAX_ERROR:
                    return begin.startswith(FIELDS)
        except BaseException:
            await self.aclose()
            raise
        return False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._begin
        async for piece in self._pieces:
            yield piece

    async def aclose(self) -> None:
        await self._response.aclose()


class Whole:
    """What has come in one piece, as the stream that was asked for."""

    status = 200
    over = True

    def __init__(self, response: Response, said: Mapping[str, object]) -> None:
        self.headers = response.headers
        self._said = said

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(self._said).encode()

    async def aclose(self) -> None:
        """It is over."""


def is_event_stream(response: Response) -> bool:
    """Whether it is a plain one. Without compression, a few bytes on the wire cannot become gigabytes here."""
    return response.status == 200 and kind_of(response) == EVENT_STREAM and is_plain(response)


def kind_of(response: Response) -> bytes:
    kinds = [value for name, value in response.headers if name.lower() == b"content-type"]
    return kinds[0].partition(b";")[0].strip().lower() if kinds else EVENT_STREAM


def is_plain(response: Response) -> bool:
    return all(value.lower() == b"identity" for name, value in response.headers if name.lower() == b"content-encoding")


async def read_body(response: Response, may_answer: bool) -> object:
    """The whole body as JSON, or None if it is something else, too long, too slow or cut short. Closes the response."""
    # An answer takes the time that it takes, and whoever waits for it knows for how long.
    longest, timeout = (MAX_EVENT, None) if may_answer else (MAX_ERROR, ERROR_TIMEOUT)
    read = bytearray()
    try:
        if not is_plain(response):
            return None
        async with asyncio.timeout(timeout):
            async for piece in response:
                read += piece
                if len(read) > longest:
                    return None
        return json.loads(read)
    except (ValueError, RecursionError, TimeoutError, httpx2.HTTPError):
        return None
    finally:
        await response.aclose()


def refused(name: str, response: Response, said: object) -> ProviderError:
    """What it means that a response is no event stream; `said` is its body, if that is JSON."""
    if response.status != 200:
        return status_error(name, response.status, httpx2.Headers(list(response.headers)), said)
    # LM Studio answers 200 wherever it is asked: where an error says nothing that is known, the address is wrong.
    meanings = list(named(said)) if isinstance(said, dict) and said.get("error") else []
    return event_error(name, said) if meanings or number(inner(said).get("code")) else error(MALFORMED, name)
