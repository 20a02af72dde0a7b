"""The rules of server/streaming/log.py, for every implementation."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from server.streaming.events import Cursor, Entry, Event
from server.streaming.log import PAGE, Claim, CursorReset, EventLog, Fenced, Stream, UnknownStream
from tests.contracts.event_logs import IMPLEMENTATIONS, Harness
from tests.streaming.following import Collector, following

pytestmark = pytest.mark.anyio

MIB = 1 << 20


@pytest.fixture(params=IMPLEMENTATIONS)
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    async with IMPLEMENTATIONS[request.param](tmp_path) as opened:
        yield opened


@pytest.fixture
def log(harness: Harness) -> EventLog:
    return harness.log


@pytest.fixture
async def stream(harness: Harness) -> Stream:
    return await harness.create()


def entry(content: object = "", message_id: str | None = None) -> Entry:
    return Entry.of("chunk", {"content": content}, message_id)


def contents(events: Sequence[Event]) -> list[object]:
    return [json.loads(event.json)["content"] for event in events]


def seqs(events: Sequence[Event]) -> list[int]:
    return [event.cursor.seq for event in events]


async def fill(log: EventLog, stream: Stream, count: int, size: int = 0) -> None:
    await log.append(stream, [entry(f"{number}" + "x" * size) for number in range(count)])


async def read_all(log: EventLog, stream: Stream, after: Cursor, limit: int = PAGE) -> list[Event]:
    found: list[Event] = []
    while batch := await log.read(stream, after, limit):
        assert len(batch) <= limit
        found += batch
        after = batch[-1].cursor
    return found


async def origin(log: EventLog, stream: Stream) -> Cursor:
    return (await log.span(stream)).oldest


# 1. `seq` counts from 1 in each stream, without gaps, in the order of the calls of `append`.


async def test_counts_from_one_without_gaps(log: EventLog, stream: Stream) -> None:
    await log.append(stream, [entry("a")])
    events = await log.append(stream, [entry("b"), entry("c")])
    assert seqs(events) == [2, 3]
    everything = await read_all(log, stream, await origin(log, stream))
    assert seqs(everything) == [1, 2, 3]
    assert contents(everything) == ["a", "b", "c"]


async def test_the_order_is_that_of_the_calls(log: EventLog, stream: Stream) -> None:
    await asyncio.gather(*[log.append(stream, [entry(number)]) for number in range(300)])
    assert contents(await read_all(log, stream, await origin(log, stream))) == list(range(300))


async def test_what_is_given_in_its_turn_has_its_place_too(log: EventLog, stream: Stream) -> None:
    appends = [
        log.append(stream, [entry("a")]),
        log.append(stream, lambda: [entry("b"), entry("c")]),
        log.append(stream, tuple),
        log.append(stream, [entry("d")]),
    ]
    assert [contents(events) for events in await asyncio.gather(*appends)] == [["a"], ["b", "c"], [], ["d"]]
    assert contents(await read_all(log, stream, await origin(log, stream))) == ["a", "b", "c", "d"]


async def test_where_nothing_is_given_nothing_is_appended(log: EventLog, stream: Stream) -> None:
    before = await log.span(stream)
    assert list(await log.append(stream, tuple)) == []
    assert await log.span(stream) == before


async def test_what_is_given_is_asked_for_once(log: EventLog, harness: Harness, stream: Stream) -> None:
    """Though the appends of others beside it are refused, and the commit is tried again without them."""
    claim = await harness.grant()
    await harness.revoke(claim)
    asked = 0

    def given() -> list[Entry]:
        nonlocal asked
        asked += 1
        return [entry("a")]

    refused, taken = log.append(stream, [entry("b", claim.message_id)], claim), log.append(stream, given)
    with pytest.raises(Fenced):
        await refused
    assert contents(await taken) == ["a"]
    assert asked == 1


async def test_many_streams_are_each_in_order(log: EventLog, harness: Harness) -> None:
    streams = [await harness.create() for _ in range(20)]
    chance = random.Random(7)

    async def write(stream: Stream) -> None:
        for number in range(25):
            await log.append(stream, [entry([stream, number, part]) for part in range(chance.randint(1, 3))])

    await asyncio.gather(*map(write, streams))
    for stream in streams:
        events = await read_all(log, stream, await origin(log, stream))
        assert seqs(events) == list(range(1, len(events) + 1))
        assert [json.loads(event.json)["content"][0] for event in events] == [stream] * len(events)
        places = [json.loads(event.json)["content"][1:] for event in events]
        assert places == sorted(places)


async def test_appending_nothing_changes_nothing(log: EventLog, stream: Stream) -> None:
    before = await log.span(stream)
    assert list(await log.append(stream, [])) == []
    assert await log.span(stream) == before
    assert seqs(await log.append(stream, [entry()])) == [1]


# 2. Durable, then visible.


async def test_what_append_gives_back_can_be_read_at_once(log: EventLog, stream: Stream) -> None:
    for number in range(20):
        [event] = await log.append(stream, [entry(number)])
        assert (await log.span(stream)).tail == event.cursor
        assert await log.read(stream, event.cursor) in ((), [])
        [read] = (await read_all(log, stream, await origin(log, stream)))[-1:]
        assert read.json == event.json


async def test_who_no_longer_waits_takes_nothing_back(log: EventLog, stream: Stream) -> None:
    left = log.append(stream, [entry("left")])
    left.cancel()
    await log.append(stream, [entry("stays")])
    assert contents(await read_all(log, stream, await origin(log, stream))) == ["left", "stays"]


async def test_every_read_gives_the_same_bytes(log: EventLog, stream: Stream) -> None:
    await fill(log, stream, 30)
    first = await origin(log, stream)
    whole = [event.json for event in await read_all(log, stream, first)]
    for limit in (1, 7, 30):
        assert [event.json for event in await read_all(log, stream, first, limit)] == whole


# 3. `append` is all or none; a claim that is not held is none.


async def test_a_claim_lets_its_holder_append(log: EventLog, harness: Harness, stream: Stream) -> None:
    claim = await harness.grant()
    events = await log.append(stream, [entry("a", claim.message_id), entry("b", claim.message_id)], claim)
    assert [event.message_id for event in events] == [claim.message_id] * 2
    assert [json.loads(event.json)["message_id"] for event in events] == [claim.message_id] * 2


async def test_a_claim_never_granted_appends_nothing(log: EventLog, stream: Stream) -> None:
    with pytest.raises(Fenced):
        await log.append(stream, [entry("a", "msg_x"), entry("b", "msg_x")], Claim("msg_x", "forged"))
    assert seqs(await log.append(stream, [entry()])) == [1]


async def test_a_claim_that_has_ended_appends_nothing(log: EventLog, harness: Harness, stream: Stream) -> None:
    claim = await harness.grant()
    await log.append(stream, [entry("a", claim.message_id)], claim)
    await harness.revoke(claim)
    with pytest.raises(Fenced):
        await log.append(stream, [entry("b", claim.message_id)], claim)
    assert contents(await read_all(log, stream, await origin(log, stream))) == ["a"]


async def test_the_claim_of_somebody_else_appends_nothing(log: EventLog, harness: Harness, stream: Stream) -> None:
    claim, other = await harness.grant(), await harness.grant()
    for wrong in (Claim(claim.message_id, "another-token"), other):
        with pytest.raises(Fenced):
            await log.append(stream, [entry("x", claim.message_id)], wrong)
    assert await log.read(stream, await origin(log, stream)) in ((), [])


async def test_one_entry_that_the_claim_does_not_cover_keeps_all_out(
    log: EventLog, harness: Harness, stream: Stream
) -> None:
    claim = await harness.grant()
    for foreign in (None, "msg_other"):
        with pytest.raises(Fenced):
            await log.append(stream, [entry("a", claim.message_id), entry("b", foreign)], claim)
    assert seqs(await log.append(stream, [entry()])) == [1]


async def test_a_fenced_append_spoils_none_of_those_committed_with_it(
    log: EventLog, harness: Harness, stream: Stream
) -> None:
    claim, other = await harness.grant(), await harness.create()
    forged = Claim(claim.message_id, "forged")
    appends = [
        log.append(stream, [entry("a")]),
        log.append(stream, [entry("no", claim.message_id)], forged),
        log.append(other, [entry("b")]),
        log.append(1 << 40, [entry("no")]),
        log.append(stream, [entry("c", claim.message_id)], claim),
    ]
    outcomes = await asyncio.gather(*appends, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if isinstance(outcome, Exception)] == [Fenced, UnknownStream]
    assert contents(await read_all(log, stream, await origin(log, stream))) == ["a", "c"]
    assert contents(await read_all(log, other, await origin(log, other))) == ["b"]


async def test_an_unknown_stream_is_refused_everywhere(log: EventLog, stream: Stream) -> None:
    unknown = 1 << 40
    cursor = await origin(log, stream)
    with pytest.raises(UnknownStream):
        await log.append(unknown, [entry()])
    with pytest.raises(UnknownStream):
        await log.span(unknown)
    with pytest.raises(UnknownStream):
        await log.read(unknown, cursor)
    with pytest.raises(UnknownStream):
        await log.wait(unknown, cursor, 10)
    log.wake(unknown)


# 4. A read gives what comes after the cursor, in order, or refuses the cursor.


async def test_a_read_begins_behind_the_cursor_and_keeps_to_the_limit(log: EventLog, stream: Stream) -> None:
    await fill(log, stream, 10)
    first = await origin(log, stream)
    for after in [first, *(event.cursor for event in (await read_all(log, stream, first))[:-1])]:
        for limit in (1, 3, 20):
            found = seqs(await log.read(stream, after, limit))
            assert found == list(range(after.seq + 1, 11))[: len(found)]
            assert 1 <= len(found) <= limit


async def test_the_span_reaches_from_the_origin_to_the_tail(log: EventLog, stream: Stream) -> None:
    empty = await log.span(stream)
    assert empty.oldest == empty.tail
    assert empty.tail.seq == 0
    events = await log.append(stream, [entry(), entry()])
    full = await log.span(stream)
    assert full.oldest == empty.oldest
    assert full.tail == events[-1].cursor
    assert full.tail.seq == 2


async def test_a_cursor_ahead_of_the_tail_is_refused(log: EventLog, stream: Stream) -> None:
    await fill(log, stream, 3)
    span = await log.span(stream)
    with pytest.raises(CursorReset) as caught:
        await log.read(stream, Cursor(span.tail.epoch, 4))
    assert caught.value.reason == "ahead"
    assert caught.value.oldest == span.oldest


@pytest.mark.parametrize("seq", [0, 1, 3, 4, 10**16 - 1])
async def test_a_cursor_of_another_epoch_is_refused(log: EventLog, stream: Stream, seq: int) -> None:
    await fill(log, stream, 3)
    with pytest.raises(CursorReset) as caught:
        await log.read(stream, Cursor("other", seq))
    assert caught.value.reason == "epoch"
    assert caught.value.oldest == await origin(log, stream)


async def test_a_cursor_of_another_stream_is_not_taken_for_one_of_this(
    log: EventLog, harness: Harness, stream: Stream
) -> None:
    other = await harness.create()
    await fill(log, other, 3)
    await fill(log, stream, 3)
    for event in await read_all(log, other, await origin(log, other)):
        with pytest.raises(CursorReset):
            await log.read(stream, event.cursor)


@pytest.mark.parametrize(("count", "size"), [(2 * PAGE + 10, 0), (9, 400_000), (3, 3 * MIB)])
async def test_far_behind_the_rest_is_read_in_pages(log: EventLog, stream: Stream, count: int, size: int) -> None:
    for _ in range(count // 3):
        await fill(log, stream, 3, size)
    await fill(log, stream, count % 3)
    first = await origin(log, stream)
    assert seqs(await read_all(log, stream, first)) == list(range(1, count + 1))
    assert seqs(await read_all(log, stream, first, 2)) == list(range(1, count + 1))


async def test_the_newest_can_be_read_without_the_rest(log: EventLog, stream: Stream) -> None:
    for _ in range(6):
        await fill(log, stream, 1, 600_000)
    tail = (await log.span(stream)).tail
    events = await read_all(log, stream, await origin(log, stream), 1)
    assert seqs(await log.read(stream, events[-2].cursor)) == [tail.seq]


# 5. `wait` may wake for nothing, and never sleeps through something.


async def test_wait_returns_when_something_comes(log: EventLog, stream: Stream) -> None:
    at = await origin(log, stream)
    waits = [asyncio.create_task(log.wait(stream, at, 60)) for _ in range(5)]
    await asyncio.sleep(0)
    await log.append(stream, [entry()])
    await asyncio.wait_for(asyncio.gather(*waits), 5)


async def test_wait_does_not_sleep_when_there_is_something(log: EventLog, stream: Stream) -> None:
    at = await origin(log, stream)
    await log.append(stream, [entry()])
    await asyncio.wait_for(log.wait(stream, at, 60), 5)


async def test_wait_ends_with_its_timeout(log: EventLog, stream: Stream) -> None:
    await asyncio.wait_for(log.wait(stream, await origin(log, stream), 0.01), 5)


async def test_wake_lets_all_who_wait_on_the_stream_return(log: EventLog, harness: Harness, stream: Stream) -> None:
    other = await harness.create()
    waits = [asyncio.create_task(log.wait(stream, await origin(log, stream), 60)) for _ in range(3)]
    stays = asyncio.create_task(log.wait(other, await origin(log, other), 60))
    await asyncio.sleep(0)
    log.wake(stream)
    await asyncio.wait_for(asyncio.gather(*waits), 5)
    assert not stays.done()
    stays.cancel()


# follow: all that comes after a cursor, once, in order.


async def test_following_goes_from_history_to_live_without_gap_or_double(log: EventLog, stream: Stream) -> None:
    await fill(log, stream, 700)
    starts = [
        await origin(log, stream),
        *(event.cursor for event in (await read_all(log, stream, await origin(log, stream)))[:500]),
    ]
    followers = [following(log, stream, Collector(after, 1_000)) for after in starts[::100]]
    chance = random.Random(3)
    while (tail := (await log.span(stream)).tail.seq) < 1_000:
        await log.append(stream, [entry("x" * chance.randint(0, 3_000)) for _ in range(min(3, 1_000 - tail))])
    for follower, first in zip(followers, [1, 101, 201, 301, 401, 501], strict=True):
        assert await follower == list(range(first, 1_001))


async def test_who_comes_at_any_moment_misses_nothing(log: EventLog, stream: Stream) -> None:
    at = await origin(log, stream)
    followers = []
    for number in range(60):
        appended = log.append(stream, [entry(number)] * 5)
        followers.append(following(log, stream, Collector(at, 300)))
        if number % 3:
            await appended
    for follower in followers:
        assert await follower == list(range(1, 301))


async def test_who_takes_only_some_at_once_gets_the_rest_by_reading(log: EventLog, stream: Stream) -> None:
    chance = random.Random(11)
    sinks = [Collector(await origin(log, stream), 400, lambda wanted: chance.randint(0, wanted)) for _ in range(10)]
    followers = [following(log, stream, sink) for sink in sinks]
    for _ in range(100):
        for sink in sinks:
            await sink.resting.wait()
        await log.append(stream, [entry()] * 4)
    for follower in followers:
        assert await follower == list(range(1, 401))
    assert 0 < sum(sink.handed for sink in sinks) < 4_000


async def test_who_has_caught_up_is_handed_events_when_append_returns(log: EventLog, stream: Stream) -> None:
    sink = Collector(await origin(log, stream), 4)
    follower = following(log, stream, sink)
    await sink.resting.wait()
    for expected in ([1, 2], [1, 2, 3, 4]):
        await log.append(stream, [entry(), entry()])
        assert sink.seqs == expected
    await follower
    assert sink.handed == 4


async def test_who_is_behind_is_not_attached(log: EventLog, stream: Stream) -> None:
    sink = Collector(await origin(log, stream), 10)
    await fill(log, stream, 1)
    assert not log.attach(stream, sink)
    await log.append(stream, [entry()])
    assert sink.seqs == []


async def test_who_is_detached_gets_nothing_more(log: EventLog, stream: Stream) -> None:
    sink, stays = Collector(await origin(log, stream), 10), Collector(await origin(log, stream), 10)
    assert log.attach(stream, sink)
    assert log.attach(stream, stays)
    log.detach(stream, sink)
    log.detach(stream, sink)
    await log.append(stream, [entry()])
    assert sink.seqs == []
    assert stays.seqs == [1]


async def test_a_follower_that_is_cancelled_is_detached(log: EventLog, stream: Stream) -> None:
    sink = Collector(await origin(log, stream), 10)
    follower = following(log, stream, sink)
    await sink.resting.wait()
    follower.cancel()
    await asyncio.wait([follower])
    await log.append(stream, [entry()])
    assert sink.seqs == []


async def test_a_follower_that_fails_spoils_nothing_for_others(log: EventLog, stream: Stream) -> None:
    broken, whole = Collector(await origin(log, stream), 3), Collector(await origin(log, stream), 3)
    broken.take = lambda events: 1 // 0 > 0  # type: ignore[method-assign]
    followers = [following(log, stream, sink) for sink in (broken, whole)]
    await whole.resting.wait()
    assert len(await log.append(stream, [entry(), entry()])) == 2
    assert len(await log.append(stream, [entry()])) == 1
    for follower in followers:
        assert await follower == [1, 2, 3]


async def test_following_an_expired_or_foreign_cursor_is_refused(log: EventLog, stream: Stream) -> None:
    await fill(log, stream, 1)
    with pytest.raises(CursorReset):
        await following(log, stream, Collector(Cursor("other", 0), 1))
    with pytest.raises(UnknownStream):
        await following(log, 1 << 40, Collector(await origin(log, stream), 1))


async def test_who_catches_up_lets_others_run(log: EventLog, stream: Stream) -> None:
    await fill(log, stream, 5 * PAGE)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(other())
    await following(log, stream, Collector(await origin(log, stream), 5 * PAGE))
    running.cancel()
    assert turns >= 4
