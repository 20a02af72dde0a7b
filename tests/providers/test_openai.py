"""The OpenAI format over a real connection: what is asked, what is read, and what goes wrong."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
from collections.abc import Iterable
from contextlib import aclosing, suppress
from typing import Any

import pytest
from pydantic import HttpUrl

from server.chat.errors import ProviderError
from server.chat.provider import Delta, Finish, ModelInfo, Prompt, Source, Sources, Text, Thinking, Turn, Usage
from server.providers import sdk
from server.providers.http_client import MAX_ERROR
from server.providers.openai import AnswerReader, OpenAIProvider
from server.providers.registry import extra_provider
from server.providers.sse_decoder import MAX_EVENT
from server.settings import ExtraProvider
from tests.providers.recordings import OPENAI_FORMAT, Recording, completion
from tests.providers.wire import (
    END,
    Connection,
    Reply,
    WireServer,
    chunk,
    cut,
    events,
    head,
    response,
    stream,
    stream_head,
)

pytestmark = pytest.mark.anyio

QUESTION = Prompt("some-model", [Turn("user", "Why?")])
KEY = "sk-operator"
HELLO = events(completion({"content": "Hello"}))
STOP = events(completion({}, "stop"), "[DONE]")
WHOLE = stream([HELLO, STOP])


def connected(url: str) -> aclosing[OpenAIProvider]:
    return aclosing(OpenAIProvider(api_key=KEY, base_url=f"{url}/v1", connect_timeout=5))


async def ask(provider: OpenAIProvider, prompt: Prompt = QUESTION) -> list[Delta]:
    return [delta async for delta in provider.stream(prompt)]


async def answer(reply: Reply, prompt: Prompt = QUESTION) -> list[Delta]:
    async with WireServer(reply) as vendor, connected(vendor.url) as provider:
        return await ask(provider, prompt)


async def failure(reply: Reply, prompt: Prompt = QUESTION) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await answer(reply, prompt)
    return caught.value


def check(deltas: Iterable[Delta], recording: Recording) -> None:
    """The deltas say what was recorded, with the usage and the end behind everything else."""
    said = list(deltas)
    assert "".join(delta.content for delta in said if isinstance(delta, Text)) == recording.text
    assert "".join(delta.content for delta in said if isinstance(delta, Thinking)) == recording.thinking
    assert [source for delta in said if isinstance(delta, Sources) for source in delta.sources] == [*recording.sources]
    assert said[-2:] == [recording.usage, recording.finish]
    assert sum(isinstance(delta, Usage | Finish) for delta in said) == 2
    assert all(delta.content for delta in said if isinstance(delta, Text | Thinking))


def read(reader: AnswerReader, pieces: Iterable[bytes]) -> list[Delta]:
    return [delta for piece in pieces for delta in reader.feed(piece)] + list(reader.end())


@pytest.mark.parametrize("recording", OPENAI_FORMAT, ids=str)
class TestRecordings:
    @pytest.mark.parametrize("size", [1, 7, 100_000])
    async def test_are_read_from_the_wire(self, recording: Recording, size: int) -> None:
        check(await answer(stream(cut(recording.body, size), recording.headers)), recording)

    def test_say_the_same_wherever_they_are_cut(self, recording: Recording) -> None:
        for at in range(len(recording.body)):
            pieces = [recording.body[:at], recording.body[at:]]
            check(read(AnswerReader("Test"), pieces), recording)


class TestRequest:
    async def test_is_a_chat_completion_that_streams(self) -> None:
        async with WireServer(WHOLE) as vendor, connected(vendor.url) as provider:
            history = [Turn("user", "Hi"), Turn("assistant", "Hello"), Turn("user", "Why?")]
            await ask(provider, Prompt("m", history, system="Be brief.", max_tokens=5, temperature=0.5))
        [request] = vendor.requests
        assert (request.method, request.path) == ("POST", "/v1/chat/completions")
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.headers["accept"] == "text/event-stream"
        assert request.headers["accept-encoding"] == "identity"
        assert request.json() == {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello"},
                {"role": "user", "content": "Why?"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 5,
            "temperature": 0.5,
        }

    @pytest.mark.parametrize(
        ("base_url", "name"),
        [
            (None, "max_completion_tokens"),
            ("https://eu.api.openai.com/v1", "max_completion_tokens"),
            ("https://x.openai.azure.com/openai/v1", "max_completion_tokens"),
            ("https://x.services.ai.azure.com/openai/v1", "max_tokens"),
            ("http://localhost:11434/v1", "max_tokens"),
            ("https://notopenai.com/v1", "max_tokens"),
        ],
    )
    def test_names_its_limit_as_the_server_knows_it(self, base_url: str | None, name: str) -> None:
        body = OpenAIProvider(api_key=KEY, base_url=base_url).request(Prompt("m", [], max_tokens=9))
        assert {key: value for key, value in body.items() if "tokens" in key} == {name: 9}

    def test_names_it_by_the_model_where_there_are_other_vendors_models_too(self) -> None:
        provider = OpenAIProvider(api_key=KEY, base_url="https://x.services.ai.azure.com/openai/v1")
        assert provider.request(Prompt("gpt-5.4", [], max_tokens=9))["max_completion_tokens"] == 9

    @pytest.mark.parametrize("headers", [{}, {"x-should-retry": "false"}])
    async def test_is_made_without_asking_for_the_usage_where_that_is_refused(self, headers: dict[str, str]) -> None:
        unknown = {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"]}]}
        refusal = response(422, headers, json.dumps(unknown).encode())
        async with WireServer(refusal, WHOLE, WHOLE) as vendor, connected(vendor.url) as provider:
            for _ in range(2):
                assert Text("Hello") in await ask(provider)
        assert [("stream_options" in request.json()) for request in vendor.requests] == [True, False, False]

    async def test_refused_for_it_all_the_same_is_not_made_for_ever(self) -> None:
        refusal = response(400, {}, b'{"error": {"param": "stream_options"}}')
        async with WireServer(refusal, refusal, refusal, refusal) as vendor, connected(vendor.url) as provider:
            for made in (2, 4):  # to leave it out did not help, so it is no reason to leave it out for everybody
                with pytest.raises(ProviderError, match="does not accept"):
                    await ask(provider)
                assert len(vendor.requests) == made

    async def test_is_made_with_the_other_name_of_the_limit_where_that_is_asked_for(self) -> None:
        message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
        refusal = response(400, {}, json.dumps({"error": {"message": message, "param": "max_tokens"}}).encode())
        prompt = Prompt("gpt-5", [Turn("user", "Why?")], max_tokens=5)
        async with WireServer(refusal, WHOLE, refusal) as vendor, connected(vendor.url) as provider:
            assert Text("Hello") in await ask(provider, prompt)
            with pytest.raises(ProviderError, match="does not accept"):
                await ask(provider)  # without a limit there is nothing to name otherwise
        limits = [{key: value for key, value in each.json().items() if "max" in key} for each in vendor.requests]
        assert limits == [{"max_tokens": 5}, {"max_completion_tokens": 5}, {}]

    async def test_has_no_two_questions_in_a_row(self) -> None:
        """Perplexity and many local models refuse that, and it is what a failed answer leaves behind."""
        async with WireServer(WHOLE) as vendor, connected(vendor.url) as provider:
            await ask(provider, Prompt("m", [Turn("user", "Hi"), Turn("user", "Are you there?")]))
        assert vendor.requests[0].json()["messages"] == [{"role": "user", "content": "Hi\n\nAre you there?"}]

    @pytest.mark.parametrize(("model", "effort"), [("thinks", "high"), ("blurts", None), ("unknown", None)])
    def test_asks_only_those_to_think_that_can(self, model: str, effort: str | None) -> None:
        models = [ModelInfo("thinks", thinking=True), ModelInfo("blurts")]
        provider = OpenAIProvider(api_key=KEY, models=models)
        assert provider.request(Prompt(model, [], ultra_thinking=True)).get("reasoning_effort") == effort
        assert "reasoning_effort" not in provider.request(Prompt(model, []))

    async def test_carries_any_text(self) -> None:
        async with WireServer(WHOLE) as vendor, connected(vendor.url) as provider:
            await ask(provider, Prompt("m", [Turn("user", "ü \ud83d\ude00 \udead \0")]))
        assert vendor.requests[0].json()["messages"][0]["content"] == "ü 😀 \ufffd \0"


class TestKeys:
    async def test_of_a_request_are_used_for_it_alone_over_the_same_connection(self) -> None:
        async with WireServer(WHOLE) as vendor, connected(vendor.url) as provider:
            for key in ("sk-guest", None):
                await ask(provider, Prompt("m", QUESTION.turns, api_key=key))
        assert [request.headers["authorization"] for request in vendor.requests] == [
            "Bearer sk-guest",
            f"Bearer {KEY}",
        ]
        assert vendor.connections == 1

    async def test_and_whatever_else_the_environment_holds_go_to_no_other_server(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID"):
            monkeypatch.setenv(f"OPENAI_{name}", "s3cret")
        monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gateway: s3cret\nAuthorization: Bearer s3cret")
        monkeypatch.setenv("OPENAI_BASE_URL", "http://s3cret.invalid")
        async with WireServer(WHOLE) as vendor:
            provider = OpenAIProvider(id="local", api_key=None, key_name=None, base_url=vendor.url)
            await ask(provider)
            await provider.aclose()
        assert "authorization" not in vendor.requests[0].headers
        assert "s3cret" not in str(vendor.requests)

    async def test_that_are_missing_are_named(self) -> None:
        provider = OpenAIProvider(api_key=None)
        assert (provider.info.ready, provider.info.reason) == (False, "OPENAI_API_KEY is not set")
        with pytest.raises(ProviderError, match="Set OPENAI_API_KEY") as caught:
            await ask(provider)
        assert caught.value.code == "provider_auth"
        await provider.aclose()

    @pytest.mark.parametrize("key", ["sk-\n", "sk-ü", "sk- x", "sk-\0"])
    async def test_that_cannot_be_sent_are_refused_and_not_repeated(self, key: str) -> None:
        problem = await failure(WHOLE, Prompt("m", QUESTION.turns, api_key=key))
        assert problem.code == "provider_auth"
        assert key not in str(problem)


@pytest.mark.parametrize(
    ("status", "headers", "body", "code", "retry_after"),
    [
        (400, {}, {"error": {"code": None, "type": "invalid_request_error"}}, "provider_bad_request", None),
        (401, {}, {"error": {"code": "invalid_api_key"}}, "provider_auth", None),
        (408, {}, None, "provider_timeout", None),
        (429, {"Retry-After": "7"}, {"error": {"code": "rate_limit_exceeded"}}, "provider_rate_limited", 7),
        (429, {"retry-after-ms": "1500", "Retry-After": "2"}, None, "provider_rate_limited", 1.5),
        (500, {}, "<html>", "provider_overloaded", None),
        (503, {"Retry-After": "3"}, {"error": {"code": 503}}, "provider_overloaded", 3),
        (529, {}, None, "provider_overloaded", None),
    ],
)
async def test_a_refusal_is_told_in_our_own_words(
    status: int, headers: dict[str, str], body: Any, code: str, retry_after: float | None
) -> None:
    if isinstance(body, dict):
        body["error"]["message"] = f"It was {KEY}"
    problem = await failure(response(status, headers, json.dumps(body).encode()))
    assert (problem.code, problem.retry_after) == (code, retry_after)
    assert "OpenAI" in problem.detail
    assert KEY not in str(problem)
    assert problem.__suppress_context__


async def test_no_quota_is_no_reason_to_try_again() -> None:
    problem = await failure(response(429, {}, b'{"error": {"code": "insufficient_quota"}}'))
    assert (problem.code, problem.retryable) == ("provider_rate_limited", False)
    assert "credit" in problem.detail


async def test_redirects_are_not_followed() -> None:
    async with WireServer(WHOLE) as elsewhere:
        problem = await failure(response(307, {"Location": f"{elsewhere.url}/v1/chat/completions"}))
    assert problem.code == "provider_bad_request"
    assert "redirect" in problem.detail
    assert elsewhere.requests == []


async def test_an_endless_refusal_is_cut_off() -> None:
    async def refuse(connection: Connection) -> None:
        await connection.send(head(429, {"Transfer-Encoding": "chunked"}))
        while True:
            await connection.send(chunk(b"x" * MAX_ERROR))
            sent.append(MAX_ERROR)

    sent: list[int] = []
    assert (await failure(refuse)).code == "provider_rate_limited"
    assert sum(sent) < 200 * MAX_ERROR  # what fits into the buffers of both sides


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (response(200, {"Content-Type": "text/html"}, b"<html>Log in</html>"), "provider_malformed"),
        (response(200, {"Content-Type": "application/json"}, b'{"choices": []}'), "provider_malformed"),
        (response(200, {"Content-Type": "application/json"}, b"[" * 60_000), "provider_malformed"),
        (response(200, {"Content-Type": "application/json"}, b'{"choices": [5]}'), "provider_malformed"),
        (response(200, {"Content-Type": "application/json"}, b" " * (MAX_EVENT + 1)), "provider_malformed"),
        (
            response(200, {"Content-Type": "application/json"}, b'{"error": {"code": 429}}'),
            "provider_rate_limited",
        ),
        (
            response(200, {"Content-Type": "application/json"}, b'{"error": "Unexpected endpoint or method."}'),
            "provider_malformed",
        ),
        (response(200, {"Content-Type": "application/json"}, b'{"error": null, "choices": []}'), "provider_malformed"),
        (stream([gzip.compress(b"data: x")], {"Content-Encoding": "gzip"}), "provider_malformed"),
    ],
)
async def test_what_is_no_event_stream_is_refused(reply: bytes, code: str) -> None:
    assert (await failure(reply)).code == code


async def test_an_answer_may_begin_with_reasoning_that_the_template_has_opened() -> None:
    thought = events(completion({"content": "Hm.</think>"}))
    async with WireServer(stream([thought, HELLO, STOP])) as vendor:
        given = ExtraProvider(id="local", base_url=HttpUrl(vendor.url), begins_thinking=True)
        async with aclosing(extra_provider(given, connect_timeout=5)) as provider:
            assert await ask(provider) == [Thinking("Hm."), Text("Hello"), Finish("stop")]


@pytest.mark.parametrize("begin", [b"", b"\n\n", b": hello\n\n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("kind", ["text/plain; charset=utf-8", "application/x-ndjson", "application/json"])
async def test_a_stream_may_be_called_something_else(kind: str, begin: bytes) -> None:
    pieces = [*cut(begin + HELLO, 1), STOP]
    assert await answer(stream(pieces, {"Content-Type": kind})) == [Text("Hello"), Finish("stop")]


@pytest.mark.parametrize("begin", [b"", b"\n", b'{"choices": ['])
async def test_who_leaves_before_an_answer_in_one_piece_is_there_closes_the_connection(begin: bytes) -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def late(connection: Connection) -> None:
        await connection.send(head(200, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}))
        if begin:
            await connection.send(chunk(begin))
        asked.set()
        await connection.until_gone()
        gone.set()

    async with WireServer(late) as vendor, connected(vendor.url) as provider:
        waiting = asyncio.create_task(ask(provider))
        await asked.wait()
        await asyncio.sleep(0.1)
        waiting.cancel()
        async with asyncio.timeout(5):
            await gone.wait()
        with suppress(asyncio.CancelledError):
            await waiting


async def test_an_answer_may_come_whole() -> None:
    message = {"role": "assistant", "content": "Hello ☃", "reasoning_content": "Hm."}
    said = {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }

    async def late(connection: Connection) -> None:
        await connection.send(head(200, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}))
        for piece in ("\n", "\n", json.dumps(said)):  # blank lines until it is there, as DeepSeek and OpenRouter do
            await connection.send(chunk(piece.encode()))
        await connection.send(END)

    assert await answer(late) == [Thinking("Hm."), Text("Hello ☃"), Usage(3, 2), Finish("length")]


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        ({"error": {"code": 429, "message": KEY}}, "provider_rate_limited", True),
        ({"error": {"code": "429"}}, "provider_rate_limited", True),
        ({"error": {"code": "invalid_api_key"}}, "provider_auth", False),
        ({"error": {"code": 400, "type": "exceed_context_size_error"}}, "provider_bad_request", False),
        ({"error": {"type": "BadRequestError", "code": None}}, "provider_bad_request", False),
        ({"error": {"type": "server_error", "code": "something_new"}}, "provider_overloaded", True),
        ({"error": "it broke"}, "provider_overloaded", True),
        ({"object": "error", "type": "NotFoundError", "code": 404}, "provider_bad_request", False),
        (
            {**completion({"content": ""}, "error"), "error": {"code": 502, "message": KEY}},
            "provider_overloaded",
            True,
        ),
        (completion({"content": ""}, "error"), "provider_truncated", True),
        (completion({"content": "Half"}, "abort"), "provider_truncated", True),
        (completion({}, "insufficient_system_resource"), "provider_truncated", True),
        (completion({"content": "Half"}, "network_error"), "provider_truncated", True),
    ],
)
async def test_an_error_in_the_stream_ends_it(error: dict[str, Any], code: str, retryable: bool) -> None:
    problem = await failure(stream([HELLO, events(error), STOP]))
    assert (problem.code, problem.retryable) == (code, retryable)
    assert KEY not in str(problem)


@pytest.mark.parametrize(
    "body",
    [
        b"data: {\n\n",
        b"data: hello\n\n",
        b"data: 5\n\n",
        b"data: null\n\n",
        b"data: [1]\n\n",
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"data: " + b"9" * 10_000 + b"\n\n",
        b'data: {"choices": 5}\n\n',
        b'data: {"choices": {"a": 1}}\n\n',
        b'data: {"choices": [5]}\n\n',
        b'data: {"choices": [{"delta": [1]}]}\n\n',
        b'data: {"choices": [{"delta": {"content": [1]}}]}\n\n',
        b'data: {"choices": [{"delta": {"content": [{"type": "text", "text": 1}]}}]}\n\n',
        b'data: {"choices": [{"delta": {"content": [{"type": "thinking", "thinking": [{"text": 1}]}]}}]}\n\n',
        b'data: {"choices": [{"delta": {"content": [{"type": "thinking", "thinking": "Hm"}]}}]}\n\n',
        b'data: {"choices": [{"delta": {"refusal": 1}}]}\n\n',
        b'data: {"choices": [{"finish_reason": {"a": 1}}]}\n\n',
        b'data: {"usage": [1]}\n\n',
        b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n',
        b"data: " + b"x" * MAX_EVENT + b"\n\n",
        b"x" * (MAX_EVENT + 1),
    ],
)
async def test_what_is_not_the_format_is_malformed(body: bytes) -> None:
    problem = await failure(stream([HELLO, body, STOP]))
    assert (problem.code, problem.retryable) == ("provider_malformed", False)


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"choices": [{}]}\n\n',
        b'data: {"choices": [{"delta": null, "finish_reason": ""}]}\n\n',
        b'data: {"choices": null, "usage": {}, "error": null}\n\n',
        b'data: {"choices": [{"delta": {"content": null, "reasoning": {"a": 1}}}]}\n\n',
        b'data: {"usage": {"prompt_tokens": 1}}\n\n',
        b"event: ping\ndata: {}\n\n: comment\n\nevent: empty\n\n",
        b"data:\n\ndata: \n\nevent: ping\ndata: \n\n",
        b'data: {"citations": 5, "search_results": [5, {"url": 5}]}\n\n',
        b'data: {"choices": [{"delta": {"annotations": [5, {"url_citation": {"title": "no url"}}]}}]}\n\n',
    ],
)
async def test_what_says_nothing_is_passed_over(body: bytes) -> None:
    assert await answer(stream([HELLO, body, STOP])) == [Text("Hello"), Finish("stop")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        HELLO,
        HELLO + events(completion({}, "stop"))[:-1],
        b"data: [DONE]\n\n",
        events(completion({"reasoning": "Hm"}), "[DONE]"),
    ],
    ids=["nothing", "no finish", "half an event", "only done", "only thinking"],
)
async def test_a_clean_end_too_early_is_truncated(body: bytes) -> None:
    problem = await failure(stream([body]))
    assert (problem.code, problem.retryable) == ("provider_truncated", True)


@pytest.mark.parametrize("done", [b"data: [DONE]\n\n", b"data: [DONE] \n\n"])
async def test_done_is_enough_behind_some_text(done: bytes) -> None:
    assert await answer(stream([HELLO, done])) == [Text("Hello"), Finish("stop")]


@pytest.mark.parametrize("pause", [0, 0.1])
@pytest.mark.parametrize("first", [completion({"reasoning": "Hm"}, "stop"), completion({"content": "One "}, "stop")])
async def test_a_finish_with_every_chunk_is_none_until_the_end(
    first: dict[str, Any], pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdk, "REST_TIMEOUT", 0.05)

    async def finish_always(connection: Connection) -> None:
        await connection.send(stream_head(), chunk(events(first)))
        for word in ("two ", "three"):
            await asyncio.sleep(pause if word == "three" else 0.01)
            await connection.send(chunk(events(completion({"content": word}, "stop"))))
        await connection.send(chunk(events("[DONE]")), END)

    deltas = await answer(finish_always)
    assert [each.content for each in deltas if isinstance(each, Text)][-2:] == ["two ", "three"]
    assert deltas[-1] == Finish("stop")


async def test_a_sign_of_life_is_heard() -> None:
    heard: list[None] = []

    async def load(connection: Connection) -> None:
        await connection.send(stream_head())
        for _ in range(3):
            await connection.send(chunk(b": keep-alive\n\n"))
            await asyncio.sleep(0.01)
        await connection.send(chunk(HELLO + STOP), END)

    await answer(load, Prompt("m", [Turn("user", "Why?")], heard=lambda: heard.append(None)))
    assert len(heard) >= 4


async def test_sources_come_from_any_server() -> None:
    cited = {"type": "url_citation", "url_citation": {"url": "https://a.example", "title": "A", "start_index": 0}}
    body = events(
        completion({"content": "Blue"}, annotations=[], citations=["https://b.example"]),
        completion({"content": " sky", "annotations": [cited]}, citations=["https://b.example"]),
        completion({"annotations": [cited]}, "stop"),
    )
    assert await answer(stream([body])) == [
        Sources([Source("https://b.example", "https://b.example")]),
        Text("Blue"),
        Sources([Source("https://a.example", "A")]),
        Text(" sky"),
        Finish("stop"),
    ]


async def test_text_and_reasoning_in_parts_are_read_as_such() -> None:
    parts: list[Any] = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}, {"type": "reference"}]},
        {"type": "text", "text": "Hello"},
        {"type": "image_url"},
    ]
    body = events(completion({"content": parts}), completion({"content": " you"}, "stop"))
    assert await answer(stream([body])) == [Thinking("Hm"), Text("Hello"), Text(" you"), Finish("stop")]


async def test_reasoning_inside_the_text_is_told_from_it() -> None:
    body = events(completion({"content": "\n<think>Hm"}), completion({"content": "</think>Hello"}, "stop"))
    assert await answer(stream([body])) == [Thinking("Hm"), Text("Hello"), Finish("stop")]


async def test_a_refusal_in_words_is_the_answer() -> None:
    body = events(completion({"content": None, "refusal": "I cannot."}), completion({}, "stop"))
    assert await answer(stream([body])) == [Text("I cannot."), Finish("content_filter")]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("model_length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "stop"),
        ("function_call", "stop"),
        ("something_new", "stop"),
        ("sensitive", "content_filter"),
        ("content_filter: RECITATION", "content_filter"),
        ("model_context_window_exceeded", "length"),
    ],
)
async def test_reasons_to_finish(told: str, reason: str) -> None:
    deltas = await answer(stream([events(completion({"content": "a"}, told))]))
    assert [delta.reason for delta in deltas if isinstance(delta, Finish)] == [reason]


class TestConnection:
    @pytest.mark.parametrize("ending", ["reset", "closed"])
    async def test_that_breaks_in_the_middle_is_a_truncation(self, ending: str) -> None:
        async def break_off(connection: Connection) -> None:
            await connection.send(stream_head(), chunk(HELLO))
            await seen.wait()
            if ending == "reset":
                connection.reset()

        seen = asyncio.Event()
        async with WireServer(break_off) as vendor, connected(vendor.url) as provider:
            deltas = provider.stream(QUESTION)
            assert await anext(deltas) == Text("Hello")
            seen.set()
            with pytest.raises(ProviderError) as caught:
                await anext(deltas)
        assert (caught.value.code, caught.value.retryable) == ("provider_truncated", True)

    async def test_that_breaks_before_an_answer_is_unreachable(self) -> None:
        async def hang_up(connection: Connection) -> None:
            connection.reset()

        problem = await failure(hang_up)
        assert (problem.code, problem.retryable) == ("provider_unreachable", True)

    async def test_that_nobody_takes_is_unreachable(self) -> None:
        async with WireServer(WHOLE) as vendor:
            pass
        async with connected(vendor.url) as provider:
            with pytest.raises(ProviderError) as caught:
                await ask(provider)
        assert (caught.value.code, caught.value.retryable) == ("provider_unreachable", True)

    async def test_is_used_again_after_an_answer_and_after_a_refusal(self) -> None:
        replies = [WHOLE, response(429, {}, b"{}"), WHOLE]
        async with WireServer(*replies) as vendor, connected(vendor.url) as provider:
            for _ in replies:
                with suppress(ProviderError):
                    await ask(provider)
        assert (len(vendor.requests), vendor.connections) == (3, 1)

    async def test_held_open_behind_the_end_does_not_hold_up_the_answer(self) -> None:
        async def linger(connection: Connection) -> None:
            await connection.send(stream_head(), chunk(HELLO + STOP))
            await connection.until_gone()

        async with asyncio.timeout(5):
            assert await answer(linger) == [Text("Hello"), Finish("stop")]

    async def test_held_open_without_saying_that_it_is_the_end_holds_it_up_for_a_moment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sdk, "REST_TIMEOUT", 0.05)

        async def linger(connection: Connection) -> None:
            await connection.send(stream_head(), chunk(HELLO), chunk(events(completion({}, "stop"))))
            await connection.until_gone()

        async with asyncio.timeout(5):
            assert await answer(linger) == [Text("Hello"), Finish("stop")]

    @pytest.mark.parametrize("last", [STOP, events(completion({}, "stop"))])
    async def test_broken_behind_the_end_does_no_harm(self, last: bytes) -> None:
        async def break_off(connection: Connection) -> None:
            await connection.send(stream_head(), chunk(HELLO + last))

        assert await answer(break_off) == [Text("Hello"), Finish("stop")]

    async def test_that_goes_on_without_end_behind_the_finish_is_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def hum(connection: Connection) -> None:
            await connection.send(stream_head(), chunk(HELLO + STOP))
            while True:
                await connection.send(chunk(b": still here\n\n"))
                await asyncio.sleep(0.02)

        monkeypatch.setattr(sdk, "REST_TIMEOUT", 0.1)
        assert await answer(hum) == [Text("Hello"), Finish("stop")]

    async def test_that_tells_of_an_error_behind_the_finish_does_no_harm(self) -> None:
        assert await answer(stream([HELLO, STOP, events({"error": {"code": 500}})])) == [Text("Hello"), Finish("stop")]

    @pytest.mark.parametrize("how", ["aclose", "cancel", "cancel before the answer"])
    async def test_is_closed_at_once_when_the_reader_leaves(self, how: str) -> None:
        async def wait(connection: Connection) -> None:
            if how != "cancel before the answer":
                await connection.send(stream_head(), chunk(HELLO))
            asked.set()
            await connection.until_gone()
            gone.set()

        asked, gone = asyncio.Event(), asyncio.Event()
        async with WireServer(wait) as vendor, connected(vendor.url) as provider:
            deltas = provider.stream(QUESTION)
            if how == "aclose":
                assert await anext(deltas) == Text("Hello")
                await deltas.aclose()
            else:
                reader = asyncio.create_task(ask(provider))
                await asked.wait()
                reader.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reader
            async with asyncio.timeout(1):
                await gone.wait()

    async def test_many_at_once_share_a_client(self) -> None:
        async with WireServer(WHOLE) as vendor, connected(vendor.url) as provider:
            answers = await asyncio.gather(*(ask(provider) for _ in range(150)))
        assert answers == [[Text("Hello"), Finish("stop")]] * 150


async def test_text_is_told_as_soon_as_it_has_come() -> None:
    async def one_at_a_time(connection: Connection) -> None:
        await connection.send(stream_head())
        for piece in ("a", "b", "c"):
            await connection.send(chunk(events(completion({"content": piece}))))
            await told.acquire()
        await connection.send(chunk(STOP), END)

    told = asyncio.Semaphore(0)
    async with WireServer(one_at_a_time) as vendor, connected(vendor.url) as provider:
        said = []
        async for delta in provider.stream(QUESTION):
            said.append(delta)
            told.release()
    assert said == [Text("a"), Text("b"), Text("c"), Finish("stop")]


async def test_a_response_leaves_nothing_behind_that_only_the_collector_finds() -> None:
    def left() -> int:
        return sum(type(each).__qualname__ in ("_Answer", "_Connection", "Response") for each in gc.get_objects())

    async with WireServer(WHOLE) as vendor:
        gc.collect()
        gc.disable()
        before = left()
        try:
            async with connected(vendor.url) as provider:
                await ask(provider)
                await ask(provider)
            await asyncio.sleep(0.01)
            assert left() == before
        finally:
            gc.enable()
