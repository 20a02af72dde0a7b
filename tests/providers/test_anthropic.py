import asyncio
import json
import socket
from collections.abc import Callable, Sequence
from contextlib import aclosing
from email.utils import formatdate
from time import time
from typing import Any

import pytest

from server.chat.errors import ProviderError
from server.chat.provider import Delta, Finish, Prompt, Text, Thinking, Turn, Usage
from server.providers.anthropic import AnswerReader, AnthropicProvider
from server.providers.sse_decoder import MAX_EVENT
from tests.providers.wire import (
    Connection,
    Reply,
    WireServer,
    chunk,
    cut,
    head,
    response,
    stream,
    stream_head,
)

pytestmark = pytest.mark.anyio

KEY = "sk-ant-api03-secret"

HEADERS = {
    "Date": "Sun, 22 Nov 2026 09:12:44 GMT",
    "Content-Type": "text/event-stream; charset=utf-8",
    "Transfer-Encoding": "chunked",
    "Connection": "keep-alive",
    "Cache-Control": "no-cache",
    "anthropic-ratelimit-requests-limit": "4000",
    "anthropic-ratelimit-requests-remaining": "3999",
    "anthropic-ratelimit-requests-reset": "2026-11-22T09:12:42Z",
    "request-id": "req_011CVNrGk2WcRyMTfJxn2Z6P",
    "strict-transport-security": "max-age=31536000; includeSubDomains; preload",
    "anthropic-organization-id": "3d9b51f8-1c1f-4c6c-a8d6-0d6f1a5a2f0e",
    "Server": "cloudflare",
    "x-envoy-upstream-service-time": "1212",
    "cf-cache-status": "DYNAMIC",
    "CF-RAY": "9a29f2c51d4e3a5b-FRA",
}

ERROR_HEADERS = {"Content-Type": "application/json", "request-id": "req_011CVNrGk2WcRyMTfJxn2Z6P"}

START = """\
event: message_start
data: {"type":"message_start","message":{"model":"claude-opus-5-5","id":"msg_01EMkAsbqpPDpQ7VzSsNgWrz","type":"message","role":"assistant","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":12,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":1,"service_tier":"standard"}}      }

"""  # noqa: E501

END = """\
event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":12,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":31}           }

event: message_stop
data: {"type":"message_stop"        }

"""  # noqa: E501

TEXT = (
    START
    + """\
event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}     }

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}  }

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" — grüß Sie 🙂\\n\\u2028"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\ud83d"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\ude42"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0           }

"""
    + END
)

THINKING = (
    START
    + """\
event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"27 * 453 is"}  }

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":" 12,231."}       }

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3h"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"EmwKAhgBEgy3va3pzix"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"12,231"}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

"""  # noqa: E501
    + END
)

OVERLOADED_FIRST = """\
event: error
data: {"type":"error","error":{"details":null,"type":"overloaded_error","message":"Overloaded"},"request_id":"req_011"}

"""

EXPECTED: dict[str, list[Delta]] = {
    TEXT: [
        Text("Hello"),
        Text(" — grüß Sie 🙂\n\u2028"),
        Text("\ud83d"),
        Text("\ude42"),
        Usage(12, 31),
        Finish("stop"),
    ],
    THINKING: [
        Thinking("27 * 453 is"),
        Thinking(" 12,231."),
        Text("12,231"),
        Usage(12, 31),
        Finish("stop"),
    ],
}

each_stream = pytest.mark.parametrize("recorded", [TEXT, THINKING], ids=["text", "thinking"])


def events(*data: dict[str, Any]) -> str:
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in data)


def recording(recorded: str) -> bytes:
    """As Anthropic sends it: a chunk for each event."""
    return stream([f"{event}\n\n".encode() for event in recorded.split("\n\n") if event], HEADERS)


def ask(model: str = "claude-opus-5-5", **more: Any) -> Prompt:
    return Prompt(model, [Turn("user", "What is 27 * 453?")], **more)


def provider(vendor: WireServer, api_key: str | None = KEY) -> AnthropicProvider:
    return AnthropicProvider(api_key=api_key, base_url=vendor.url, connect_timeout=5)


async def answer(reply: Reply, prompt: Prompt | None = None) -> list[Delta]:
    async with WireServer(reply) as vendor, aclosing(provider(vendor)) as anthropic:
        return [delta async for delta in anthropic.stream(prompt or ask())]


