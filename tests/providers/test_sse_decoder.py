"""The decoder does what the standard says, however its input is cut, and never holds more than its limit."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.providers.sse_decoder import SSEDecodeError, SSEDecoder

BOM = b"\xef\xbb\xbf"
FRAGMENTS = [
    *(b"data", b"event", b"id", b"retry", b"unknown", b":", b": ", b" ", b"x", BOM),
    *(b"\n", b"\r", b"\r\n", b"\n\n", "ü\u2028\u0085\x0b".encode(), "😀".encode(), b"\xff", b"\0"),
]
streams = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(b"".join)


def decode(pieces: Iterable[bytes], limit: int = 1 << 20) -> list[tuple[str, str]]:
    """The events; an error is the last of them."""
    decoder = SSEDecoder(limit)
    events: list[tuple[str, str]] = []
    try:
        for piece in pieces:
            events += decoder.feed(piece)
    except SSEDecodeError as error:
        events.append(("error", str(error)))
    return events


def data(*pieces: bytes) -> list[str]:
    return [text for _, text in decode(pieces)]


@given(streams, st.lists(st.integers(0, 200)), st.integers(1, 60))
def test_where_it_is_cut_makes_no_difference(stream: bytes, cuts: list[int], limit: int) -> None:
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    assert decode(pieces, limit) == decode([stream], limit)
    assert decode([stream[at : at + 1] for at in range(len(stream))], limit) == decode([stream], limit)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_each_line_end_of_the_standard(end: bytes) -> None:
    assert decode([end.join([b"event: greeting", b"data: one", b"data: two", b"", b""])]) == [("greeting", "one\ntwo")]


def test_a_line_end_cut_in_two_ends_one_line() -> None:
    assert data(b"data: a\r", b"", b"\ndata: b\r", b"\n\r", b"\n") == ["a\nb"]


def test_an_event_is_told_at_the_first_byte_that_ends_it() -> None:
    assert data(b"data: a\r\n\r") == ["a"]


def test_other_separators_are_text() -> None:
    text = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg"
    assert data(f"data: {text}\n\n".encode()) == [text]


def test_the_byte_order_mark_is_dropped_once() -> None:
    assert data(BOM[:2], BOM[2:] + b"data: a\n\n", BOM + b"data: b\n\ndata: c\n\n") == ["a", "c"]


def test_fields_as_the_standard_has_them() -> None:
    stream = b"data\ndata:\ndata: \ndata:  b\nda: no\n data: no\nDATA: no\nid: 7\nretry: 5\n: comment\n\n"
    assert data(stream) == ["\n\n\n b"]


def test_an_event_without_data_is_none_and_leaves_nothing_behind() -> None:
    assert decode([b"event: lost\n\ndata: a\n\nevent: b\ndata\n\n"]) == [("message", "a"), ("b", "")]


def test_what_is_not_utf8_is_an_error_after_the_events_before_it() -> None:
    assert decode([b"data: a\n\ndata: \xff\n\ndata: b\n\n"]) == [
        ("message", "a"),
        ("error", "an event is not UTF-8"),
    ]


@pytest.mark.parametrize("piece", [b"x" * 1_000, b"x", b"data: x\n", b"event:x\n"])
def test_nothing_larger_than_the_limit_is_held(piece: bytes) -> None:
    decoder = SSEDecoder(limit=10_000)
    with pytest.raises(SSEDecodeError, match="10000"):
        timed(decoder, piece, 20_000)
    assert len(decoder._line) + len(decoder._data) <= 10_000


def test_comments_and_small_events_go_on_for_ever() -> None:
    decoder = SSEDecoder(limit=100)
    assert sum(len(list(decoder.feed(b": still there\n\ndata: x\n\n"))) for _ in range(1_000)) == 1_000


@pytest.mark.parametrize(("size", "count"), [(1, 10_000), (64, 10_000), (65_536, 64)])
def test_the_work_grows_with_the_input_and_no_faster(size: int, count: int) -> None:
    # Eight times the input: eight times the work, or 64 times if the line so far were looked at each time.
    assert seconds(size, 8 * count) < 24 * seconds(size, count)


def seconds(size: int, count: int) -> float:
    """CPU time to take in the start of a line, `count` pieces of `size` bytes; the best of three."""
    return min(timed(SSEDecoder(limit=1 << 30), b"x" * size, count) for _ in range(3))


def timed(decoder: SSEDecoder, piece: bytes, count: int) -> float:
    start = time.process_time()
    for _ in range(count):
        list(decoder.feed(piece))
    return time.process_time() - start
