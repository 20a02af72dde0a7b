"""What only the log in SQLite can get wrong; its contract is in tests/contracts/test_event_log.py."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from server.chat.errors import StorageUnavailable
from server.storage import event_log
from server.storage.blocks import Block, Blocks
from server.storage.database import Connection, Row, Values
from server.storage.event_rows import cursor_of, new_run
from server.streaming.events import Cursor, Entry, Event, encode
from server.streaming.log import CursorReset, Stream, UnknownStream
from server.streaming.tail import MAX_BYTES
from tests.storage.kept import NOON, OWNER, Kept, keep, seqs
from tests.streaming.following import Collector, following

pytestmark = pytest.mark.anyio

LATER = "2026-01-02T12:00:00.000Z"


Write = Callable[[Callable[[Connection], Any]], Awaitable[Any]]


class Gate:
    """Holds the writer back, when closed, between a commit that is durable and what it does next."""

    def __init__(self, write: Write) -> None:
        self.durable = asyncio.Event()
        self._closed = False
        self._held = asyncio.Event()
        self._write = write

    def close(self) -> None:
        self._closed = True

    def step(self) -> None:
        """Let the commit go on that is held, and hold the next one."""
        self.durable.clear()
        self._held.set()

    def open(self) -> None:
        self._closed = False
        self._held.set()

    async def write(self, work: Callable[[Connection], Any]) -> Any:
        result = await self._write(work)
        if self._closed:
            self._held.clear()
            self.durable.set()
            await self._held.wait()
        return result


@asynccontextmanager
async def gated(kept: Kept) -> AsyncIterator[Gate]:
    with pytest.MonkeyPatch.context() as patch:
        gate = Gate(kept.database.write)
        patch.setattr(kept.database, "write", gate.write)
        try:
            yield gate
        finally:
            gate.open()


@asynccontextmanager
async def every_reader_busy(kept: Kept) -> AsyncIterator[None]:
    done = threading.Event()
    busy = [asyncio.create_task(kept.database.read(lambda connection: done.wait(10))) for _ in range(2)]
    try:
        yield
    finally:
        done.set()
        await asyncio.gather(*busy)


@pytest.fixture
async def gate(kept: Kept) -> AsyncIterator[Gate]:
    async with gated(kept) as gate:
        yield gate


def entry(content: str = "") -> Entry:
    return Entry.of("chunk", {"content": content})


async def new_stream(kept: Kept, session: str = "s") -> Stream:
    await kept.store.create_session(OWNER, session, "", NOON)
    return await kept.store.stream_of(OWNER, session)


async def reset_of(kept: Kept, stream: Stream, after: Cursor) -> CursorReset:
    with pytest.raises(CursorReset) as caught:
        await kept.log.read(stream, after)
    return caught.value


def joined(*parts: Sequence[Event]) -> list[bytes]:
    return [event.json for part in parts for event in part]


# What many read at once.


@asynccontextmanager
async def half_forgotten(path: Path, events: int = 1_000) -> AsyncIterator[tuple[Kept, Stream, list[Event]]]:
    """A log whose events the last run wrote: none is in memory."""
    async with keep(path) as kept:
        stream = await new_stream(kept)
        written = await kept.log.append(stream, [entry(str(number)) for number in range(events)])
    async with keep(path) as kept:
        yield kept, stream, list(written)


def counting(kept: Kept, patch: pytest.MonkeyPatch) -> list[object]:
    """One element for each trip to a connection that reads."""
    trips: list[object] = []
    read = kept.database.read

    async def counted(work: Callable[[Connection], Any]) -> Any:
        trips.append(work)
        return await read(work)

    patch.setattr(kept.database, "read", counted)
    return trips


async def test_what_many_read_at_once_is_read_from_the_file_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with half_forgotten(path) as (kept, stream, written):
        await kept.log.span(stream)
        trips = counting(kept, monkeypatch)
        sinks = [Collector(written[99].cursor, 900) for _ in range(50)]
        await asyncio.gather(*(following(kept.log, stream, sink) for sink in sinks))
        assert all(joined(sink.events) == joined(written[100:]) for sink in sinks)
        # Three whole blocks, and for each the part of one that is still growing.
        assert len(trips) == 3 + len(sinks)


async def test_a_reader_that_leaves_takes_nothing_from_those_who_wait_for_the_same(path: Path) -> None:
    async with half_forgotten(path) as (kept, stream, written):
        await kept.log.span(stream)
        async with every_reader_busy(kept):
            first, second = (asyncio.create_task(kept.log.read(stream, written[9].cursor)) for _ in range(2))
            await asyncio.sleep(0.01)
            first.cancel()
            await asyncio.sleep(0.01)
        assert joined(await second)[:5] == joined(written[10:15])
        assert first.cancelled()


async def test_what_could_not_be_read_is_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with half_forgotten(path) as (kept, stream, written):
        await kept.log.span(stream)

        async def fails(work: Callable[[Connection], Any]) -> Any:
            raise StorageUnavailable("not now")

        with monkeypatch.context() as patch:
            patch.setattr(kept.database, "read", fails)
            with pytest.raises(StorageUnavailable):
                await kept.log.read(stream, written[9].cursor)
        assert joined(await kept.log.read(stream, written[9].cursor))[:5] == joined(written[10:15])


async def test_what_is_shared_is_bounded() -> None:
    loads: list[int] = []

    async def load(stream: Stream, number: int) -> Block:
        loads.append(number)
        return Block(Cursor("e", 0), [Event(Cursor("e", 1), "chunk", encode("x" * 10_000))])

    blocks = Blocks(load, max_bytes=50_000)
    for number in (0, 1, 2, 3, 0, 4, 5, 0, 5):
        assert await blocks.get(1, number)
    assert loads == [0, 1, 2, 3, 4, 5, 0]


# Commits that are durable, and not published yet.


async def test_a_reader_that_saw_a_commit_before_it_was_published_goes_on(kept: Kept, gate: Gate) -> None:
    stream = await new_stream(kept)
    # So large that the newest are in memory and the rest is not, and few enough for one page of the table.
    large = await kept.log.append(stream, [entry("x" * 250_000) for _ in range(5)])
    gate.close()
    append = kept.log.append(stream, [entry("new")])
    await gate.durable.wait()
    seen = await kept.events(stream, large[1].cursor)
    assert seqs(seen) == [3, 4, 5, 6]
    follower = following(kept.log, stream, Collector(seen[-1].cursor, 7))
    gate.open()
    await append
    await kept.log.append(stream, [entry("newer")])
    assert await follower == [7]


@pytest.mark.parametrize("earlier", [0, 1])
async def test_a_cursor_that_the_history_gave_is_never_refused(kept: Kept, gate: Gate, earlier: int) -> None:
    stream = await new_stream(kept)
    await kept.log.append(stream, [entry()] * earlier)
    await kept.log.span(stream)
    gate.close()
    append = kept.log.append(stream, [entry("new")])
    await gate.durable.wait()
    cursor = (await kept.store.history(OWNER, "s", None, 10)).cursor
    assert cursor.seq == earlier + 1
    assert list(await kept.log.read(stream, cursor)) == []
    gate.open()
    await append


async def test_a_cursor_ahead_of_the_table_is_refused_too_while_a_commit_is_under_way(kept: Kept, gate: Gate) -> None:
    stream = await new_stream(kept)
    gate.close()
    append = kept.log.append(stream, [entry("new")])
    await gate.durable.wait()
    tail = (await kept.log.span(stream)).tail
    assert (await reset_of(kept, stream, Cursor(tail.epoch, 2))).reason == "ahead"
    assert (await reset_of(kept, stream, Cursor("other", 1))).reason == "epoch"
    gate.open()
    await append


async def test_a_reader_that_loads_the_log_between_commit_and_publication_spoils_nothing(
    kept: Kept, gate: Gate
) -> None:
    stream = await new_stream(kept)  # not in memory, since nothing was appended yet
    gate.close()
    append = kept.log.append(stream, [entry("a")])
    await gate.durable.wait()
    tail = (await kept.log.span(stream)).tail
    sink = Collector(tail, 2)
    follower = following(kept.log, stream, sink)
    await sink.resting.wait()
    gate.open()
    assert seqs(await append) == [1]
    await kept.log.append(stream, [entry("b")])
    assert await follower == [2]


# Tails come and go; what is read stays the same.


async def test_readers_that_load_the_log_while_it_is_written_miss_nothing(path: Path) -> None:
    async with keep(path, "aaaaaaa") as kept:
        stream = await new_stream(kept)
        first = (await kept.log.span(stream)).tail
        await kept.log.append(stream, [entry("x" * 300_000) for _ in range(5)])
    async with keep(path, "bbbbbbb") as kept:
        readers = []
        for number in range(40):
            appended = kept.log.append(stream, [entry(str(number))])
            readers.append(following(kept.log, stream, Collector(first, 45)))
            if number % 2:
                await appended
        for reader in readers:
            assert await reader == list(range(1, 46))


async def test_tails_that_are_given_up_under_way_cost_no_event(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "MAX_IDLE", 2)
    kept.log._enough = 2
    streams = [await new_stream(kept, f"s{number}") for number in range(6)]
    starts = [(await kept.log.span(stream)).tail for stream in streams]
    chance = random.Random(5)
    readers = [
        following(kept.log, stream, Collector(start, 60))
        for stream, start in zip(streams, starts, strict=True)
        for _ in range(2)
    ]
    for _ in range(60):
        chance.shuffle(streams)
        await asyncio.gather(*[kept.log.append(stream, [entry()]) for stream in streams])
    for reader in readers:
        assert await reader == list(range(1, 61))


async def test_young_tails_stay_and_old_idle_ones_go(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "MAX_IDLE", 4)
    kept.log._enough = 4
    followed = [await new_stream(kept, f"s{number}") for number in range(6)]
    readers = [following(kept.log, stream, Collector((await kept.log.span(stream)).tail, 1)) for stream in followed]
    young = [await new_stream(kept, name) for name in ("young", "younger")]
    for stream in young:
        await kept.log.span(stream)
    assert all(stream in kept.log._tails for stream in (*followed, *young))
    for number in range(40):
        await kept.log.span(await new_stream(kept, f"idle{number}"))
    assert len(kept.log._tails) <= len(followed) + 4
    for stream, reader in zip(followed, readers, strict=True):
        await kept.log.append(stream, [entry()])
        assert await reader == [1]


@pytest.mark.parametrize(("size", "pauses"), [(10, 1), (event_log.LONG, 0)], ids=["short", "long"])
async def test_who_takes_long_to_hand_to_lets_more_gather_while_events_are_short(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, size: int, pauses: int
) -> None:
    class Slow(Collector):
        def take(self, events: Sequence[Event]) -> bool:
            time.sleep(2 * event_log.SHORT)
            return super().take(events)

    paused: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        if seconds:
            paused.append(seconds)
        await sleep(seconds)

    stream = await new_stream(kept)
    reader = following(kept.log, stream, Slow((await kept.log.span(stream)).tail, 1))
    await sleep(0.05)  # it follows
    monkeypatch.setattr("server.streaming.writer.asyncio.sleep", noted)
    await kept.log.append(stream, [Entry.of("chunk", {"content": "x" * size})])
    assert await reader == [1]
    assert len(paused) == pauses
    assert all(event_log.SHORT < seconds <= event_log.MAX_PAUSE for seconds in paused)


# Expiry.


async def test_what_has_expired_is_refused_and_the_rest_is_as_it_was(kept: Kept) -> None:
    old = await kept.answer("one", "an answer of some length")
    middle = (await kept.log.span(old.stream)).tail
    await kept.answer("two", "another answer", at=LATER)
    before = await kept.events(old.stream)
    await kept.store.expire(LATER)
    span = await kept.log.span(old.stream)
    reset = await reset_of(kept, old.stream, Cursor(before[0].cursor.epoch, span.oldest.seq - 1))
    assert (reset.reason, reset.oldest) == ("expired", span.oldest)
    assert span.oldest == middle
    assert joined(await kept.events(old.stream)) == joined(before[span.oldest.seq :])


async def test_what_has_expired_stays_so_in_the_next_run(path: Path) -> None:
    async with keep(path) as kept:
        message = await kept.answer("one", "an answer")
        tail = (await kept.log.span(message.stream)).tail
        await kept.store.expire(LATER)
    async with keep(path) as kept:
        span = await kept.log.span(message.stream)
        assert span.oldest == span.tail == tail
        assert (await reset_of(kept, message.stream, Cursor(tail.epoch, tail.seq - 1))).reason == "expired"
        assert (await reset_of(kept, message.stream, Cursor("other", tail.seq))).reason == "epoch"
        await kept.log.append(message.stream, [entry()])
        assert seqs(await kept.log.read(message.stream, tail)) == [tail.seq + 1]


async def test_a_log_that_expires_while_it_is_loaded_has_no_silent_gap(path: Path) -> None:
    async with keep(path) as kept:
        message = await kept.answer("one", "an answer")
        origin = (await kept.log.span(message.stream)).oldest
        other = await new_stream(kept, "other")
    async with keep(path) as kept, gated(kept) as gate:
        gate.close()
        expiry = asyncio.create_task(kept.store.expire(LATER))
        await gate.durable.wait()  # of idempotency keys
        async with every_reader_busy(kept):  # so that expiry waits for one
            kept.log.append(other, [entry()])
            gate.step()
            await gate.durable.wait()
            append = kept.log.append(message.stream, [entry("x" * 600_000), entry("y" * 600_000)])
        # The append, and then the deletion of all before it, in one batch.
        while kept.log.writer.depth < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        gate.open()
        new = await append
        reset = await reset_of(kept, message.stream, origin)
        assert (reset.reason, reset.oldest.seq) == ("expired", message.last_seq)
        await expiry
        assert (await kept.log.span(message.stream)).oldest == reset.oldest
        assert seqs(await kept.events(message.stream, reset.oldest)) == seqs(new)


async def test_a_reader_between_deletion_and_news_of_it_is_told(kept: Kept, gate: Gate) -> None:
    message = await kept.answer("one", "x" * 100)
    origin = (await kept.log.span(message.stream)).oldest
    await kept.log.append(message.stream, [entry("x" * MAX_BYTES), entry()])  # so the table is read, not the tail
    gate.close()
    expiry = asyncio.create_task(kept.store.expire(LATER))
    await gate.durable.wait()  # of idempotency keys
    gate.step()
    await gate.durable.wait()
    reset = await reset_of(kept, message.stream, origin)
    assert (reset.reason, reset.oldest.seq) == ("expired", message.last_seq)
    gate.open()
    await expiry


async def test_a_deletion_that_cannot_be_committed_takes_nothing_from_the_readers(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await kept.answer("one", "an answer")
    before = await kept.events(message.stream)
    execute = Connection.fetch_all

    def failing(self: Connection, query: str, values: Values = ()) -> list[Row]:
        if query == "COMMIT" and not execute(self, "SELECT 1 FROM events LIMIT 1"):
            raise StorageUnavailable("disk full")
        return execute(self, query, values)

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "fetch_all", failing)
        with pytest.raises(StorageUnavailable):
            await kept.store.expire(LATER)
    assert joined(await kept.events(message.stream, before[0].cursor)) == joined(before[1:])


# Runs and epochs.


async def test_a_new_run_has_a_new_epoch_and_honours_old_cursors(path: Path) -> None:
    async with keep(path, "aaaaaaa") as kept:
        stream = await new_stream(kept)
        first = (await kept.log.span(stream)).tail
        old = await kept.log.append(stream, [entry("a"), entry("b")])
    async with keep(path, "bbbbbbb") as kept:
        assert (await kept.log.span(stream)).tail == old[-1].cursor
        assert list(await kept.log.read(stream, old[-1].cursor)) == []
        new = await kept.log.append(stream, [entry("c")])
        assert new[0].cursor.epoch != old[0].cursor.epoch
        assert joined(await kept.events(stream, first)) == joined(old, new)
        for cursor in (Cursor(new[0].cursor.epoch, 2), Cursor(old[0].cursor.epoch, 3), Cursor(old[0].cursor.epoch, 4)):
            assert (await reset_of(kept, stream, cursor)).reason in ("epoch", "ahead")


async def test_cursors_of_two_logs_differ_and_fit_into_a_cursor(kept: Kept) -> None:
    cursors = [(await kept.log.span(await new_stream(kept, f"s{number}"))).tail for number in range(20)]
    assert len(set(cursors)) == 20
    for cursor in cursors:
        assert Cursor.parse(str(cursor)) == cursor
    assert new_run() != new_run()
    assert Cursor.parse(str(cursor_of(1 << 36 - 1, new_run(), 1)))


async def test_a_deleted_log_is_unknown_to_who_waits_and_who_reads(kept: Kept) -> None:
    message = await kept.answer("one", "an answer")
    tail = (await kept.log.span(message.stream)).tail
    wait = asyncio.create_task(kept.log.wait(message.stream, tail, 60))
    await asyncio.sleep(0)
    await kept.store.purge_session(message.stream)
    await asyncio.wait_for(wait, 5)
    with pytest.raises(UnknownStream):
        await kept.log.read(message.stream, tail)
    with pytest.raises(UnknownStream):
        await kept.log.append(message.stream, [entry()])