async def failure(reply: Reply) -> ProviderError:
    with pytest.raises(ProviderError) as failed:
        await answer(reply)
    assert failed.value.__cause__ is None
    return failed.value


async def request(prompt: Prompt) -> dict[str, Any]:
    async with WireServer(recording(TEXT)) as vendor, aclosing(provider(vendor)) as anthropic:
        async for _ in anthropic.stream(prompt):
            pass
        return dict(vendor.requests[0].json())


def read(*pieces: bytes) -> list[Delta]:
    reader = AnswerReader()
    fed = [delta for piece in pieces for delta in reader.feed(piece)]
    return [*fed, *reader.end()]


# The answer.


@each_stream
async def test_a_recorded_stream_becomes_deltas(recorded: str) -> None:
    assert await answer(recording(recorded)) == EXPECTED[recorded]


@each_stream
async def test_byte_by_byte_it_is_the_same(recorded: str) -> None:
    assert await answer(stream(cut(recorded.encode(), 1), HEADERS)) == EXPECTED[recorded]


@each_stream
async def test_cut_at_any_byte_it_is_the_same(recorded: str) -> None:
    data = recorded.encode()
    for at in range(len(data) + 1):
        assert read(data[:at], data[at:]) == EXPECTED[recorded]


@each_stream
async def test_with_other_line_ends_it_is_the_same(recorded: str) -> None:
    assert read(recorded.replace("\n", "\r\n").encode()) == EXPECTED[recorded]


async def test_deltas_come_as_soon_as_their_bytes_have_arrived() -> None:
    heard = asyncio.Event()

    async def wait_in_the_middle(connection: Connection) -> None:
        first, rest = TEXT.encode().split(b"event: ping")
        start, _, rest = rest.partition(b"\n\nevent: content_block_delta\n")
        hello, _, rest = rest.partition(b"\n\n")
        await connection.send(stream_head(200, HEADERS))
        await connection.send(chunk(first + b"event: ping" + start + b"\n\nevent: content_block_delta\n"))
        await connection.send(chunk(hello + b"\n\n"))
        await heard.wait()
        await connection.send(chunk(rest), b"0\r\n\r\n")

    async with WireServer(wait_in_the_middle) as vendor, aclosing(provider(vendor)) as anthropic:
        deltas = anthropic.stream(ask())
        assert await anext(deltas) == Text("Hello")
        heard.set()
        assert [delta async for delta in deltas] == EXPECTED[TEXT][1:]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "stop"),
        ("pause_turn", "stop"),
        ("a reason of next year", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
    ],
)
async def test_the_reason_for_the_end(reason: str, finish: str) -> None:
    assert read(TEXT.replace("end_turn", reason).encode())[-1] == Finish(finish)  # type: ignore[arg-type]


async def test_cached_input_counts_as_input() -> None:
    usage = {"input_tokens": 3, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 100}
    recorded = events(
        {"type": "message_start", "message": {"usage": {**usage, "output_tokens": 1}}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    )
    assert read(recorded.encode()) == [Usage(123, 7), Finish("stop")]


async def test_without_usage_none_is_told() -> None:
    assert read(events({"type": "message_stop"}).encode()) == [Finish("stop")]


async def test_what_is_not_known_is_skipped() -> None:
    news = events(
        {"type": "vertex_event", "usage": {}},
        {"type": "content_block_start", "index": 7, "content_block": {"type": "hologram"}},
        {"type": "content_block_delta", "index": 7, "delta": {"type": "hologram_delta", "text": "no"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {}}},
        {
            "type": "content_block_delta",
            "index": 8,
            "delta": {"type": "input_json_delta", "partial_json": "{"},
        },
    )
    assert read(TEXT.replace("event: ping\n", f"{news}event: ping\n").encode()) == EXPECTED[TEXT]


async def test_text_in_the_start_of_a_block_belongs_to_the_answer() -> None:
    recorded = TEXT.replace('"type":"text","text":""', '"type":"text","text":"Oh! "')
    assert read(recorded.encode()) == [Text("Oh! "), *EXPECTED[TEXT]]


async def test_nothing_counts_after_the_end() -> None:
    assert read(f"{TEXT}data: [DONE]\n\n{TEXT}".encode()) == EXPECTED[TEXT]


# The request.


async def test_the_request() -> None:
    async with WireServer(recording(TEXT)) as vendor, aclosing(provider(vendor)) as anthropic:
        async for _ in anthropic.stream(ask(system="Be brief.", max_tokens=100, temperature=0.5)):
            pass
        sent = vendor.requests[0]
    assert (sent.method, sent.path) == ("POST", "/v1/messages")
    assert sent.headers["x-api-key"] == KEY
    assert "authorization" not in sent.headers
    assert sent.headers["anthropic-version"] == "2026-10-21"
    assert sent.headers["accept"] == "text/event-stream"
    assert sent.headers["accept-encoding"] == "identity"
    assert sent.json() == {
        "model": "claude-opus-5-5",
        "max_tokens": 100,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "What is 27 * 453?"}],
        "stream": True,
    }


