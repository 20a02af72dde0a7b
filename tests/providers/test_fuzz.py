"""A provider's bytes, at random: the decoder of event streams beside the standard, and the readers of answers."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.chat.errors import ProviderError
from server.providers.anthropic import AnswerReader as AnthropicReader
from server.providers.openai import AnswerReader as OpenAIReader
from server.providers.sse_decoder import SSEDecodeError, SSEDecoder

FRAGMENTS = [
    *(b"data", b"event", b"id", b"retry", b":", b": ", b" ", b"\t", b"x", b"\0"),
    *(b"\r", b"\n", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"data: ", b"event: ", b"data: x\n\n"),
    *("é".encode(), "\u2028".encode(), "\x85".encode(), codecs.BOM_UTF8, b"\xff", b"\xc3", b"\xed\xa0\x80"),
]
SENTENCES = [
    b'{"choices":[{"delta":{"content":"text"}}]}',
    b'{"choices":[{"delta":{"content":7}}]}',
    b'{"choices":[{"delta":{},"finish_reason":"stop"}]}',
    b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":"2"}}',
    b'{"choices":{}}',
    b'{"choices":[null]}',
    b'{"error":{"code":429}}',
    b'{"error":[]}',
    b"[DONE]",
    b"null",
    b"[]",
    b"[" * 5_000,
    b'{"type":"message_start","message":{"usage":{"input_tokens":1}}}',
    b'{"type":"content_block_delta","delta":{"type":"text_delta","text":"text"}}',
    b'{"type":"content_block_delta","delta":{"type":"text_delta"}}',
    b'{"type":"content_block_delta","delta":null}',
    b'{"type":["message_stop"]}',
    b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}',
    b'{"type":"error","error":"none"}',
    b'{"type":"message_stop"}',
    b'"\\ud800"',
    b'{"choices":[{"delta":{"content":"\\ud83d"}}]}',
    b"1e999",
    b"-" * 100,
]
STREAMS = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=4), max_size=40).map(b"".join)
LAST = (b"[DONE]", b'{"type":"message_stop"}')


def stream_of(sentences: list[bytes]) -> bytes:
    """Up to the one that says it is the last: nobody needs to care for what comes behind it."""
    end = next((place for place, sentence in enumerate(sentences, 1) if sentence in LAST), len(sentences))
    return b"".join(b"data: " + sentence + b"\n\n" for sentence in sentences[:end])


ANSWERS = st.lists(st.sampled_from(SENTENCES) | st.binary(max_size=20), max_size=12).map(stream_of)
CUTS = st.lists(st.integers(min_value=0, max_value=400), max_size=10)


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def by_the_standard(data: bytes) -> tuple[list[tuple[str, str]], bool]:
    """What a whole stream says, read line by line; and whether it goes wrong by not being UTF-8."""
    *lines, _ = re.split(rb"\r\n|\r|\n", data.removeprefix(codecs.BOM_UTF8))
    found: list[tuple[str, str]] = []
    kind, values = b"", list[bytes]()
    for line in lines:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            values.append(value)
        elif name == b"event":
            kind = value
        elif not line:
            try:
                if values:
                    found.append((kind.decode() or "message", b"\n".join(values).decode()))
            except UnicodeDecodeError:
                return found, True
            kind, values = b"", []
    return found, False


@given(STREAMS, CUTS)
def test_the_decoder_reads_what_the_standard_reads(data: bytes, cuts: list[int]) -> None:
    assert decode(SSEDecoder(), pieces(data, cuts)) == by_the_standard(data)


@given(STREAMS, CUTS, st.integers(min_value=1, max_value=50))
def test_the_decoder_holds_no_more_than_its_limit(data: bytes, cuts: list[int], limit: int) -> None:
    found, wrong = decode(SSEDecoder(limit), pieces(data, cuts))
    whole, _ = by_the_standard(data)
    assert found == (whole[: len(found)] if wrong else whole)
    assert all(len(data) <= limit for _, data in found)


def decode(decoder: SSEDecoder, parts: Iterable[bytes]) -> tuple[list[tuple[str, str]], bool]:
    """The events, and whether an error came after them."""
    found: list[tuple[str, str]] = []
    try:
        for part in parts:
            for event in decoder.feed(part):
                found.append((event.event, event.data))
    except SSEDecodeError:
        return found, True
    return found, False


@pytest.mark.parametrize("reader", [lambda: OpenAIReader("Somebody"), AnthropicReader], ids=["openai", "anthropic"])
@given(data=ANSWERS | STREAMS, cuts=CUTS)
def test_an_answer_is_read_or_refused(
    reader: Callable[[], OpenAIReader | AnthropicReader], data: bytes, cuts: list[int]
) -> None:
    """Nothing a provider can send raises anything else; and how it was cut makes no difference."""
    assert read(reader(), pieces(data, cuts)) == read(reader(), [data])


def read(answer: OpenAIReader | AnthropicReader, parts: Iterable[bytes]) -> tuple[list[object], str | None]:
    deltas: list[object] = []
    try:
        for part in parts:
            if answer.done:
                break  # whatever follows, nobody looks at
            for delta in answer.feed(part):
                deltas.append(delta)
        for delta in answer.end():
            deltas.append(delta)
    except ProviderError as error:
        return deltas, error.code
    except SSEDecodeError:
        return deltas, "decode"
    return deltas, None
