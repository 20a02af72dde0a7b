"""A provider that does as the question says, in a process of its own: `python -m tests.faults.provider --port N`.

It speaks OpenAI's Chat Completions under /v1/chat/completions, Anthropic's Messages under /v1/messages and
Perplexity's Chat Completions under /perplexity/chat/completions, byte by byte, and misbehaves as `script.py`
describes. GET /control tells, by question, when requests came and how many are open.
"""

from __future__ import annotations

import argparse
import asyncio
import codecs
import gzip
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any, ClassVar, Protocol

import httpx

from tests.faults.script import Script
from tests.providers import wire
from tests.serving import free_port

SECRET = "sk-the-vendors-own-words"
"""Stands in everything the provider says about its failures, and must never come out at the other end."""

FOREVER = 3_600.0


class Gone(Exception):
    """The client has closed the connection."""


class Format(Protocol):
    """One vendor's events; each method gives them as (type, data), the type "" where the vendor names none."""

    def begin(self) -> Iterator[tuple[str, str]]: ...
    def text(self, content: str) -> tuple[str, str]: ...
    def empty(self) -> tuple[str, str]: ...
    def unknown(self) -> tuple[str, str]: ...
    def failure(self) -> tuple[str, str]: ...
    def end(self, chunks: int) -> Iterator[tuple[str, str]]: ...


class OpenAIFormat:
    def begin(self) -> Iterator[tuple[str, str]]:
        yield self._choice({"role": "assistant", "content": ""})

    def text(self, content: str) -> tuple[str, str]:
        return self._choice({"content": content})

    def empty(self) -> tuple[str, str]:
        return "", json.dumps({"object": "chat.completion.chunk", "choices": []})

    def unknown(self) -> tuple[str, str]:
        return "something.new", json.dumps({"object": "something.new", "news": ["of", {"no": "interest"}]})

    def failure(self) -> tuple[str, str]:
        return "", json.dumps({"error": {"message": SECRET, "type": "server_error", "code": None}})

    def end(self, chunks: int) -> Iterator[tuple[str, str]]:
        yield self._choice({}, "stop")
        usage = {"prompt_tokens": 7, "completion_tokens": chunks, "total_tokens": 7 + chunks}
        yield "", json.dumps({"object": "chat.completion.chunk", "choices": [], "usage": usage})
        yield "", "[DONE]"

    def _choice(self, delta: dict[str, str], reason: str | None = None) -> tuple[str, str]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return "", json.dumps({"id": "c-1", "object": "chat.completion.chunk", "choices": [choice]})


class PerplexityFormat(OpenAIFormat):
    """Every chunk repeats what was found."""

    FOUND: ClassVar = [
        {"title": "Why the sky is blue", "url": "https://example.org/sky"},
        {"title": "", "url": "https://light.example/scattering?of=light"},
    ]

    def _choice(self, delta: dict[str, str], reason: str | None = None) -> tuple[str, str]:
        kind, data = super()._choice(delta, reason)
        return kind, json.dumps({**json.loads(data), "search_results": self.FOUND})


class AnthropicFormat:
    def begin(self) -> Iterator[tuple[str, str]]:
        message = {"id": "m-1", "role": "assistant", "content": [], "usage": {"input_tokens": 7, "output_tokens": 1}}
        yield self._event("message_start", message=message)
        yield self._event("content_block_start", index=0, content_block={"type": "text", "text": ""})

    def text(self, content: str) -> tuple[str, str]:
        return self._event("content_block_delta", index=0, delta={"type": "text_delta", "text": content})

    def empty(self) -> tuple[str, str]:
        return self._event("content_block_delta", index=0, delta={"type": "text_delta", "text": ""})

    def unknown(self) -> tuple[str, str]:
        return self._event("something_new", news=["of", {"no": "interest"}])

    def failure(self) -> tuple[str, str]:
        return self._event("error", error={"type": "overloaded_error", "message": SECRET})

    def end(self, chunks: int) -> Iterator[tuple[str, str]]:
        yield self._event("content_block_stop", index=0)
        yield self._event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": chunks})
        yield self._event("message_stop")

    def _event(self, kind: str, **fields: Any) -> tuple[str, str]:
        return kind, json.dumps({"type": kind, **fields})


