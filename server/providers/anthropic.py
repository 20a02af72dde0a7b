"""Anthropic's Messages API, and servers that speak the same format.

https://platform.claude.com/docs/en/api/messages for the request,
https://platform.claude.com/docs/en/build-with-claude/streaming for the events.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from itertools import groupby
from typing import TYPE_CHECKING, Any

from server.chat.errors import ProviderError
from server.chat.provider import (
    Delta,
    Finish,
    FinishReason,
    Prompt,
    ProviderInfo,
    Text,
    Thinking,
    Turn,
    Usage,
)
from server.providers.errors import AUTH, MALFORMED, TRUNCATED, error, event_error, provider_error
from server.providers.models import ANTHROPIC, ANTHROPIC_DEFAULT, ANTHROPIC_LIMITS, AnthropicLimits
from server.providers.openai import drain, well_formed
from server.providers.sse_decoder import SSEDecoder

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

NAME = "Anthropic"
KEY_NAME = "ANTHROPIC_API_KEY"
BASE_URL = "https://api.anthropic.com"

MIN_BUDGET = 1_024  # tokens; the API takes no less
MAX_BUDGET = 32_000  # tokens; the vendor sees little use in more

FINISH_REASONS: Mapping[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}


class AnthropicProvider:
    """Claude, or what answers at `base_url` in its format. `connect_timeout` is in seconds.

    `Prompt.temperature` has no effect: the API refuses it at any value since its version 2026-10-21.
    `Prompt.max_tokens` bounds thinking and answer together; without it, a model may write all it can.
    """

    def __init__(self, *, api_key: str | None, base_url: str | None, connect_timeout: float) -> None:
        self._api_key = api_key
        self._base_url = base_url or BASE_URL
        self._connect_timeout = connect_timeout
        self._client: AsyncAnthropic | None = None
        self._connecting = asyncio.Lock()

    @property
    def info(self) -> ProviderInfo:
        return ProviderInfo(
            id="anthropic",
            name=NAME,
            ready=bool(self._api_key),
            reason=None if self._api_key else f"{KEY_NAME} is not set",
            default_model=ANTHROPIC_DEFAULT,
            models=ANTHROPIC,
            accepts_any_model=True,
        )

    async def stream(self, prompt: Prompt) -> AsyncIterator[Delta]:
        answer = AnswerReader()
        answering = False
        try:
            client = await self._connected()
            headers = request_headers(prompt.api_key or self._api_key)
            create = client.messages.with_streaming_response.create
            async with create(**request_body(prompt), extra_headers=headers) as response:
                answering = True
                async with aclosing(response.http_response.aiter_raw()) as pieces:
                    async for piece in pieces:
                        for delta in answer.feed(piece):
                            yield delta
                        if answer.done:
                            await drain(pieces)
                            return
            raise error(TRUNCATED, NAME)
        except Exception as problem:
            # The SDK puts what our HTTP client says about a response inside an error of its own.
            cause = problem.__cause__ if isinstance(problem.__cause__, ProviderError) else problem
            # Not "from problem": that one's text may hold a key.
            raise provider_error(NAME, cause, answering) from None

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def _connected(self) -> AsyncAnthropic:
        async with self._connecting:
            if self._client is None:
                self._client = await asyncio.to_thread(self._connect)
        return self._client

    def _connect(self) -> AsyncAnthropic:
        """Import the SDK and make the client: seconds of work the first time, hence in a thread."""
        from anthropic import AsyncAnthropic

        from server.providers.http_client import http_client

        client = AsyncAnthropic(
            # Each request states its own key. With None, the SDK would look for one in the environment and
            # in the home directory.
            api_key="unused",
            base_url=self._base_url,
            max_retries=0,
            http_client=http_client(NAME, self._connect_timeout),
        )
        client._custom_headers = {}  # ANTHROPIC_CUSTOM_HEADERS, which may hold another key
        _ = client.messages.with_streaming_response  # imports more
        return client


class AnswerReader:
    """The bytes of one answer in, its deltas out. No network.

    `done` once the answer is whole.
    """

    def __init__(self) -> None:
        self.done = False
        self._decoder = SSEDecoder()
        self._usage: dict[str, int] = {}
        self._finish = Finish("stop")

    def feed(self, piece: bytes) -> Iterator[Delta]:
        """The deltas that `piece` completes. Raises ProviderError and SSEDecodeError."""
        for event in self._decoder.feed(piece):
            if self.done:
                return
            try:
                yield from self._event(json.loads(event.data))
            except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
                raise error(MALFORMED, NAME) from None

    def _event(self, event: Mapping[str, Any]) -> Sequence[Delta]:
        """Types that are not known are skipped, as the API's description asks of clients."""
        match event["type"]:
            case "content_block_delta":
                return content(event["delta"])
            case "content_block_start":
                return content(event["content_block"])
            case "message_start":
                self._note_usage(event["message"].get("usage"))
            case "message_delta":
                self._note_usage(event.get("usage"))
                self._note_reason(event["delta"].get("stop_reason"))
            case "message_stop":
                self.done = True
                return [*self._told_usage(), self._finish]
            case "error":
                raise event_error(NAME, event)
        return []

    def _note_usage(self, usage: Mapping[str, Any] | None) -> None:
        """Counts are cumulative; an event repeats only those that have changed."""
        self._usage |= {name: count for name, count in (usage or {}).items() if isinstance(count, int)}

    def _told_usage(self) -> Sequence[Delta]:
        if "input_tokens" not in self._usage or "output_tokens" not in self._usage:
            return []
        # `input_tokens` are those that were neither read from the cache nor written to it.
        cached = ("cache_creation_input_tokens", "cache_read_input_tokens")
        read = self._usage["input_tokens"] + sum(self._usage.get(name, 0) for name in cached)
        return [Usage(read, self._usage["output_tokens"])]

    def _note_reason(self, reason: str | None) -> None:
        if reason is not None:
            self._finish = Finish(FINISH_REASONS.get(reason, "stop"))


