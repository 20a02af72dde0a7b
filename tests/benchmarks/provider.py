"""A provider that is never the bottleneck, in a process of its own: `python -m tests.benchmarks.provider`.

It speaks OpenAI's Chat Completions (and Anthropic's Messages under /v1/messages) from bytes made beforehand, at the
rate that the model's name asks for (`Plan`), and stamps every chunk. Its port is the first line it prints.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, cast

import httptools
import uvloop

from tests.benchmarks.stamps import LENGTH, Plan, clock

HALF_TICK = 0.0005  # seconds; uvloop's timers count milliseconds
BACKLOG = 4_096
END = b"0\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Wire:
    """One vendor's events, encoded: before the text, around each piece of it, and after it."""

    opening: bytes
    before: bytes
    after: bytes
    closing: bytes

    def chunk(self, size: int) -> tuple[bytes, bytes]:
        """What stands before and behind the stamp of a chunk of `size` characters, HTTP's framing included."""
        after = b" " + b"abcdefghijklmnopqrstuvwxyz       " * (size // 32 + 1)
        text_after = after[: size - LENGTH] + self.after
        length = len(self.before) + LENGTH + len(text_after)
        return b"%x\r\n%b" % (length, self.before), text_after + b"\r\n"


def framed(*events: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)


def openai() -> Wire:
    about = (
        '{"id":"chatcmpl-C0mpl3t10n0000000000000000001","object":"chat.completion.chunk","created":1760000000,'
        '"model":"gpt-5.2","service_tier":"default","system_fingerprint":"fp_0123456789","choices":['
    )

    def event(delta: str, finish: str = "null") -> bytes:
        choice = f'{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}'
        return f'data: {about}{choice}],"usage":null,"obfuscation":"k2Zr9w"}}\n\n'.encode()

    before, after = event('{"content":"|"}').split(b"|")
    usage = '{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}'
    return Wire(
        opening=framed(event('{"role":"assistant","content":"","refusal":null}')),
        before=before,
        after=after,
        closing=framed(event("{}", '"stop"'), f'data: {about}],"usage":{usage}}}\n\n'.encode(), b"data: [DONE]\n\n"),
    )


def anthropic() -> Wire:
    def event(kind: str, **more: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()

    message: dict[str, Any] = {
        "id": "msg_00000000000000000000000001",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 1},
    }
    delta = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "|"})
    before, after = delta.split(b"|")
    return Wire(
        opening=framed(
            event("message_start", message=message),
            event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
            event("ping"),
        ),
        before=before,
        after=after,
        closing=framed(
            event("content_block_stop", index=0),
            event(
                "message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 4}
            ),
            event("message_stop"),
        ),
    )


OPENAI = openai()
ANTHROPIC = anthropic()


class Answer:
    """Writes one answer, each chunk when it is due."""

    def __init__(self, transport: asyncio.WriteTransport, wire: Wire, plan: Plan) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._wire = wire
        self._plan = plan
        self._before, self._after = wire.chunk(plan.size)
        self._sent = 0
        self._paused = False
        self._timer: asyncio.Handle | None = None
        self._due = self._loop.time() + plan.first / 1000
        transport.write(HEAD + wire.opening)
        self._schedule()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._schedule()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._sent = self._plan.chunks

    def _schedule(self) -> None:
        if self._timer is None and not self._paused and self._sent < self._plan.chunks:
            soon = self._due <= self._loop.time()
            self._timer = self._loop.call_soon(self._tick) if soon else self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now, stamp = self._loop.time() + HALF_TICK, clock()
        pieces: list[bytes] = []
        while self._sent < self._plan.chunks and self._due <= now and len(pieces) < self._plan.burst:
            self._sent += 1
            self._due += (1 if self._sent < self._plan.ahead else self._plan.delay) / 1000
            pieces.append(b"%b@%06d:%014d;%b" % (self._before, self._sent, stamp, self._after))
        if self._sent == self._plan.chunks:
            pieces += [self._wire.closing, END]
        self._transport.write(b"".join(pieces))
        self._schedule()


class Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._answer: Answer | None = None
        self._url = self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        self._url, self._body = url, b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        wire = ANTHROPIC if self._url.startswith(b"/v1/messages") else OPENAI
        try:
            plan = Plan.of(json.loads(self._body)["model"])
        except (KeyError, TypeError, ValueError):
            self._transport.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        else:
            self._answer = Answer(self._transport, wire, plan)

    def pause_writing(self) -> None:
        if self._answer is not None:
            self._answer.pause()

    def resume_writing(self) -> None:
        if self._answer is not None:
            self._answer.resume()

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None:
            self._answer.stop()


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
