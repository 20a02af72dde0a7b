"""What the providers behind a vendor's SDK have in common.

The SDK brings the request's shape, its authentication and its errors; the bytes of the answer are read raw,
because its stream objects cost 46-196 µs a chunk.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from typing import Any, Generic, Protocol, TypeVar

from server.chat.errors import ProviderError
from server.chat.provider import Delta, ModelInfo, Prompt, ProviderInfo
from server.providers.errors import AUTH, error, provider_error

DRAIN_TIMEOUT = 0.1  # seconds


class SDKClient(Protocol):
    async def close(self) -> None: ...


Client = TypeVar("Client", bound=SDKClient)


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


class SDKProvider(ABC, Generic[Client]):
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
        self._client: Client | None = None
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
            asking = self.ask(await self._connected(), prompt, self._key(prompt))
            async with asking as response:
                answering = True
                async with aclosing(response.http_response.aiter_raw()) as pieces:
                    async for piece in pieces:
                        for delta in answer.feed(piece):
                            yield delta
                        if answer.done:
                            await _drain(pieces)
                            break
        except Exception as problem:
            # An SDK may put what our HTTP client says about a response inside an error of its own.
            cause = problem.__cause__ if isinstance(problem.__cause__, ProviderError) else problem
            failure = provider_error(self.name, cause, answering)
            if not (answer.finished and failure.code == "provider_truncated"):
                raise failure from None  # not "from problem": that one's text may hold a key
        for delta in answer.end():
            yield delta

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.close()

    @abstractmethod
    def connect(self) -> Client:
        """Import the SDK and make the client: up to seconds of work the first time, so it runs in a thread."""

    @abstractmethod
    def ask(self, client: Client, prompt: Prompt, key: str | None) -> AbstractAsyncContextManager[Any]:
        """The request, as the SDK's raw streaming response."""

    @abstractmethod
    def reader(self) -> Reader: ...

    async def _connected(self) -> Client:
        async with self._connecting:
            if self._client is None:
                self._client = await asyncio.to_thread(self.connect)
        return self._client

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


def well_formed(text: str) -> str:
    """`text` as it can be encoded: pairs of surrogates joined, lone ones replaced."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Read what may follow the last event, so that the connection can be used again."""
    with suppress(Exception):  # the answer is whole, whatever happens now
        async with asyncio.timeout(DRAIN_TIMEOUT):
            async for _ in pieces:
                pass