@pytest.mark.parametrize(
    ("model", "max_tokens"),
    [
        ("claude-opus-5-5", 128_000),
        ("claude-sonnet-4-6", 128_000),
        ("claude-haiku-4-5-20251001", 64_000),
        ("claude-of-next-year", 128_000),
        ("somebody-elses-model", 16_384),
    ],
)
async def test_a_model_may_write_all_it_can(model: str, max_tokens: int) -> None:
    sent = await request(ask(model))
    assert sent["max_tokens"] == max_tokens
    assert "thinking" not in sent


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-fable-5-2", "claude-sonnet-4-6", "claude-opus-7"])
async def test_newer_models_think_as_they_see_fit(model: str) -> None:
    sent = await request(ask(model, ultra_thinking=True, temperature=1))
    assert sent["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert sent["output_config"] == {"effort": "high"}
    assert "temperature" not in sent


@pytest.mark.parametrize(
    ("max_tokens", "budget"),
    [(None, 32_000), (100_000, 32_000), (10_000, 5_000), (2_048, 1_024), (2_047, None), (1, None)],
)
async def test_older_models_get_a_budget_within_what_they_may_write(max_tokens: int | None, budget: int | None) -> None:
    sent = await request(ask("claude-haiku-4-5", ultra_thinking=True, max_tokens=max_tokens))
    assert sent["max_tokens"] == (max_tokens or 64_000)
    assert sent.get("thinking") == (budget and {"type": "enabled", "budget_tokens": budget})
    assert "output_config" not in sent


@pytest.mark.parametrize(
    ("turns", "sent"),
    [
        (["u:one", "u:two", "a:three", "u:four"], ["user:one\n\ntwo", "assistant:three", "user:four"]),
        (["u:one", "a: \n", "u:two"], ["user:one\n\ntwo"]),
        (["a:welcome", "u:one"], ["user:one"]),
        (["u: ", "a:welcome", "u:one"], ["user:one"]),
        (["u:\ud83d\ude42 \ud83d"], ["user:🙂 �"]),
    ],
)
async def test_turns_as_the_api_wants_them(turns: Sequence[str], sent: Sequence[str]) -> None:
    history = [Turn("user" if turn[0] == "u" else "assistant", turn[2:]) for turn in turns]
    body = await request(Prompt("claude-opus-5-5", history))
    assert [f"{message['role']}:{message['content']}" for message in body["messages"]] == sent


async def test_the_key_of_the_request_comes_before_the_operators() -> None:
    async with WireServer(recording(TEXT)) as vendor, aclosing(provider(vendor)) as anthropic:
        for own in ("sk-ant-own", None):
            async for _ in anthropic.stream(ask(api_key=own)):
                pass
        assert [sent.headers["x-api-key"] for sent in vendor.requests] == ["sk-ant-own", KEY]
        assert vendor.connections == 1


async def test_nothing_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-other")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "other")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Other: other")
    async with WireServer(recording(TEXT)) as vendor:
        async with aclosing(provider(vendor)) as anthropic:
            async for _ in anthropic.stream(ask()):
                pass
        async with aclosing(provider(vendor, api_key=None)) as keyless:
            with pytest.raises(ProviderError):
                await anext(keyless.stream(ask()))
        assert len(vendor.requests) == 1
        assert "other" not in str(vendor.requests[0].headers).lower()


@pytest.mark.parametrize("key", [None, "", "sk-ant-\n", "sk-ant-ü", "sk ant"])
async def test_a_key_that_cannot_be_one_is_not_sent(key: str | None) -> None:
    async with WireServer(recording(TEXT)) as vendor, aclosing(provider(vendor, key)) as anthropic:
        with pytest.raises(ProviderError) as refused:
            await anext(anthropic.stream(ask()))
        assert refused.value.code == "provider_auth"
        assert not vendor.requests


