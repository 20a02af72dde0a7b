"""Answers as the vendors send them, with their own headers, comments and habits.

The one of llama.cpp is recorded; the others follow what the vendors document and their SDKs parse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.chat.provider import Finish, Source, Usage
from tests.providers.wire import events


@dataclass(frozen=True)
class Recording:
    """The body of a stream, and what it says."""

    name: str
    body: bytes
    text: str
    usage: Usage
    finish: Finish = field(default_factory=lambda: Finish("stop"))
    thinking: str = ""
    sources: Sequence[Source] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def completion(delta: Mapping[str, Any] | None, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk in the OpenAI format; with None for `delta`, one without choices."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": choices, **fields}


def tokens(read: int, written: int) -> dict[str, int]:
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


OPENAI = Recording(
    name="openai",
    headers={"openai-processing-ms": "212", "x-request-id": "req_1", "cf-cache-status": "DYNAMIC"},
    body=events(
        completion({"role": "assistant", "content": "", "refusal": None}, usage=None, obfuscation="k2"),
        completion({"content": "Über"}, usage=None, obfuscation="Zr9w"),
        completion({"content": " \ud83d"}, usage=None, obfuscation=""),
        completion({"content": "\ude00\u2028"}, usage=None, obfuscation="p"),
        completion({}, "length", usage=None),
        completion(None, usage={**tokens(9, 4), "completion_tokens_details": {"reasoning_tokens": 0}}),
        "[DONE]",
    ),
    text="Über \ud83d\ude00\u2028",
    finish=Finish("length"),
    usage=Usage(9, 4),
)

OPENROUTER = Recording(
    name="openrouter",
    headers={"X-Generation-Id": "gen-1", "Cache-Control": "no-cache"},
    body=b": OPENROUTER PROCESSING\n\n" * 2
    + events(
        completion({"role": "assistant", "content": "", "reasoning": "Two", "reasoning_details": [{}]}),
        completion({"content": "", "reasoning": " words.", "reasoning_details": [{}]}),
    )
    + b": OPENROUTER PROCESSING\n\n"
    + events(
        completion({"role": "assistant", "content": "Hello", "reasoning": None}, provider="DeepSeek"),
        completion({"role": "assistant", "content": " you"}, provider="DeepSeek"),
        completion({"role": "assistant", "content": ""}, "content_filter"),
        completion({"role": "assistant", "content": ""}, usage={**tokens(5, 7), "cost": 0.00002}),
        "[DONE]",
    ),
    thinking="Two words.",
    text="Hello you",
    finish=Finish("content_filter"),
    usage=Usage(5, 7),
)

VLLM = Recording(
    name="vllm",
    headers={"server": "uvicorn"},
    body=events(
        completion({"role": "assistant", "content": ""}, usage=tokens(6, 0)),
        completion({"reasoning_content": "Hm", "reasoning": "Hm"}, usage=tokens(6, 1)),
        completion({"reasoning_content": ".", "reasoning": "."}, usage=tokens(6, 2)),
        completion({"content": "Yes"}, usage=tokens(6, 3)),
        completion({"content": ""}, "stop", usage=tokens(6, 3)),
        completion(None, usage=tokens(6, 4)),
        "[DONE]",
    ).replace(b"\n", b"\r\n"),
    thinking="Hm.",
    text="Yes",
    usage=Usage(6, 4),
)

NO_DONE = Recording(
    name="no-done",
    body=events(completion({"content": "Hi"}), completion({"tool_calls": []}, "tool_calls", usage=tokens(1, 1))),
    text="Hi",
    usage=Usage(1, 1),
)

LLAMA_CPP = Recording(
    name="llama.cpp",
    headers={"Server": "llama.cpp", "Access-Control-Allow-Origin": "", "X-Accel-Buffering": "no"},
    body=b"""\
data: {"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],"created":1795359839,"id":"chatcmpl-72D","model":"gemma","system_fingerprint":"b0-unknown","object":"chat.completion.chunk"}

data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":" the"}}],"created":1795359839,"id":"chatcmpl-72D","model":"gemma","system_fingerprint":"b0-unknown","object":"chat.completion.chunk"}

data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":" capital"}}],"created":1795359839,"id":"chatcmpl-72D","model":"gemma","system_fingerprint":"b0-unknown","object":"chat.completion.chunk"}

data: {"choices":[{"finish_reason":"length","index":0,"delta":{}}],"created":1795359839,"id":"chatcmpl-72D","model":"gemma","system_fingerprint":"b0-unknown","object":"chat.completion.chunk"}

data: {"choices":[],"created":1795359839,"id":"chatcmpl-72D","model":"gemma","system_fingerprint":"b0-unknown","object":"chat.completion.chunk","usage":{"completion_tokens":2,"prompt_tokens":6,"total_tokens":8,"prompt_tokens_details":{"cached_tokens":0}},"timings":{"cache_n":0,"prompt_n":6,"prompt_ms":59.645}}

data: [DONE]

""",  # noqa: E501
    text=" the capital",
    finish=Finish("length"),
    usage=Usage(6, 2),
)

FOUND = [
    {
        "title": "Sky",
        "url": "https://example.org/sky",
        "date": "2026-10-01",
        "snippet": "Blue.",
        "source": "web",
    },
    {"title": "Light", "url": "https://example.org/light", "date": None, "snippet": ""},
]
CITED = ["https://example.org/sky", "https://example.org/light"]


def sonar(content: str, finish: str | None = None, *, found: int = 2, written: int = 1) -> dict[str, Any]:
    """A chunk of Perplexity in its mode `full`: everything so far, every time."""
    chunk = completion({"role": "assistant", "content": content}, finish)
    chunk["choices"][0]["message"] = {"role": "assistant", "content": "… all of it so far …"}
    usage = {**tokens(4, written), "search_context_size": "low", "cost": {"total_cost": 0.005}}
    return {**chunk, "usage": usage, "citations": CITED[:found], "search_results": FOUND[:found]}


PERPLEXITY = Recording(
    name="perplexity",
    headers={"Content-Type": "text/event-stream; charset=utf-8", "Server": "cloudflare"},
    body=events(
        sonar("<th", found=1),
        sonar("ink>Rayleigh </", found=1),
        sonar("p> <"),
        sonar("/think>\n\nBlue"),
        sonar(" [1] <think>"),
        sonar("", "stop", written=9),
    ),
    thinking="Rayleigh </p> ",
    text="\n\nBlue [1] <think>",
    sources=(Source(CITED[0], "Sky"), Source(CITED[1], "Light")),
    usage=Usage(4, 9),
)

OPENAI_FORMAT = [OPENAI, OPENROUTER, VLLM, NO_DONE, LLAMA_CPP]
