from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from pathlib import Path

import pytest

from server.chat.errors import NotFound
from server.chat.models import Message
from server.chat.reading import Cut, Reader, Target
from server.streaming.events import BadCursor, Cursor, Entry, Event
from server.streaming.log import CursorReset, Span
from tests.storage.kept import NOON, OWNER, Kept, keep, said, seqs, types

pytestmark = pytest.mark.anyio

LATER = "2026-01-02T12:00:00.000Z"


@pytest.fixture
async def kept(path: Path) -> AsyncIterator[Kept]:
    async with keep(path) as opened:
        yield opened


class Browser:
    """Who reads. `room` tells how many of so many events can go out at once."""

    def __init__(self, reader: Reader, room: Callable[[int], int] = lambda wanted: wanted) -> None:
        self.events: list[Event] = []
        self.resting = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.writing = asyncio.Event()
        self.gone = False
        self._room = room
        self._woken = asyncio.Event()
        self.reading = asyncio.create_task(reader.run(self))

    def offer(self, events: Sequence[Event]) -> int:
        assert events
        taken = min(len(events), self._room(len(events))) if self.open.is_set() else 0
        self.events += events[:taken]
        return taken

    async def write(self, events: Sequence[Event]) -> None:
        assert events
        self.writing.set()
        await self.open.wait()
        self.events += events

    async def rest(self) -> bool:
        self.resting.set()
        await self._woken.wait()
        self._woken.clear()
        self.resting.clear()
        return not self.gone

    def wake(self) -> None:
        self._woken.set()

    async def leave(self) -> None:
        self.gone = True
        self.wake()
        await self.reading

    async def caught_up(self) -> list[str]:
        """Up to now: the types of all events so far."""
        await asyncio.wait_for(self.resting.wait(), 5)
        return types(self.events)

    async def ended(self) -> list[str]:
        await asyncio.wait_for(self.reading, 5)
        return types(self.events)


def session_reader(kept: Kept, stream: int, after: str | None = None) -> Reader:
    return Reader(kept.log, Target("s", stream), after, lambda stream: [], 15)


def reader_of(kept: Kept, message: Message, after: Cursor | str | None = None) -> Reader:
    target = Target(message.session_id, message.stream, message)
    return Reader(kept.log, target, None if after is None else str(after), lambda stream: [], 15)


# A session.