async def test_says_whether_it_is_ready() -> None:
    ready = AnthropicProvider(api_key=KEY, base_url=None, connect_timeout=5).info
    assert (ready.ready, ready.reason) == (True, None)
    keyless = AnthropicProvider(api_key=None, base_url=None, connect_timeout=5).info
    assert (keyless.ready, keyless.reason) == (False, "ANTHROPIC_API_KEY is not set")
    assert keyless.default_model in {model.id for model in keyless.models}


# What goes wrong.


def refusal(status: int, kind: str, headers: dict[str, str] | None = None) -> bytes:
    body = {"type": "error", "error": {"type": kind, "message": f"About {KEY}"}, "request_id": "req_011"}
    return response(status, {**ERROR_HEADERS, **(headers or {})}, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("status", "kind", "code", "retryable"),
    [
        (400, "invalid_request_error", "provider_bad_request", False),
        (401, "authentication_error", "provider_auth", False),
        (402, "billing_error", "provider_rate_limited", False),
        (403, "permission_error", "provider_auth", False),
        (404, "not_found_error", "provider_bad_request", False),
        (413, "request_too_large", "provider_bad_request", False),
        (429, "rate_limit_error", "provider_rate_limited", True),
        (500, "api_error", "provider_overloaded", True),
        (529, "overloaded_error", "provider_overloaded", True),
    ],
)
async def test_errors_before_and_in_the_stream(status: int, kind: str, code: str, retryable: bool) -> None:
    event = events({"type": "error", "error": {"type": kind, "message": f"About {KEY}"}})
    for reply in (refusal(status, kind), recording(event), recording(START + event)):
        problem = await failure(reply)
        assert (problem.code, problem.retryable) == (code, retryable)
        assert KEY not in str(problem)


async def test_an_overloaded_error_may_come_first_in_a_200() -> None:
    problem = await failure(recording(OVERLOADED_FIRST))
    assert (problem.code, problem.retryable) == ("provider_overloaded", True)


@pytest.mark.parametrize(
    ("header", "value", "seconds"),
    [
        ("retry-after", "7", 7),
        ("retry-after-ms", "1500", 1.5),
        ("retry-after", "soon", None),
    ],
)
async def test_the_wait_that_it_asks_for(header: str, value: str, seconds: float | None) -> None:
    problem = await failure(refusal(529, "overloaded_error", {header: value}))
    assert problem.retry_after == seconds


async def test_it_may_ask_for_a_wait_until_a_time() -> None:
    problem = await failure(refusal(529, "overloaded_error", {"retry-after": formatdate(time() + 60, usegmt=True)}))
    assert problem.retry_after == pytest.approx(60, abs=30)


async def test_text_before_an_error_is_given_first() -> None:
    before, _, _ = TEXT.partition("event: content_block_stop")
    async with WireServer(recording(before + OVERLOADED_FIRST)) as vendor:
        deltas = provider(vendor).stream(ask())
        assert [await anext(deltas) for _ in range(4)] == EXPECTED[TEXT][:4]
        with pytest.raises(ProviderError, match="provider_overloaded"):
            await anext(deltas)


@each_stream
async def test_no_stream_without_its_last_event_is_whole(recorded: str) -> None:
    data = recorded.encode()
    for end in range(len(data)):
        reader = AnswerReader()
        deltas = list(reader.feed(data[:end]))
        assert not reader.done
        assert not any(isinstance(delta, Finish) for delta in deltas)


async def cut_short(connection: Connection) -> None:
    await connection.send(stream_head(200, HEADERS), chunk(TEXT.encode()[:-30]))


@pytest.mark.parametrize(
    "reply",
    [recording(TEXT.rpartition("event: message_stop")[0]), recording(START), recording(""), cut_short],
)
async def test_a_stream_that_breaks_off_is_told(reply: Reply) -> None:
    problem = await failure(reply)
    assert (problem.code, problem.retryable) == ("provider_truncated", True)


