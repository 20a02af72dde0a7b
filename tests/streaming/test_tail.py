import asyncio
import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.chat import transcript
from server.streaming.events import Cursor, Event
from server.streaming.log import CursorReset
from server.streaming.tail import MAX_BYTES, Tail

START = Cursor("e", 0)


def events(first: int, last: int, size: int = 10, epoch: str = "e") -> list[Event]:
    return [Event(Cursor(epoch, seq), "chunk", '{"c":"' + "x" * size + '"}') for seq in range(first, last + 1)]


def seqs(found: Sequence[Event] | None) -> list[int]:
    assert found is not None
    return [event.cursor.seq for event in found]


def reset_of(tail: Tail, after: Cursor) -> tuple[str, Cursor]:
    with pytest.raises(CursorReset) as caught:
        tail.since(after, 10)
    return caught.value.reason, caught.value.oldest


def test_gives_what_comes_after_a_cursor_up_to_the_limit() -> None:
    tail = Tail(START, START)
    tail.append(events(1, 5))
    assert seqs(tail.since(START, 10)) == [1, 2, 3, 4, 5]
    assert seqs(tail.since(Cursor("e", 2), 2)) == [3, 4]
    assert seqs(tail.since(Cursor("e", 5), 10)) == []


def test_refuses_what_is_ahead() -> None:
    tail = Tail(START, START)
    assert reset_of(tail, Cursor("e", 1)) == ("ahead", START)
    tail.append(events(1, 5))
    assert reset_of(tail, Cursor("e", 6)) == ("ahead", START)


@pytest.mark.parametrize("seq", [0, 1, 3, 5, 6])
def test_refuses_another_epoch_wherever_it_points(seq: int) -> None:
    tail = Tail(START, START)
    tail.append(events(1, 5))
    assert reset_of(tail, Cursor("other", seq)) == ("epoch", START)


def test_each_place_has_the_epoch_of_the_run_that_wrote_it() -> None:
    tail = Tail(START, START)
    tail.append(events(1, 3) + events(4, 6, epoch="f"))
    assert seqs(tail.since(Cursor("e", 3), 10)) == [4, 5, 6]
    assert seqs(tail.since(Cursor("f", 4), 10)) == [5, 6]
    assert reset_of(tail, Cursor("f", 3)) == ("epoch", START)
    assert reset_of(tail, Cursor("e", 4)) == ("epoch", START)


def test_what_is_older_than_the_tail_has_to_be_read_elsewhere() -> None:
    tail = Tail(START, Cursor("e", 10))
    tail.append(events(11, 12))
    assert tail.since(Cursor("e", 9), 10) is None
    assert tail.since(START, 10) is None
    assert seqs(tail.since(Cursor("e", 10), 10)) == [11, 12]


def test_refuses_what_is_older_than_anything_kept() -> None:
    oldest = Cursor("e", 5)
    tail = Tail(oldest, Cursor("e", 10))
    assert reset_of(tail, Cursor("e", 4)) == ("expired", oldest)
    assert reset_of(tail, Cursor("other", 5)) == ("epoch", oldest)
    assert tail.since(oldest, 10) is None


def test_trims_its_older_half_when_it_grows_too_large() -> None:
    tail = Tail(START, START, max_bytes=10_000)
    for event in events(1, 100):
        tail.append([event])
        assert seqs(tail.since(tail.base, 1_000)) == list(range(tail.base.seq + 1, event.cursor.seq + 1))
    assert tail.end == Cursor("e", 100)
    assert 80 < tail.base.seq < 100
    assert tail.oldest == START


@pytest.mark.parametrize("size", [1, 50, 2_000, 20_000])
def test_takes_no_more_memory_than_it_says(size: int) -> None:
    tail = Tail(START, START)
    message_id, text = "msg_" + "x" * 24, "x" * size
    peak = 0
    tracemalloc.start()
    for seq in range(1, 4_000_000 // (size + 500)):
        entry = transcript.chunk(message_id, seq, seq, text)
        event = Event(Cursor(f"k3v9x2mq{seq % 1:x}", seq), entry.type, entry.body, message_id)
        assert event.line
        tail.append([event])
        peak = max(peak, tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert MAX_BYTES / 2 < peak < MAX_BYTES + 64_000


@pytest.mark.parametrize("before", [0, 1])
def test_an_event_larger_than_the_tail_is_given_once(before: int) -> None:
    tail = Tail(START, START, max_bytes=10_000)
    tail.append(events(1, before) + events(before + 1, before + 1, size=5_000))
    large = tail.end
    tail.append(events(before + 2, before + 3))
    assert seqs(tail.since(large, 10)) == [before + 2, before + 3]
    assert seqs(tail.since(tail.base, 10)) == list(range(tail.base.seq + 1, before + 4))


@given(st.lists(st.lists(st.integers(0, 400), min_size=1, max_size=5), max_size=20), st.integers(1, 7))
def test_from_every_place_the_rest_is_whole(sizes: list[list[int]], limit: int) -> None:
    tail = Tail(START, START, max_bytes=10_000)
    seq = 0
    for batch in sizes:
        tail.append(
            [Event(Cursor("e", seq + place), "c", '"' + "x" * size + '"') for place, size in enumerate(batch, 1)]
        )
        seq += len(batch)
    assert tail.end.seq == seq
    for place in range(tail.base.seq, seq + 1):
        assert seqs(tail.since(Cursor("e", place), limit)) == list(range(place + 1, seq + 1))[:limit]
    for place in range(tail.base.seq):
        assert tail.since(Cursor("e", place), limit) is None


@pytest.mark.anyio
async def test_who_waits_wakes_at_an_append_and_at_a_call() -> None:
    tail = Tail(START, START)
    waits = [asyncio.create_task(tail.wait(60)) for _ in range(3)]
    await asyncio.sleep(0)
    tail.append(events(1, 1))
    await asyncio.gather(*waits)
    again = asyncio.create_task(tail.wait(60))
    await asyncio.sleep(0)
    tail.wake()
    await again


@pytest.mark.anyio
async def test_who_waits_wakes_after_the_timeout_and_leaves_nothing_behind() -> None:
    tail = Tail(START, START)
    await tail.wait(0.01)
    left = asyncio.create_task(tail.wait(60))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait([left])
    assert not tail.waiters