def content(block: Mapping[str, Any]) -> Sequence[Delta]:
    """The text of a content block's start, or of a piece of it.

    Signatures, redacted thinking, citations and the use of tools have nothing to show.
    """
    kind: type[Text | Thinking]
    match block["type"]:
        case "text" | "text_delta":
            kind, said = Text, block["text"]
        case "thinking" | "thinking_delta":
            kind, said = Thinking, block["thinking"]
        case _:
            return []
    if not isinstance(said, str):
        raise TypeError("content is not text")
    return [kind(said)] if said else []


def request_headers(key: str | None) -> dict[str, Any]:
    """Raises ProviderError for a key that cannot be one."""
    from anthropic import omit

    from server.providers.http_client import ASK_FOR_EVENTS

    if not key:
        raise ProviderError("provider_auth", f"{NAME} needs an API key. Set {KEY_NAME}.")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise error(AUTH, NAME)  # before the HTTP library refuses it, with the key in its message
    # The SDK would send a bearer token. Anthropic takes both; many others know the older header alone.
    return {**ASK_FOR_EVENTS, "Authorization": omit, "X-Api-Key": key}


def request_body(prompt: Prompt) -> dict[str, Any]:
    limits = model_limits(prompt.model)
    max_tokens = prompt.max_tokens or limits.max_output
    body: dict[str, Any] = {
        "model": prompt.model,
        "max_tokens": max_tokens,
        "messages": messages(prompt.turns),
        "stream": True,
    }
    if prompt.system:
        body["system"] = well_formed(prompt.system)
    if prompt.ultra_thinking:
        body |= adaptive_thinking() if limits.adaptive else budgeted_thinking(max_tokens)
    return body


def model_limits(model: str) -> AnthropicLimits:
    return next(limits for start, limits in ANTHROPIC_LIMITS.items() if model.startswith(start))


def adaptive_thinking() -> dict[str, Any]:
    # The newest models think anyway, but do not show it and make a medium effort.
    return {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "high"}}


def budgeted_thinking(max_tokens: int) -> dict[str, Any]:
    """Half of what may be written, or nothing if that is less than the API takes.

    Raising `max_tokens` instead would spend more than the caller allowed.
    """
    budget = min(max_tokens // 2, MAX_BUDGET)
    return {"thinking": {"type": "enabled", "budget_tokens": budget}} if budget >= MIN_BUDGET else {}


def messages(turns: Sequence[Turn]) -> list[dict[str, str]]:
    """The turns as the API takes them: none empty, never two of one role together, the user's first."""
    spoken = [turn for turn in turns if turn.content.strip()]
    merged = [
        {"role": role, "content": "\n\n".join(well_formed(turn.content) for turn in group)}
        for role, group in groupby(spoken, key=lambda turn: turn.role)
    ]
    return merged[1:] if merged and merged[0]["role"] == "assistant" else merged