async def test_a_reset_in_the_middle_is_told() -> None:
    heard = asyncio.Event()

    async def reset(connection: Connection) -> None:
        await cut_short(connection)
        await heard.wait()
        connection.reset()

    async with WireServer(reset) as vendor, aclosing(provider(vendor)) as anthropic:
        deltas = anthropic.stream(ask())
        assert await anext(deltas) == Text("Hello")
        heard.set()
        with pytest.raises(ProviderError, match="provider_truncated"):
            async for _ in deltas:
                pass


@pytest.mark.parametrize(
    "recorded",
    [
        b"data: {\n\n",
        b"data: []\n\n",
        b"data: null\n\n",
        b"data: {}\n\n",
        b'data: {"type":"message_start"}\n\n',
        b'data: {"type":"content_block_delta","delta":{"type":"text_delta"}}\n\n',
        b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":1}}\n\n',
        b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"\xff"}}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"data: " + b"1" * 10_000 + b"\n\n",
        b"data: " + b"x" * MAX_EVENT,
    ],
    ids=lambda recorded: repr(recorded[:40]),
)
async def test_what_is_not_the_format_is_told(recorded: bytes) -> None:
    problem = await failure(stream([recorded], HEADERS))
    assert (problem.code, problem.retryable) == ("provider_malformed", False)


async def test_a_page_instead_of_a_stream_is_told() -> None:
    page = response(200, {"Content-Type": "text/html"}, b"<html>Please log in</html>")
    assert (await failure(page)).code == "provider_malformed"


async def test_a_redirect_is_not_followed() -> None:
    async with WireServer(recording(TEXT)) as elsewhere:
        problem = await failure(response(307, {"Location": f"{elsewhere.url}/v1/messages"}))
        assert problem.code == "provider_bad_request"
        assert not elsewhere.requests


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    nobody = AnthropicProvider(api_key=KEY, base_url=f"http://127.0.0.1:{port}", connect_timeout=5)
    with pytest.raises(ProviderError) as failed:
        await anext(nobody.stream(ask()))
    await nobody.aclose()
    assert (failed.value.code, failed.value.retryable) == ("provider_unreachable", True)


# The end of it.


class Endless:
    """A vendor that begins and then stays silent; `gone` is set when the client has closed."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def __call__(self, connection: Connection) -> None:
        await connection.send(stream_head(200, HEADERS), chunk(TEXT.partition("event: content_block_stop")[0].encode()))
        await connection.until_gone()
        self.gone.set()


async def by_cancelling(deltas: Any) -> None:
    waiting = asyncio.Event()

    async def read_on() -> None:
        async for delta in deltas:
            if delta == Text("\ude42"):  # the last one: it goes on to wait for the network
                waiting.set()

    task = asyncio.create_task(read_on())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_closing(deltas: Any) -> None:
    await deltas.aclose()


@pytest.mark.parametrize("leave", [by_cancelling, by_closing])
async def test_leaving_closes_the_vendors_connection(leave: Callable[[Any], Any]) -> None:
    endless = Endless()
    async with WireServer(endless) as vendor, aclosing(provider(vendor)) as anthropic:
        deltas = anthropic.stream(ask())
        assert await anext(deltas) == Text("Hello")
        await leave(deltas)
        await asyncio.wait_for(endless.gone.wait(), 1)


async def test_cancelling_before_the_first_byte_closes_it_too() -> None:
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def silent(connection: Connection) -> None:
        arrived.set()
        await connection.until_gone()
        gone.set()

    async with WireServer(silent) as vendor, aclosing(provider(vendor)) as anthropic:
        task = asyncio.ensure_future(anext(anthropic.stream(ask())))
        await arrived.wait()
        task.cancel()
        await asyncio.wait_for(gone.wait(), 1)


async def test_a_vendor_that_does_not_close_after_the_end_holds_nobody_up() -> None:
    async def lingering(connection: Connection) -> None:
        await connection.send(head(200, HEADERS), chunk(TEXT.encode()))
        await connection.until_gone()

    async with asyncio.timeout(30):
        assert await answer(lingering) == EXPECTED[TEXT]


async def test_many_answers_at_once_share_one_client() -> None:
    async with WireServer(recording(TEXT)) as vendor, aclosing(provider(vendor)) as anthropic:

        async def one() -> list[Delta]:
            return [delta async for delta in anthropic.stream(ask())]

        answers = await asyncio.gather(*(one() for _ in range(20)))
        assert answers == [EXPECTED[TEXT]] * 20
        assert len(vendor.requests) == 20