@dataclass
class Call:
    """One request, while it is being answered."""

    script: Script
    format: Format
    connection: wire.Connection
    gone: asyncio.Task[None]
    line_end: str = "\n"
    drip: bool = False

    async def raw(self, data: bytes) -> None:
        if self.gone.done():
            raise Gone
        await self.connection.send(data)

    async def body(self, data: bytes) -> None:
        pieces = wire.cut(data, 1) if self.drip else [data]
        for piece in pieces:
            await self.raw(wire.chunk(piece))

    async def event(self, event: tuple[str, str]) -> None:
        await self.body(self.encoded(event))

    def encoded(self, event: tuple[str, str]) -> bytes:
        kind, data = event
        lines = [f"event: {kind}"] if kind else []
        return self.line_end.join([*lines, f"data: {data}", "", ""]).encode()

    async def pause(self, seconds: float) -> None:
        await asyncio.wait([self.gone], timeout=seconds)
        if self.gone.done():
            raise Gone


class Stop(Exception):
    """The answer is over; `reusable` if the connection can take another request."""

    def __init__(self, reusable: bool = False) -> None:
        super().__init__()
        self.reusable = reusable


Fault = Callable[[Call], Awaitable[None]]


# Instead of an answer.


async def _status(call: Call) -> None:
    headers = {"Content-Type": "application/json", **_retry_headers(call.script.retry)}
    body = json.dumps({"error": {"message": SECRET, "type": "whatever", "code": None}}).encode()
    await call.raw(wire.response(call.script.status, headers, body))
    raise Stop(reusable=True)


def _retry_headers(retry: str) -> dict[str, str]:
    kind, _, value = retry.partition(":")
    match kind:
        case "seconds":
            return {"Retry-After": value}
        case "ms":
            return {"retry-after-ms": value}
        case "date":
            return {"Retry-After": formatdate(time() + float(value), usegmt=True)}
    return {}


async def _redirect(call: Call) -> None:
    await call.raw(wire.response(307, {"Location": "/v1/elsewhere"}, b""))
    raise Stop(reusable=True)


async def _html(call: Call) -> None:
    page = f"<!doctype html><title>Sign in</title><p>{SECRET}".encode()
    await call.raw(wire.response(200, {"Content-Type": "text/html"}, page))
    raise Stop(reusable=True)


async def _wrong_type(call: Call) -> None:
    events = b"".join(map(call.encoded, [*call.format.begin(), call.format.text(SECRET), *call.format.end(1)]))
    await call.raw(wire.response(200, {"Content-Type": "application/octet-stream"}, events))
    raise Stop(reusable=True)


async def _gzip_bomb(call: Call) -> None:
    headers = {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}
    await call.raw(wire.response(200, headers, await asyncio.to_thread(bomb, call.script.size)))
    raise Stop(reusable=True)


