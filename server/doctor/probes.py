"""The server's probe, over each transport: stamped ticks, and when they arrive."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Literal

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidProxyStatus, InvalidStatus, WebSocketException

Transport = Literal["sse", "ndjson", "poll", "websocket"]

TRANSPORTS: tuple[Transport, ...] = ("sse", "ndjson", "poll", "websocket")
PATIENCE = 10.0  # seconds for an answer to begin, and beyond what a probe takes
CLOCK_TRIES = 5


class Unusable(Exception):
    """Nothing can be found out at this address; the message says why."""


class Refused(Exception):
    """Something answered, but not with the probe."""


@dataclass(frozen=True)
class Place:
    """A server's address, and how to get there. `proxy`: None for what the environment says."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    proxy: str | None = None

    @cached_property
    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def client(self, timeout: float) -> httpx.AsyncClient:
        """Raises Unusable."""
        try:
            return httpx.AsyncClient(
                base_url=self.url, headers=self.headers, proxy=self.proxy, timeout=timeout, verify=self.tls
            )
        except (ValueError, ImportError, httpx.InvalidURL) as error:  # ImportError: a SOCKS proxy
            raise Unusable(f"this cannot be asked with these headers, or by this proxy: {error}") from None


@dataclass(frozen=True)
class Asked:
    """`interval`: seconds between two ticks."""

    ticks: int = 8
    interval: float = 0.25

    @property
    def span(self) -> float:
        return (self.ticks - 1) * self.interval

    @property
    def parameters(self) -> dict[str, str]:
        return {"ticks": str(self.ticks), "interval": str(self.interval)}


@dataclass
class Probe:
    """What one transport brought. Times are in seconds since 1970 by this machine's clock; `ticks` are pairs of when
    a tick was sent and when it arrived; `problem` is why there were not more.
    """

    asked: Asked
    begun: float = field(default_factory=time.time)
    ended: float = 0.0
    ticks: list[tuple[float, float]] = field(default_factory=list)
    problem: str | None = None

    @property
    def complete(self) -> bool:
        return len(self.ticks) == self.asked.ticks

    @property
    def delays(self) -> list[float]:
        return [arrived - sent for sent, arrived in self.ticks]

    @property
    def held_one_back(self) -> bool:
        """Whether each tick came when the next one was sent."""
        pairs = zip(self.ticks, self.ticks[1:], strict=False)
        return len(self.ticks) > 2 and all(one[1] > following[0] - 0.02 for one, following in pairs)


@dataclass(frozen=True)
class Clock:
    """`ahead`: seconds that the server's clock is ahead of ours, give or take half of `round_trip`."""

    ahead: float
    round_trip: float


async def set_clock(place: Place) -> tuple[Clock, Mapping[str, str]]:
    """Compare the clocks; with the headers of an answer, in which proxies name themselves. Raises Unusable."""
    tried = []
    async with place.client(PATIENCE) as client:
        for _ in range(CLOCK_TRIES):
            begun = time.time()
            try:
                response = await client.get("/api/stream/probe", params={"format": "json", "ticks": "1"})
            except (httpx.HTTPError, OSError) as error:
                raise Unusable(f"{place.url} cannot be reached: {_told(error)}") from None
            ended = time.time()
            tried.append(Clock(_stamp(_tick_in(place, response)) - (begun + ended) / 2, ended - begun))
    return min(tried, key=lambda clock: clock.round_trip), response.headers


def _tick_in(place: Place, response: httpx.Response) -> str:
    if response.status_code in (401, 403):
        given = any(name.lower() == "authorization" for name in place.headers)
        what = "it does not know the token" if given else "give -H 'Authorization: Bearer …'"
        raise Unusable(f"{place.url} answers {response.status_code}: {what}")
    try:
        stamp = response.json()["events"][0]["server_time"]
    except (ValueError, LookupError, TypeError):
        raise Unusable(f"{place.url} answers {response.status_code}, but not as Xionimus does") from None
    return str(stamp)


async def probe(place: Place, transport: Transport, asked: Asked, clock: Clock) -> Probe:
    """Never raises for what the network does: that is what is to be found out."""
    found = Probe(asked)
    patience = PATIENCE + asked.ticks * asked.interval
    readers = {"sse": _sse, "ndjson": _ndjson, "poll": _poll, "websocket": _websocket}
    try:
        async with asyncio.timeout(patience), aclosing(readers[transport](place, asked)) as stamps:
            async for stamp in stamps:
                found.ticks.append((_stamp(stamp) - clock.ahead, time.time()))
        if not found.complete:
            found.problem = "it ended early"
    except (Refused, httpx.HTTPError, OSError, WebSocketException, ValueError, LookupError) as error:
        found.problem = _told(error)
    found.ended = time.time()
    return found


def _stamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _told(error: Exception) -> str:
    if isinstance(error, InvalidProxyStatus):
        return f"the proxy refuses the connection with status {error.response.status_code}"
    if isinstance(error, InvalidStatus):
        return f"status {error.response.status_code}"
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "no answer in time"
    return str(error) or type(error).__name__


async def _sse(place: Place, asked: Asked) -> AsyncGenerator[str]:
    async for line in _lines(place, asked, "sse"):
        if line.startswith("data: "):
            yield json.loads(line[6:])["server_time"]


async def _ndjson(place: Place, asked: Asked) -> AsyncGenerator[str]:
    async for line in _lines(place, asked, "ndjson"):
        if line:
            yield json.loads(line)["server_time"]


async def _lines(place: Place, asked: Asked, form: str) -> AsyncGenerator[str]:
    parameters = {"format": form, **asked.parameters}
    patience = PATIENCE + asked.span
    async with (
        place.client(patience) as client,
        client.stream("GET", "/api/stream/probe", params=parameters) as response,
    ):
        if response.status_code != 200:
            raise Refused(f"status {response.status_code}")
        rest = ""
        async for text in response.aiter_text():
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                yield line


async def _poll(place: Place, asked: Asked) -> AsyncGenerator[str]:
    done, after = False, "0"
    async with place.client(PATIENCE + asked.interval) as client:
        while not done:
            parameters = {"format": "json", "after": after, **asked.parameters}
            response = await client.get("/api/stream/probe", params=parameters)
            if response.status_code != 200:
                raise Refused(f"status {response.status_code}")
            page = response.json()
            done, after = page["done"], page["cursor"]
            yield page["events"][0]["server_time"]


async def _websocket(place: Place, asked: Asked) -> AsyncGenerator[str]:
    url = httpx.URL(place.url.replace("http", "ws", 1) + "/ws/probe", params=asked.parameters)
    proxy: str | Literal[True] = place.proxy or True
    async with connect(
        str(url), additional_headers=place.headers, proxy=proxy, open_timeout=PATIENCE, close_timeout=1
    ) as socket:
        async for frame in socket:
            yield json.loads(frame)["server_time"]
