"""OpenAI's Chat Completions, and every server that speaks the same format.

https://developers.openai.com/api/reference/resources/chat for the format; Ollama, vLLM, llama.cpp,
OpenRouter, Groq and others differ from it in what is noted where it is handled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from server.chat.provider import (
    Delta,
    Finish,
    FinishReason,
    ModelInfo,
    Prompt,
    Thinking,
    Usage,
)
from server.providers.errors import LimitRefused, UsageRefused, error, event_error
from server.providers.meanings import MALFORMED, TRUNCATED
from server.providers.sdk import SDKProvider, Vendor, alternating, as_sent, at, parsed, well_formed
from server.providers.sources import SourceReader
from server.providers.sse_decoder import SSEDecoder
from server.providers.thoughts import ThoughtSplitter

if TYPE_CHECKING:
    from server.providers.http_client import Response

BASE_URL = "https://api.openai.com/v1"
OWN_HOSTS = (".openai.com", ".openai.azure.com")
SHARED_HOSTS = (".services.ai.azure.com", ".cognitiveservices.azure.com")  # with other vendors' models
OWN_MODELS = ("gpt-", "o1", "o3", "o4")
# The SDK takes organization and project from the environment, for every server alike; they belong to one account at
# OpenAI, while a key may come from anybody and go anywhere.
ACCOUNT = ("authorization", "openai-organization", "openai-project")

FINISH_REASONS: Mapping[str, FinishReason] = {
    "length": "length",
    "model_length": "length",  # Mistral: the model's own limit
    "model_context_window_exceeded": "length",  # Z.ai
    "content_filter": "content_filter",
    "sensitive": "content_filter",  # Z.ai
}
"""Some say more behind a colon: Gemini `content_filter: RECITATION`."""
# OpenRouter, if the vendor behind it failed; vLLM, if its engine did; DeepSeek; Z.ai.
BROKEN_OFF = ("error", "abort", "insufficient_system_resource", "network_error")


class OpenAIProvider(SDKProvider):
    """A server that speaks the OpenAI format, under one base URL. The arguments are SDKProvider's.

    With `begins_thinking`, every answer begins with reasoning, up to `</think>`.
    """

    asks_for_usage = True

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
        begins_thinking: bool = False,
    ) -> None:
        super().__init__(
            id=id,
            name=name,
            api_key=api_key,
            key_name=key_name,
            base_url=base_url or BASE_URL,
            connect_timeout=connect_timeout,
            models=models,
            default_model=default_model,
        )
        self._begins_thinking = begins_thinking

    def connect(self) -> Vendor:
        from openai import AsyncOpenAI

        from server.providers.http_client import HttpClient, no_client

        # Each request states its own key. With None, the SDK would take OpenAI's from the environment.
        client = AsyncOpenAI(api_key="unused", base_url=self.base_url, http_client=no_client())
        client._custom_headers = {}  # OPENAI_CUSTOM_HEADERS, which would go to every server too
        headers = as_sent(client.default_headers, but=ACCOUNT)
        return Vendor(at(client.base_url, "chat/completions"), headers, HttpClient(self.name, self.connect_timeout))

    async def ask(self, vendor: Vendor, prompt: Prompt) -> Response:
        body = self.request(prompt)
        try:
            return await self.send(vendor, prompt, body)
        except UsageRefused:
            if body.pop("stream_options", None) is None:
                raise  # it speaks of something else of that name
            response = await self.send(vendor, prompt, body)
            self.asks_for_usage = False  # not before it is known to have helped: it may have been about something else
            return response
        except LimitRefused:
            if "max_tokens" not in body:
                raise
            body["max_completion_tokens"] = body.pop("max_tokens")
        return await self.send(vendor, prompt, body)

    def authorization(self, key: str | None) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"} if key else {}

    def reader(self) -> AnswerReader:
        return AnswerReader(self.name, begins_thinking=self._begins_thinking)

    def request(self, prompt: Prompt) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": prompt.model,
            "messages": messages(prompt),
            "stream": True,
        }
        if self.asks_for_usage:
            body["stream_options"] = {"include_usage": True}
        if prompt.max_tokens is not None:
            body[self._limit_name(prompt.model)] = prompt.max_tokens
        if prompt.temperature is not None:
            body["temperature"] = prompt.temperature
        model = self.models.get(prompt.model)
        if prompt.ultra_thinking and model is not None and model.thinking:
            body["reasoning_effort"] = "high"
        return body

    def _limit_name(self, model: str) -> str:
        # OpenAI's reasoning models refuse the old name, and many of the others know only that one.
        host = "." + (urlsplit(self.base_url).hostname or "")
        own = host.endswith(OWN_HOSTS) or (host.endswith(SHARED_HOSTS) and model.startswith(OWN_MODELS))
        return "max_completion_tokens" if own else "max_tokens"


class AnswerReader:
    """See sdk.Reader."""

    def __init__(self, name: str, *, begins_thinking: bool = False) -> None:
        self.done = False
        self._name = name
        self._decoder = SSEDecoder()
        self._usage: Usage | None = None
        self._finish: Finish | None = None
        self._goes_on = False  # behind what it calls the finish: it says so with every chunk
        self._fed = False
        self._has_chunk = False
        self._has_text = False
        self._refused = False
        self._thoughts = ThoughtSplitter(begun=begins_thinking)
        self._sources = SourceReader()

    def feed(self, piece: bytes) -> Iterator[Delta]:
        self._fed = True
        for event in self._decoder.feed(piece):
            if self.done:
                return
            if event.data.startswith("[DONE]"):
                self.done = True
            elif event.data.strip():  # an empty one keeps the connection open
                yield from self._chunk(event.data)

    def end(self) -> Iterator[Delta]:
        # Some servers send no [DONE], some no finish reason; one of the two must have come.
        if self._finish is None and not (self.done and self._has_text):
            # Where something came and nothing of it was a chunk, to ask again is of no use.
            is_other = self._fed and not (self._has_chunk or self.done)
            raise error(MALFORMED if is_other else TRUNCATED, self._name)
        yield from self._thoughts.end()
        if self._usage is not None:
            yield self._usage
        yield self._finish or Finish("stop")

    @property
    def finished(self) -> bool:
        if self._finish is None or self._goes_on:
            return False
        return self._has_text or self._finish.reason != "stop"

    def _chunk(self, data: str) -> list[Delta]:
        try:
            chunk = parsed(data)
            # An older vLLM sends the error object without an envelope.
            if chunk.get("error") or chunk.get("object") == "error":
                raise event_error(self._name, chunk)
            self._note_usage(chunk.get("usage"))
            self._has_chunk = True
            choices = chunk.get("choices")  # empty in the chunk with the usage
            return self._sources.read(chunk) + (self._choice(choices[0]) if choices else [])
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            raise error(MALFORMED, self._name) from None

    def _choice(self, choice: Mapping[str, Any]) -> list[Delta]:
        deltas = self._delta(choice.get("delta") or choice.get("message") or {})  # the latter where all comes at once
        self._goes_on = self._goes_on or bool(self._finish and deltas)
        reason = choice.get("finish_reason")
        if reason:
            kind = reason.partition(":")[0]
            if kind in BROKEN_OFF:
                raise error(TRUNCATED, self._name)
            self._finish = Finish("content_filter" if self._refused else FINISH_REASONS.get(kind, "stop"))
        return deltas

    def _delta(self, delta: Mapping[str, Any]) -> list[Delta]:
        deltas: list[Delta] = []
        # DeepSeek, vLLM and llama.cpp; OpenRouter, Ollama and Groq. Some send both, with the same text.
        thinking = delta.get("reasoning_content") or delta.get("reasoning")
        if thinking and isinstance(thinking, str):
            deltas.append(Thinking(thinking))
        if "annotations" in delta:
            deltas += self._sources.annotated(delta["annotations"])
        content = delta.get("content")
        if content and isinstance(content, list):
            return deltas + self._parts(content)
        if not content and (content := delta.get("refusal")):
            self._refused = True
        return deltas + self._text(content) if content else deltas

    def _parts(self, parts: Sequence[Mapping[str, Any]]) -> list[Delta]:
        """Mistral's, each of type `text` with a `text`, or of type `thinking` with such parts as `thinking`."""
        deltas: list[Delta] = []
        for part in parts:
            if part.get("type") == "thinking":
                deltas += [Thinking(_checked(inner["text"])) for inner in part["thinking"] if inner.get("text")]
            elif part.get("type") == "text" and part["text"]:
                deltas += self._text(part["text"])
        return deltas

    def _text(self, content: object) -> list[Delta]:
        deltas = self._thoughts.feed(_checked(content))
        self._has_text = True
        return deltas

    def _note_usage(self, usage: Mapping[str, Any] | None) -> None:
        """Keep the latest: several servers send it with every chunk."""
        if not usage:
            return
        read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if isinstance(read, int) and isinstance(written, int):
            self._usage = Usage(read, written)


def _checked(content: object) -> str:
    if not isinstance(content, str):
        raise TypeError("content is not text")
    return content


def messages(prompt: Prompt) -> list[dict[str, str]]:
    turns = alternating(prompt.turns)
    if prompt.system:
        turns.insert(0, {"role": "system", "content": well_formed(prompt.system)})
    return turns