def bomb(size: int) -> bytes:
    line = b"data: " + b"x" * 1_000_000 + b"\n\n"
    return gzip.compress(line * max(1, size // len(line)), 6)


async def _silence(call: Call) -> None:
    await call.pause(FOREVER)


async def _bad_http(call: Call) -> None:
    await call.raw(b"220 mail.example ESMTP\r\n")
    raise Stop


async def _huge_header(call: Call) -> None:
    await call.raw(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * call.script.size + b"\r\n\r\n")
    raise Stop


async def _refusal(call: Call) -> None:
    call.connection.reset()
    raise Stop


# In the middle of an answer. Those that return let it go on.


async def _failure(call: Call) -> None:
    await call.event(call.format.failure())
    await call.raw(wire.END)
    raise Stop(reusable=True)


async def _reset(call: Call) -> None:
    await call.pause(0.5)  # the client's system throws away what the client has not read yet
    call.connection.reset()
    raise Stop


async def _clean_end(call: Call) -> None:
    await call.raw(wire.END)
    raise Stop(reusable=True)


async def _cut(call: Call) -> None:
    raise Stop


async def _stall(call: Call) -> None:
    await call.pause(FOREVER)


async def _bad_json(call: Call) -> None:
    await call.event(("", '{"choices": [{"delta": {"content": "never'))
    raise Stop


async def _wrong_shape(call: Call) -> None:
    await call.event(("", '{"choices": "none", "type": "content_block_delta", "delta": "none"}'))
    raise Stop


async def _deep_json(call: Call) -> None:
    await call.event(("", "[" * 100_000))
    raise Stop


async def _half_utf8(call: Call) -> None:
    data = json.dumps(json.loads(call.format.text("é")[1]), ensure_ascii=False).encode()
    await call.body(b"data: " + data.replace("é".encode(), "é".encode()[:1]) + b"\n\n")
    raise Stop


async def _long_line(call: Call) -> None:
    piece = b"x" * 65_536
    await call.body(b"data: ")
    for _ in range(call.script.size // len(piece)):
        await call.body(piece)
    raise Stop


async def _many_lines(call: Call) -> None:
    """One event that never ends, in short lines."""
    piece = b"data: x\n" * 8_192
    for _ in range(call.script.size // len(piece)):
        await call.body(piece)
    raise Stop


async def _empty_choices(call: Call) -> None:
    await call.event(call.format.empty())


async def _unknown_event(call: Call) -> None:
    await call.event(call.format.unknown())


async def _comments(call: Call) -> None:
    await call.body(b": keep-alive\n\n:\nid: 7\nretry: 1\n\n")


async def _pause(call: Call) -> None:
    """Comments alone, for a second: the connection lives, the answer does not go on."""
    for _ in range(10):
        await call.body(b": still thinking\n\n")
        await call.pause(0.1)


# In how it is written.


def _carriage_returns(call: Call) -> None:
    call.line_end = "\r"


def _both_line_ends(call: Call) -> None:
    call.line_end = "\r\n"


def _byte_by_byte(call: Call) -> None:
    call.drip = True


INSTEAD: dict[str, Fault] = {
    "status": _status,
    "redirect": _redirect,
    "html": _html,
    "wrong_type": _wrong_type,
    "gzip_bomb": _gzip_bomb,
    "silence": _silence,
    "bad_http": _bad_http,
    "huge_header": _huge_header,
    "refusal": _refusal,
}
AMID: dict[str, Fault] = {
    "failure": _failure,
    "reset": _reset,
    "clean_end": _clean_end,
    "cut": _cut,
    "stall": _stall,
    "bad_json": _bad_json,
    "wrong_shape": _wrong_shape,
    "deep_json": _deep_json,
    "half_utf8": _half_utf8,
    "long_line": _long_line,
    "many_lines": _many_lines,
    "empty_choices": _empty_choices,
    "unknown_event": _unknown_event,
    "comments": _comments,
    "pause": _pause,
}
STYLE: dict[str, Callable[[Call], None]] = {
    "cr": _carriage_returns,
    "crlf": _both_line_ends,
    "drip": _byte_by_byte,
}


async def perform(call: Call, fails: bool) -> None:
    """Answer; with the fault of the script if this request is to meet it. Raises Stop, Gone."""
    script = call.script
    fault = script.fault if fails else "none"
    if fault in INSTEAD:
        await INSTEAD[fault](call)
    if fault in STYLE:
        STYLE[fault](call)
    if script.wait:
        await call.pause(script.wait)
    await call.raw(wire.stream_head())
    if fault == "bom":
        await call.body(codecs.BOM_UTF8)
    for event in call.format.begin():
        await call.event(event)
    for number in range(1, script.chunks + 1):
        if number == script.after + 1 and fault in AMID:
            await AMID[fault](call)
        await _say(call, number, halves=fault == "surrogates")
    await _end(call, fault)


async def _say(call: Call, number: int, halves: bool) -> None:
    if number > 1 and call.script.delay:
        await call.pause(call.script.delay)
    for content in split_surrogates(call.script.piece(number)) if halves else [call.script.piece(number)]:
        await call.event(call.format.text(content))


def split_surrogates(text: str) -> list[str]:
    """`text` as UTF-16 has it, cut between the halves of every pair."""
    units = text.encode("utf-16-le")
    pieces = [units[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(units), 2)]
    return pieces if len(pieces) > len(text) else [text]


async def _end(call: Call, fault: str) -> None:
    events = list(call.format.end(call.script.chunks))
    if fault == "no_done":
        events = events[:-1]
    if fault == "text_after_end":
        events.append(call.format.text(SECRET))
    for event in events:
        await call.event(event)
    if fault == "reset_after_end":
        await _reset(call)
    if fault == "stall_after_end":
        await _stall(call)
    await call.raw(wire.END)
    raise Stop(reusable=True)


FORMATS: dict[str, Callable[[], Format]] = {
    "/v1/chat/completions": OpenAIFormat,
    "/v1/messages": AnthropicFormat,
    "/perplexity/chat/completions": PerplexityFormat,
}


@dataclass
class ScriptedProvider:
    requests: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # times, by question
    open: Counter[str] = field(default_factory=Counter)
    strays: Counter[str] = field(default_factory=Counter)  # by path: requests for something else

    async def serve(self, port: int) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", port, backlog=1_000)
        async with server:
            await server.serve_forever()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, Gone):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; True if the connection stays open for another."""
        request = await wire.read_request(reader)
        connection = wire.Connection(request, reader, writer)
        if request.path not in FORMATS:
            await self._control(connection)
            return False
        question = _question(request.json())
        self.requests[question].append(monotonic())
        self.open[question] += 1
        gone = asyncio.create_task(connection.until_gone())
        script = Script.parse(question)
        try:
            await perform(
                Call(script, FORMATS[request.path](), connection, gone),
                fails=len(self.requests[question]) <= script.times,
            )
        except Stop as stop:
            return stop.reusable and not gone.done()
        finally:
            self.open[question] -= 1
            gone.cancel()
            await asyncio.wait([gone])  # it must have let go of the reader before the next request
        raise AssertionError("a performance ends with Stop")

    async def _control(self, connection: wire.Connection) -> None:
        if connection.request.path != "/control":
            self.strays[connection.request.path] += 1
        state = {
            "requests": self.requests,
            "open": {question: count for question, count in self.open.items() if count},
            "strays": self.strays,
        }
        headers = {"Content-Type": "application/json", "Connection": "close"}
        await connection.send(wire.response(200, headers, json.dumps(state).encode()))


def _question(body: Any) -> str:
    content = body["messages"][-1]["content"]
    assert isinstance(content, str)
    return content.rpartition("\n\n")[2]  # those before it that had no answer stand there, too


@dataclass
class ProviderProcess:
    """The provider from outside."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """For a server that is to use it as all vendors; a question without `provider` goes to OpenAI's format."""
        return {
            "OPENAI_BASE_URL": f"{self.url}/v1",
            "OPENAI_API_KEY": "sk-openai-of-the-operator",
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": "sk-anthropic-of-the-operator",
            "PERPLEXITY_BASE_URL": f"{self.url}/perplexity",
            "PERPLEXITY_API_KEY": "pplx-of-the-operator",
            "XIONIMUS_DEFAULT_PROVIDER": "openai",
            "XIONIMUS_DEFAULT_MODEL": "scripted",
        }

    def control(self) -> dict[str, Any]:
        state: dict[str, Any] = httpx.get(f"{self.url}/control").json()
        return state

    def requests(self, question: str) -> list[float]:
        """When they came, in seconds of the monotonic clock."""
        times: list[float] = self.control()["requests"].get(question, [])
        return times

    def closes(self, question: str, within: float) -> bool:
        """Whether nobody waits for the answer to `question` any more, at the latest `within` seconds from now."""
        deadline = monotonic() + within
        while question in self.control()["open"]:
            if monotonic() > deadline:
                return False
            sleep(0.02)
        return True


@contextmanager
def providing() -> Iterator[ProviderProcess]:
    port = free_port()
    command = [sys.executable, "-m", "tests.faults.provider", "--port", str(port)]
    root = Path(__file__).parent.parent.parent
    process = subprocess.Popen(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    provider = ProviderProcess(port, process)
    try:
        _wait_until_up(provider)
        yield provider
    finally:
        process.kill()
        process.wait()


def _wait_until_up(provider: ProviderProcess) -> None:
    deadline = monotonic() + 30
    while True:
        try:
            provider.control()
            return
        except httpx.TransportError:
            assert provider.process.poll() is None, "the provider ended at its start"
            assert monotonic() < deadline, "the provider did not come up"
            sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    with suppress(KeyboardInterrupt):
        asyncio.run(ScriptedProvider().serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