async def test_ready_comes_first_and_says_where_the_reader_is(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    tail = (await kept.log.span(message.stream)).tail
    clock = lambda: datetime.fromisoformat("2026-01-01T12:00:00+00:00")  # noqa: E731
    browser = Browser(Reader(kept.log, Target("s", message.stream), None, lambda stream: ["msg_1"], 7.5, clock))
    await browser.caught_up()
    [ready] = browser.events
    assert said(ready) == {
        "id": str(tail),
        "type": "ready",
        "session_id": "s",
        "cursor": str(tail),
        "tail": str(tail),
        "active": ["msg_1"],
        "server_time": NOON,
        "heartbeat": 7.5,
    }
    assert len(ready.sse) < 512
    await browser.leave()


async def test_without_a_cursor_a_session_is_read_from_now_on(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    browser = Browser(session_reader(kept, message.stream))
    assert await browser.caught_up() == ["ready"]
    await kept.store.rename_session(OWNER, "s", "x")
    assert types(browser.events) == ["ready", "session"]
    await browser.leave()


async def test_with_cursor_zero_a_session_is_read_from_its_beginning(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    browser = Browser(session_reader(kept, message.stream, "0"))
    assert await browser.caught_up() == ["ready", "posted", "session", "start", "chunk", "complete"]
    await browser.leave()


async def test_with_a_cursor_a_session_is_read_from_there_at_any_place(kept: Kept) -> None:
    message = await kept.answer("one", "eins, zwei, drei")
    events = await kept.events(message.stream)
    for event in events:
        browser = Browser(session_reader(kept, message.stream, str(event.cursor)))
        await browser.caught_up()
        assert browser.events[0].cursor == event.cursor
        assert seqs(browser.events[1:]) == list(range(event.cursor.seq + 1, len(events) + 1))
        await browser.leave()


async def test_slow_and_fast_readers_get_the_same(kept: Kept) -> None:
    accepted, new = await kept.ask("one")
    chance = random.Random(4)
    rooms: list[Callable[[int], int]] = [
        lambda wanted: wanted,
        lambda wanted: 0,
        lambda wanted: chance.randint(0, wanted),
    ]
    browsers = [Browser(session_reader(kept, accepted.answer.stream, "0"), room) for room in rooms for _ in range(3)]
    browsers += [Browser(reader_of(kept, accepted.answer), room) for room in rooms]
    await kept.finish(accepted, new.claim, "a text of quite some chunks " * 20)
    whole = await kept.events(accepted.answer.stream)
    for browser in browsers[:9]:
        while browser.events[-1].cursor != whole[-1].cursor:
            await browser.caught_up()
            await asyncio.sleep(0)
        assert [event.json for event in browser.events[1:]] == [event.json for event in whole]
        await browser.leave()
    for browser in browsers[9:]:
        await browser.ended()
        about = [event.json for event in whole if event.message_id == accepted.answer.id]
        assert [event.json for event in browser.events[1:]] == about


async def test_a_deleted_session_ends_with_the_news_of_it(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    browser = Browser(session_reader(kept, message.stream))
    await browser.caught_up()
    await kept.store.purge_session(message.stream)
    assert await browser.ended() == ["ready", "session"]
    assert said(browser.events[-1])["deleted"] is True


async def test_a_title_that_speaks_of_deletion_ends_nothing(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    browser = Browser(session_reader(kept, message.stream))
    await browser.caught_up()
    await kept.store.rename_session(OWNER, "s", '"deleted":true')
    await kept.store.rename_session(OWNER, "s", '{"deleted":true}')
    assert types(browser.events) == ["ready", "session", "session"]
    await browser.leave()


async def test_who_was_too_slow_for_the_news_is_not_told_that_it_was_all(kept: Kept) -> None:
    """A clean end would say so: a client that is cut comes back, and finds out."""
    message = await kept.answer("one", "eins")
    browser = Browser(session_reader(kept, message.stream, "0"))
    browser.open.clear()
    await browser.writing.wait()
    await kept.store.purge_session(message.stream)
    browser.open.set()
    with pytest.raises(NotFound):
        await browser.ended()


async def test_a_session_that_is_gone_is_not_found(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    await kept.store.purge_session(message.stream)
    for reader in (session_reader(kept, message.stream), reader_of(kept, message)):
        with pytest.raises(NotFound):
            await reader.open()
        with pytest.raises(NotFound):
            await reader.page(0, 10, 10_000)


async def test_what_is_no_cursor_is_refused_at_once(kept: Kept) -> None:
    with pytest.raises(BadCursor):
        session_reader(kept, 1, "nonsense")


# One answer.


async def test_an_answer_is_read_from_its_first_event_to_its_last(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    await kept.answer("two", "zwei")
    browser = Browser(reader_of(kept, message))
    assert await browser.ended() == ["ready", "start", "chunk", "complete"]
    assert {event.message_id for event in browser.events[1:]} == {message.id}


async def test_an_answer_being_written_is_followed_to_its_end(kept: Kept) -> None:
    accepted, new = await kept.ask("one")
    browser = Browser(reader_of(kept, accepted.answer))
    assert await browser.caught_up() == ["ready", "start"]
    await kept.store.rename_session(OWNER, "s", "not about the answer")
    await kept.finish(accepted, new.claim, "eins")
    assert await browser.ended() == ["ready", "start", "chunk", "complete"]


async def test_an_answer_is_read_on_from_any_place(kept: Kept) -> None:
    await kept.answer("zero", "null")
    message = await kept.answer("one", "eins, zwei, drei")
    await kept.answer("two", "zwei")
    own = [event for event in await kept.events(message.stream) if event.message_id == message.id]
    for event in await kept.events(message.stream):
        browser = Browser(reader_of(kept, message, event.cursor))
        await browser.ended()
        assert seqs(browser.events[1:]) == [each.cursor.seq for each in own if each.cursor.seq > event.cursor.seq]


@pytest.mark.parametrize(("place", "exhausted"), [(-1, True), (-2, False), (0, False)])
async def test_an_answer_is_exhausted_for_who_has_its_last_event(kept: Kept, place: int, exhausted: bool) -> None:
    message = await kept.answer("one", "eins")
    events = await kept.events(message.stream)
    assert await reader_of(kept, message, events[place].cursor).exhausted() is exhausted
    assert await reader_of(kept, message).exhausted() is False


async def test_it_is_not_exhausted_for_who_comes_with_a_cursor_from_elsewhere(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    for cursor in (Cursor("other", 1_000), Cursor("other", message.last_seq or 0)):
        reader = reader_of(kept, message, cursor)
        assert await reader.exhausted() is False
        browser = Browser(reader)
        assert await browser.ended() == ["ready", "reset", "start", "chunk", "complete"]


async def test_an_answer_being_written_is_not_exhausted(kept: Kept) -> None:
    accepted, _ = await kept.ask("one")
    tail = (await kept.log.span(accepted.answer.stream)).tail
    assert await reader_of(kept, accepted.answer, tail).exhausted() is False


# Resets.


@pytest.mark.parametrize("reason", ["epoch", "ahead", "expired"])
async def test_a_wrong_cursor_is_refused_aloud_and_all_that_is_kept_is_read(kept: Kept, reason: str) -> None:
    message = await kept.answer("one", "eins")
    await kept.store.expire(LATER)
    await kept.answer("two", "zwei", at=LATER)
    span = await kept.log.span(message.stream)
    seq = {"epoch": span.tail.seq - 1, "ahead": span.tail.seq + 1, "expired": span.oldest.seq - 1}[reason]
    epoch = "other" if reason == "epoch" else span.tail.epoch
    browser = Browser(session_reader(kept, message.stream, f"{epoch}-{seq}"))
    await browser.caught_up()
    ready, reset, *rest = browser.events
    assert said(ready)["cursor"] == str(span.oldest)
    assert said(reset) == {"id": str(span.oldest), "type": "reset", "reason": reason, "cursor": str(span.oldest)}
    assert seqs(rest) == list(range(span.oldest.seq + 1, span.tail.seq + 1))
    await browser.leave()


async def test_an_answer_whose_events_have_expired_ends_at_once_with_a_reset(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    await kept.store.expire(LATER)
    browser = Browser(reader_of(kept, message))
    assert await browser.ended() == ["ready", "reset"]
    assert said(browser.events[1])["reason"] == "expired"


async def test_with_cursor_zero_nothing_that_has_expired_is_missed(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    await kept.store.expire(LATER)
    browser = Browser(session_reader(kept, message.stream, "0"))
    assert await browser.caught_up() == ["ready"]
    await kept.store.rename_session(OWNER, "s", "x")
    assert types(browser.events) == ["ready", "session"]
    await browser.leave()


async def test_what_expires_under_a_slow_reader_is_told(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    large = Entry.of("chunk", {"content": "x" * 600_000})
    await kept.log.append(message.stream, [large, large, large])  # so that the rest is not in memory
    browser = Browser(session_reader(kept, message.stream, "0"))
    browser.open.clear()
    await browser.writing.wait()
    await kept.store.expire(LATER)
    browser.open.set()
    await browser.caught_up()
    assert types(browser.events)[:2] == ["ready", "reset"]
    assert said(browser.events[1])["reason"] == "expired"
    assert seqs(browser.events[2:]) == [(message.last_seq or 0) + place for place in (1, 2, 3)]
    await browser.leave()


# Being cut.


async def cut_reason(browser: Browser) -> str:
    with pytest.raises(Cut) as caught:
        await browser.ended()
    return caught.value.reason


async def test_a_resting_reader_is_cut_at_once(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    reader = session_reader(kept, message.stream)
    browser = Browser(reader)
    await browser.caught_up()
    reader.cut("max_age")
    assert await cut_reason(browser) == "max_age"


async def test_a_reader_cut_before_it_begins_tells_where_to_come_back(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    reader = session_reader(kept, message.stream)
    reader.cut("draining")
    browser = Browser(reader)
    assert await cut_reason(browser) == "draining"
    assert types(browser.events) == ["ready"]


async def test_a_reader_cut_while_it_writes_is_cut_when_it_has_written(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    reader = session_reader(kept, message.stream, "0")
    browser = Browser(reader)
    browser.open.clear()
    await browser.writing.wait()
    reader.cut("draining")
    browser.open.set()
    assert await cut_reason(browser) == "draining"


async def test_a_reader_that_has_all_is_not_cut(kept: Kept) -> None:
    accepted, new = await kept.ask("one")
    reader = reader_of(kept, accepted.answer)

    class CutAtTheEnd(Browser):
        def offer(self, events: Sequence[Event]) -> int:
            if "complete" in types(events):
                reader.cut("draining")
            return super().offer(events)

    browser = CutAtTheEnd(reader)
    await browser.caught_up()
    await kept.finish(accepted, new.claim, "eins")
    assert (await browser.ended())[-1] == "complete"


async def test_one_reader_that_is_cut_leaves_the_others_alone(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    readers = [session_reader(kept, message.stream) for _ in range(2)]
    cut, stays = (Browser(reader) for reader in readers)
    await cut.caught_up()
    await stays.caught_up()
    readers[0].cut("max_age")
    assert await cut_reason(cut) == "max_age"
    await kept.store.rename_session(OWNER, "s", "x")
    assert types(stays.events) == ["ready", "session"]
    assert types(cut.events) == ["ready"]
    await stays.leave()


# In pages.


async def all_pages(kept: Kept, reader: Callable[[Cursor | str], Reader], limit: int, max_bytes: int) -> list[Event]:
    found: list[Event] = []
    cursor: Cursor | str = "0"
    while True:
        page = await reader(cursor).page(0, limit, max_bytes)
        assert len(page.events) <= limit
        assert len(page.events) <= 1 or sum(len(event.json) for event in page.events) <= max_bytes
        found += page.events
        cursor = page.cursor
        if page.done or not page.events:
            return found


@pytest.mark.parametrize(("limit", "max_bytes"), [(500, 1 << 18), (2, 1 << 18), (500, 300), (1, 1)])
async def test_pages_put_together_are_the_log(kept: Kept, limit: int, max_bytes: int) -> None:
    message = await kept.answer("one", "eins, zwei, drei, vier")
    whole = await kept.events(message.stream)
    found = await all_pages(kept, lambda cursor: session_reader(kept, message.stream, str(cursor)), limit, max_bytes)
    assert [event.json for event in found] == [event.json for event in whole]
    found = await all_pages(kept, lambda cursor: reader_of(kept, message, cursor), limit, max_bytes)
    assert [event.json for event in found] == [event.json for event in whole if event.message_id == message.id]


async def test_a_page_waits_for_what_comes(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    tail = (await kept.log.span(message.stream)).tail
    polling = asyncio.create_task(session_reader(kept, message.stream, str(tail)).page(60, 10, 10_000))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not polling.done()
    await kept.store.rename_session(OWNER, "s", "x")
    page = await asyncio.wait_for(polling, 5)
    assert types(page.events) == ["session"]
    assert (page.cursor.seq, page.done) == (tail.seq + 1, False)


async def test_a_page_of_silence_is_empty_and_keeps_the_place(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    tail = (await kept.log.span(message.stream)).tail
    page = await session_reader(kept, message.stream, str(tail)).page(0.01, 10, 10_000)
    assert (list(page.events), page.cursor, page.done) == ([], tail, False)


async def test_a_page_of_an_answer_waits_through_what_is_about_others(kept: Kept) -> None:
    accepted, new = await kept.ask("one")
    tail = (await kept.log.span(accepted.answer.stream)).tail
    polling = asyncio.create_task(reader_of(kept, accepted.answer, tail).page(60, 10, 10_000))
    await kept.store.rename_session(OWNER, "s", "x")
    await kept.finish(accepted, new.claim, "eins")
    page = await asyncio.wait_for(polling, 5)
    assert types(page.events) in (["chunk"], ["chunk", "complete"])


async def test_a_page_is_done_with_the_last_event(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    page = await reader_of(kept, message).page(0, 10, 10_000)
    assert types(page.events) == ["start", "chunk", "complete"]
    assert (page.cursor.seq, page.done) == (message.last_seq, True)
    again = await reader_of(kept, message, page.cursor).page(60, 10, 10_000)
    assert (list(again.events), again.cursor, again.done) == ([], page.cursor, True)


async def test_a_page_at_a_wrong_cursor_is_refused(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    for reader in (session_reader(kept, message.stream, "other-1"), reader_of(kept, message, "other-1")):
        with pytest.raises(CursorReset) as caught:
            await reader.page(60, 10, 10_000)
        assert caught.value.reason == "epoch"


async def test_a_page_of_all_that_is_kept_is_not_refused_for_what_expires_meanwhile(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    reader = session_reader(kept, message.stream, "0")
    await reader.open()
    await kept.store.expire(LATER)
    await kept.store.rename_session(OWNER, "s", "x")
    assert types((await reader.page(0, 10, 10_000)).events) == ["session"]


async def test_nor_for_what_expires_while_its_beginning_is_looked_for(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await kept.answer("one", "eins")
    find = kept.log.span

    async def find_and_expire(stream: int) -> Span:
        span = await find(stream)
        await kept.store.expire(LATER)
        return span

    monkeypatch.setattr(kept.log, "span", find_and_expire)
    assert (await session_reader(kept, message.stream, "0").page(0, 10, 10_000)).events == ()


async def test_a_page_that_waits_is_cut_short(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    for early in (True, False):
        reader = session_reader(kept, message.stream)
        if early:
            reader.cut("draining")
        polling = asyncio.create_task(reader.page(60, 10, 10_000))
        for _ in range(20):
            await asyncio.sleep(0)
        reader.cut("draining")
        page = await asyncio.wait_for(polling, 5)
        assert (list(page.events), page.done) == ([], False)


async def test_a_page_of_a_session_that_goes_away_is_the_news_or_not_found(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    accepted, _ = await kept.ask("two")
    session = asyncio.create_task(session_reader(kept, message.stream).page(60, 10, 10_000))
    answer = asyncio.create_task(reader_of(kept, accepted.answer).page(60, 1, 10_000))
    await answer  # its start
    tail = (await kept.log.span(message.stream)).tail
    answer = asyncio.create_task(reader_of(kept, accepted.answer, tail).page(60, 10, 10_000))
    for _ in range(20):
        await asyncio.sleep(0)
    await kept.store.purge_session(message.stream)
    assert types((await asyncio.wait_for(session, 5)).events) == ["session"]
    with pytest.raises(NotFound):
        await asyncio.wait_for(answer, 5)
