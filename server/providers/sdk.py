"""What the providers behind a vendor's SDK have in common.

The SDK says where a request goes and with which headers, as it would send it; the request itself is made beside it,
because its `create` takes 1.8 ms of CPU where this takes 0.1, and its stream objects 46-196 µs a chunk. A test holds
what is sent against what the SDK sends.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

from pydantic_core import from_json

from server.chat.errors import ProviderError
from server.chat.provider import Delta, ModelInfo, Prompt, ProviderInfo, Turn
from server.providers.errors import error, provider_error
from server.providers.meanings import AUTH

if TYPE_CHECKING:
    from server.providers.http_client import HttpClient, Response

DRAIN_TIMEOUT = 0.1  # seconds
REST_TIMEOUT = 2.0  # seconds
ASK_FOR_EVENTS = {"accept": "text/event-stream", "accept-encoding": "identity"}
"""Headers of every request. Without compression, a few bytes on the wire cannot become gigabytes here."""


@dataclass(frozen=True)
class Vendor:
    """Where requests go, with which headers, and what sends them."""

    url: str
    headers: Mapping[str, str]
    http: HttpClient

    async def ask(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
        """Send a request; its answer, whose body is still to be read."""
        headers = {"content-type": "application/json", **self.headers, **ASK_FOR_EVENTS, **headers}
        return await self.http.post(self.url, headers, _json(body))


class Reader(Protocol):
    """The bytes of one answer in, its deltas out. No network."""

    done: bool  # the server said that nothing more will come

    @property
    def finished(self) -> bool:
        """Whether the server said that the text is whole."""
        ...

    def feed(self, piece: bytes) -> Iterator[Delta]:
        """The deltas that `piece` completes. Raises ProviderError and SSEDecodeError."""
        ...

    def end(self) -> Iterator[Delta]:
        """What remains to be said when the stream has ended. Raises ProviderError if the answer is not whole."""
        ...


class SDKProvider(ABC):
    """`key_name` is the environment variable that holds the operator's key, or None for a server that needs none.

    One client for all requests, made when the first one comes. `connect_timeout` is in seconds.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002
        name: str,
        api_key: str | None,
        key_name: str | None,
        base_url: str,
        connect_timeout: float,
        models: Sequence[ModelInfo],
        default_model: str | None,
    ) -> None:
        self.id = id
        self.name = name
        self.base_url = base_url
        self.connect_timeout = connect_timeout
        self.models = {model.id: model for model in models}
        self._api_key = api_key
        self._key_name = key_name
        self._default_model = default_model
        self._vendor: Vendor | None = None
        self._connecting = asyncio.Lock()

    @property
    def info(self) -> ProviderInfo:
        ready = bool(self._api_key) or self._key_name is None
        return ProviderInfo(
            id=self.id,
            name=self.name,
            ready=ready,
            reason=None if ready else f"{self._key_name} is not set",
            default_model=self._default_model,
            models=tuple(self.models.values()),
            accepts_any_model=True,
        )

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Delta, None]:
        answer = self.reader()
        answering = False
        try:
            vendor = await self._connected()
            response = await self.ask(vendor, prompt)
            async with aclosing(response):
                answering = True
                pieces = aiter(response)
                while not (answer.finished or answer.done):
                    async for piece in pieces:
                        prompt.heard()
                        for delta in answer.feed(piece):
                            yield delta
                        if answer.finished or answer.done:
                            break
                    else:
                        break  # the stream has ended
                    late = asyncio.get_running_loop().time() + REST_TIMEOUT
                    while answer.finished and not answer.done and (piece := await _until(late, pieces)):
                        for delta in answer.feed(piece):
                            yield delta
                if answer.done and not response.over:
                    await _drain(pieces)
        except Exception as problem:
            failure = provider_error(self.name, problem, answering)
            if not answer.finished:  # what goes wrong behind the finish takes nothing from the text
                raise failure from None  # not "from problem": that one's text may hold a key
        for delta in answer.end():
            yield delta

    async def ask(self, vendor: Vendor, prompt: Prompt) -> Response:
        return await self.send(vendor, prompt, self.request(prompt))

    async def send(self, vendor: Vendor, prompt: Prompt, body: Mapping[str, Any]) -> Response:
        return await vendor.ask(body, self.authorization(self._key(prompt)))

    async def aclose(self) -> None:
        if self._vendor is not None:
            await self._vendor.http.aclose()

    @abstractmethod
    def connect(self) -> Vendor:
        """Ask the SDK: to import it is up to seconds of work the first time, so this runs in a thread."""

    @abstractmethod
    def request(self, prompt: Prompt) -> dict[str, Any]:
        """The body of the request."""

    @abstractmethod
    def authorization(self, key: str | None) -> dict[str, str]:
        """The header that brings the key."""

    @abstractmethod
    def reader(self) -> Reader: ...

    async def _connected(self) -> Vendor:
        async with self._connecting:
            if self._vendor is None:
                self._vendor = await asyncio.to_thread(self.connect)
        return self._vendor

    def _key(self, prompt: Prompt) -> str | None:
        """Raises ProviderError for a key that cannot be one."""
        key = prompt.api_key or self._api_key
        if not key and self._key_name is None:
            return None
        if not key:
            raise ProviderError("provider_auth", f"{self.name} needs an API key. Set {self._key_name}.")
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise error(AUTH, self.name)  # before the HTTP library refuses it, with the key in its message
        return key


def at(base_url: object, path: str) -> str:
    return f"{str(base_url).rstrip('/')}/{path}"


def as_sent(headers: Mapping[str, object], but: Sequence[str]) -> dict[str, str]:
    """An SDK's default headers, in lower case, without those it omits itself and those named by `but`."""
    lowered = {name.lower(): value for name, value in headers.items() if isinstance(value, str)}
    return {name: value for name, value in lowered.items() if name not in but}


def parsed(data: str) -> Any:
    """A JSON value. Raises ValueError and RecursionError."""
    try:
        return from_json(data, cache_strings="keys")
    except ValueError:
        return json.loads(data)  # half a character is no JSON to the one that is twice as fast


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def well_formed(text: str) -> str:
    """`text` as it can be encoded: pairs of surrogates joined, lone ones replaced."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def alternating(turns: Sequence[Turn]) -> list[dict[str, str]]:
    """The turns as vendors take them: none empty, never two of one role together, the user's first.

    Perplexity and the templates of many open models refuse two questions in a row, which is what is left where an
    answer failed before its first word.
    """
    spoken = [turn for turn in turns if turn.content.strip()]
    merged = [
        {"role": role, "content": "\n\n".join(well_formed(turn.content) for turn in group)}
        for role, group in groupby(spoken, key=lambda turn: turn.role)
    ]
    return merged[1:] if merged and merged[0]["role"] == "assistant" else merged


async def _until(late: float, pieces: AsyncIterator[bytes]) -> bytes:
    """What comes behind the finish, the usage say; nothing if the vendor leaves its end unsaid."""
    try:
        async with asyncio.timeout_at(late):
            return await anext(pieces, b"")
    except TimeoutError:
        return b""


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Read what may follow the last event, so that the connection can be used again."""
    with suppress(Exception):  # the answer is whole, whatever happens now
        async with asyncio.timeout(DRAIN_TIMEOUT):
            async for _ in pieces:
                pass
