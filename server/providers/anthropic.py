"""Anthropic's Messages API, and servers that speak the same format.

https://platform.claude.com/docs/en/api/messages for the request,
https://platform.claude.com/docs/en/build-with-claude/streaming for the events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from server.chat.provider import (
    Delta,
    Finish,
    FinishReason,
    Prompt,
    Text,
    Thinking,
    Usage,
)
from server.providers.errors import error, event_error
from server.providers.meanings import MALFORMED, TRUNCATED
from server.providers.models import ANTHROPIC, ANTHROPIC_DEFAULT, ANTHROPIC_LIMITS, AnthropicLimits
from server.providers.sdk import SDKProvider, Vendor, alternating, as_sent, at, parsed, well_formed
from server.providers.sse_decoder import SSEDecoder

NAME = "Anthropic"
BASE_URL = "https://api.anthropic.com"

MIN_BUDGET = 1_024  # tokens; the API takes no less
MAX_BUDGET = 32_000  # tokens; the vendor sees little use in more

FINISH_REASONS: Mapping[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}


class AnthropicProvider(SDKProvider):
    """Claude, or what answers at `base_url` in its format. `connect_timeout` is in seconds.

    `Prompt.temperature` has no effect: the API refuses it at any value since its version 2026-10-21.
    `Prompt.max_tokens` bounds thinking and answer together; without it, a model may write all it can.
    """

    def __init__(self, *, api_key: str | None, base_url: str | None, connect_timeout: float) -> None:
        super().__init__(
            id="anthropic",
            name=NAME,
            api_key=api_key,
            key_name="ANTHROPIC_API_KEY",
            base_url=base_url or BASE_URL,
            connect_timeout=connect_timeout,
            models=ANTHROPIC,
            default_model=ANTHROPIC_DEFAULT,
        )

    def connect(self) -> Vendor:
        from anthropic import AsyncAnthropic

        from server.providers.http_client import HttpClient, no_client

        # Each request states its own key. With None, the SDK would look for one in the environment and in the
        # home directory.
        client = AsyncAnthropic(api_key="unused", base_url=self.base_url, http_client=no_client())
        client._custom_headers = {}  # ANTHROPIC_CUSTOM_HEADERS, which may hold another key
        headers = as_sent(client.default_headers, but=("authorization", "x-api-key"))
        return Vendor(at(client.base_url, "v1/messages"), headers, HttpClient(self.name, self.connect_timeout))

    def request(self, prompt: Prompt) -> dict[str, Any]:
        return request_body(prompt)

    def authorization(self, key: str | None) -> dict[str, str]:
        # The SDK would send a bearer token. Anthropic takes both; many others know the older header alone.
        return {"x-api-key": key} if key else {}

    def reader(self) -> AnswerReader:
        return AnswerReader()


class AnswerReader:
    """See sdk.Reader."""

    def __init__(self) -> None:
        self.done = False
        self._decoder = SSEDecoder()
        self._usage: dict[str, int] = {}
        self._finish = Finish("stop")

    def feed(self, piece: bytes) -> Iterator[Delta]:
        for event in self._decoder.feed(piece):
            if self.done:
                return
            if not event.data.strip():
                continue  # it keeps the connection open
            try:
                yield from self._event(parsed(event.data))
            except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
                raise error(MALFORMED, NAME) from None

    @property
    def finished(self) -> bool:
        return self.done

    def end(self) -> Iterator[Delta]:
        if not self.done:
            raise error(TRUNCATED, NAME)
        yield from (*self._told_usage(), self._finish)

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


def request_body(prompt: Prompt) -> dict[str, Any]:
    limits = model_limits(prompt.model)
    max_tokens = prompt.max_tokens or limits.max_output
    body: dict[str, Any] = {
        "model": prompt.model,
        "max_tokens": max_tokens,
        "messages": alternating(prompt.turns),
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
