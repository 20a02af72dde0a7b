"""OpenAI's Chat Completions, and every server that speaks the same format.

https://developers.openai.com/api/reference/resources/chat for the format; Ollama, vLLM, llama.cpp,
OpenRouter, Groq and others differ from it in what is noted where it is handled.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from server.chat.errors import ProviderError
from server.chat.provider import (
    Delta,
    Finish,
    FinishReason,
    ModelInfo,
    Prompt,
    ProviderInfo,
    Text,
    Thinking,
    Usage,
)
from server.providers.errors import AUTH, MALFORMED, TRUNCATED, error, event_error, provider_error
from server.providers.sse_decoder import SSEDecoder

if TYPE_CHECKING:
    from openai import AsyncOpenAI

BASE_URL = "https://api.openai.com/v1"
OWN_HOSTS = (".openai.com", ".openai.azure.com")
DRAIN_TIMEOUT = 0.1  # seconds

FINISH_REASONS: Mapping[str, FinishReason] = {"length": "length", "content_filter": "content_filter"}


class OpenAIProvider:
    """A server that speaks the OpenAI format, under one base URL.

    `key_name` is the environment variable that holds the operator's key, or None for a server that
    needs no key. `connect_timeout` is in seconds.
    """

    def __init__(
        self,
        *,
        id: str = "openai",  # noqa: A002
        name: str = "OpenAI",
        api_key: str | None,
        key_name: str | None = "OPENAI_API_KEY",
        base_url: str | None = None,
        connect_timeout: float = 10.0,
        models: Sequence[ModelInfo] = (),
        default_model: str | None = None,
    ) -> None:
        self.id = id
        self.name = name
        self._api_key = api_key
        self._key_name = key_name
        self._base_url = base_url or BASE_URL
        self._connect_timeout = connect_timeout
        self._models = {model.id: model for model in models}
        self._default_model = default_model
        self._client: AsyncOpenAI | None = None
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
            models=tuple(self._models.values()),
            accepts_any_model=True,
        )

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Delta, None]:
        answer = self.reader()
        answering = False
        try:
            client = await self._connected()
            headers = self._headers(prompt.api_key or self._api_key)
            create = client.chat.completions.with_streaming_response.create
            async with create(**self.request(prompt), extra_headers=headers) as response:
                answering = True
                async with aclosing(response.http_response.aiter_raw()) as pieces:
                    async for piece in pieces:
                        for delta in answer.feed(piece):
                            yield delta
                        if answer.done:
                            await drain(pieces)
                            break
        except Exception as problem:
            failure = provider_error(self.name, problem, answering)
            if not (answer.finished and failure.code == "provider_truncated"):
                raise failure from None  # not "from problem": that one's text may hold a key
        for delta in answer.end():
            yield delta

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.close()

    def reader(self) -> AnswerReader:
        return AnswerReader(self.name)

    def request(self, prompt: Prompt) -> dict[str, Any]:
        """The body of the request."""
        body: dict[str, Any] = {
            "model": prompt.model,
            "messages": messages(prompt),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if prompt.max_tokens is not None:
            body[self._limit_name()] = prompt.max_tokens
        if prompt.temperature is not None:
            body["temperature"] = prompt.temperature
        model = self._models.get(prompt.model)
        if prompt.ultra_thinking and model is not None and model.thinking:
            body["reasoning_effort"] = "high"
        return body

    def _limit_name(self) -> str:
        # OpenAI's reasoning models refuse the old name, and many of the others know only that one.
        host = "." + (urlsplit(self._base_url).hostname or "")
        return "max_completion_tokens" if host.endswith(OWN_HOSTS) else "max_tokens"

    def _headers(self, key: str | None) -> dict[str, Any]:
        from openai import omit

        from server.providers.http_client import ASK_FOR_EVENTS

        # The SDK takes organization and project from the environment, for every server alike; they belong
        # to one account at OpenAI, while a key may come from anybody and go anywhere.
        account = {"OpenAI-Organization": omit, "OpenAI-Project": omit}
        authorization = omit if not key and self._key_name is None else f"Bearer {self._checked(key)}"
        return {**ASK_FOR_EVENTS, **account, "Authorization": authorization}

    def _checked(self, key: str | None) -> str:
        if not key:
            raise ProviderError("provider_auth", f"{self.name} needs an API key. Set {self._key_name}.")
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise error(AUTH, self.name)  # before the HTTP library refuses it, with the key in its message
        return key

    async def _connected(self) -> AsyncOpenAI:
        async with self._connecting:
            if self._client is None:
                self._client = await asyncio.to_thread(self._connect)
        return self._client

    def _connect(self) -> AsyncOpenAI:
        """Import the SDK and make the client: up to seconds of work the first time, hence in a thread."""
        from openai import AsyncOpenAI

        from server.providers.http_client import http_client

        client = AsyncOpenAI(
            # Each request states its own key. With None, the SDK would take OpenAI's from the environment.
            api_key="unused",
            base_url=self._base_url,
            max_retries=0,
            http_client=http_client(self.name, self._connect_timeout),
        )
        client._custom_headers = {}  # OPENAI_CUSTOM_HEADERS, which would go to every server too
        _ = client.chat.completions.with_streaming_response  # imports more
        return client


class AnswerReader:
    """The bytes of one answer in, its deltas out. No network.

    `done` once the server said that nothing more will come.
    """

    def __init__(self, name: str) -> None:
        self.done = False
        self._name = name
        self._decoder = SSEDecoder()
        self._usage: Usage | None = None
        self._finish: Finish | None = None
        self._has_text = False

    def feed(self, piece: bytes) -> Iterator[Delta]:
        """The deltas that `piece` completes. Raises ProviderError and SSEDecodeError."""
        for event in self._decoder.feed(piece):
            if self.done:
                return
            if event.data == "[DONE]":
                self.done = True
            else:
                yield from self._chunk(event.data)

    def end(self) -> Iterator[Delta]:
        """What remains to be said after a clean end. Raises ProviderError if the answer is not whole.

        Some servers send no [DONE], some no finish reason; one of the two must have come.
        """
        if self._finish is None and not (self.done and self._has_text):
            raise error(TRUNCATED, self._name)
        yield from self.rest()
        if self._usage is not None:
            yield self._usage
        yield self._finish or Finish("stop")

    @property
    def finished(self) -> bool:
        """Whether the server said that the text is whole; the usage may still follow."""
        return self._finish is not None

    def text(self, content: str) -> list[Delta]:
        """What a piece of the answer's `content` is."""
        return [Text(content)]

    def extras(self, chunk: Mapping[str, Any]) -> list[Delta]:
        """What a chunk says beside its choices. Raises AttributeError and the like for a wrong shape."""
        return []

    def rest(self) -> list[Delta]:
        """What `text` has held back."""
        return []

    def _chunk(self, data: str) -> list[Delta]:
        try:
            chunk = json.loads(data)
            # An older vLLM sends the error object without an envelope.
            if chunk.get("error") or chunk.get("object") == "error":
                raise event_error(self._name, chunk)
            self._note_usage(chunk.get("usage"))
            choices = chunk.get("choices")  # empty in the chunk with the usage
            return self.extras(chunk) + (self._choice(choices[0]) if choices else [])
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            raise error(MALFORMED, self._name) from None

    def _choice(self, choice: Mapping[str, Any]) -> list[Delta]:
        deltas = self._delta(choice.get("delta") or {})
        reason = choice.get("finish_reason")
        if reason == "error":  # OpenRouter: the vendor behind it failed
            raise error(TRUNCATED, self._name)
        if reason:
            self._finish = Finish(FINISH_REASONS.get(reason, "stop"))
        return deltas

    def _delta(self, delta: Mapping[str, Any]) -> list[Delta]:
        deltas: list[Delta] = []
        # DeepSeek, vLLM and llama.cpp; OpenRouter, Ollama and Groq. Some send both, with the same text.
        thinking = delta.get("reasoning_content") or delta.get("reasoning")
        if thinking and isinstance(thinking, str):
            deltas.append(Thinking(thinking))
        content = delta.get("content")
        if content:
            if not isinstance(content, str):
                raise TypeError("content is not text")
            self._has_text = True
            deltas += self.text(content)
        return deltas

    def _note_usage(self, usage: Mapping[str, Any] | None) -> None:
        """Keep the latest: several servers send it with every chunk."""
        if not usage:
            return
        read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if isinstance(read, int) and isinstance(written, int):
            self._usage = Usage(read, written)


def messages(prompt: Prompt) -> list[dict[str, str]]:
    turns = [{"role": turn.role, "content": well_formed(turn.content)} for turn in prompt.turns]
    if prompt.system:
        turns.insert(0, {"role": "system", "content": well_formed(prompt.system)})
    return turns


def well_formed(text: str) -> str:
    """`text` as it can be encoded: pairs of surrogates joined, lone ones replaced."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


async def drain(pieces: AsyncIterator[bytes]) -> None:
    """Read what may follow the last event, so that the connection can be used again."""
    with suppress(Exception):  # the answer is whole, whatever happens now
        async with asyncio.timeout(DRAIN_TIMEOUT):
            async for _ in pieces:
                pass
