from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.chat.draft import MAX_CHUNK, MAX_PENDING, Draft, Surrogates
from server.chat.models import Message
from server.chat.provider import Delta, Finish, Source, Sources, Text, Thinking, Usage
from server.chat.transcript import fold, retrying
from server.streaming.events import Cursor, Entry, Event
from server.streaming.log import Claim, Entries, Fenced, Stream
from server.streaming.memory import MemoryEventLog

pytestmark = pytest.mark.anyio

STREAM = 1
CLAIM = Claim("msg", "token")
MESSAGE = Message("msg", "s", None, "assistant", "streaming", "", STREAM, Cursor("memory1", 0), model="demo")


class SlowLog(MemoryEventLog):
    """Appends have their turn at once, unless it is `busy`, and then wait until they are let through, or fail."""

    def __init__(self) -> None:
        super().__init__()
        self.create(STREAM)
        self.claims.add(CLAIM)
        self.busy = False
        self.waiting: list[tuple[asyncio.Future[Sequence[Event]], Sequence[Entry]]] = []
        self._later: list[tuple[asyncio.Future[Sequence[Event]], Entries]] = []

    def append(self, stream: Stream, entries: Entries, claim: Claim | None = None) -> asyncio.Future[Sequence[Event]]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Sequence[Event]] = loop.create_future()
        self._later.append((future, entries))
        loop.call_soon(self.take)
        return future

    def take(self) -> None:
        while self._later and not self.busy:
            future, entries = self._later.pop(0)
            entries = entries() if callable(entries) else entries
            if entries:
                self.waiting.append((future, entries))
            else:
                future.set_result(())

    def commit(self) -> None:
        [(future, entries)] = self.waiting
        self.waiting.clear()
        future.set_result(super().append(STREAM, entries, CLAIM).result())

    def fail(self, error: Exception) -> None:
        [(future, _)] = self.waiting
        self.waiting.clear()
        future.set_exception(error)

    async def events(self) -> Sequence[Event]:
        return await self.read(STREAM, MESSAGE.after, 1_000_000)


class Written:
    """A draft over a slow log, as the generator uses it."""

    def __init__(self) -> None:
        self.log = SlowLog()
        self.failures: list[BaseException] = []
        self.draft = Draft(self.log, MESSAGE, CLAIM, self.failures.append)

    def add(self, *deltas: Delta) -> None:
        for delta in deltas:
            self.draft.add(delta)

    async def add_now(self, *deltas: Delta) -> None:
        """In a turn of the loop for themselves."""
        self.add(*deltas)
        await asyncio.sleep(0)

    async def commit(self) -> None:
        self.log.commit()
        await asyncio.sleep(0)  # the draft hears of it
        await asyncio.sleep(0)  # the turn of its next append

    async def end(self) -> Sequence[Event]:
        """Let everything through, and append the rest in the way the last transaction does."""
        ending = asyncio.create_task(self.draft.rest())
        await asyncio.sleep(0)
        while self.log.waiting:
            await self.commit()
        rest = await ending
        if rest:
            await MemoryEventLog.append(self.log, STREAM, rest, CLAIM)
        return await self.log.events()


def told(events: Sequence[Event], kind: str = "chunk") -> list[str]:
    return [json.loads(event.json)["content"] for event in events if event.type == kind]


def gap_free(events: Sequence[Event]) -> str:
    """The text of the chunks, whose ids and offsets leave nothing out."""
    text = ""
    chunks = [json.loads(event.json) for event in events if event.type == "chunk"]
    for number, chunk in enumerate(chunks, 1):
        assert chunk["chunk_id"] == number
        assert chunk["offset"] == len(text)
        assert 0 < len(chunk["content"]) <= MAX_CHUNK
        text += chunk["content"]
    return text


async def test_a_log_that_keeps_up_gets_every_delta_as_a_chunk_of_its_own() -> None:
    written = Written()
    for piece in ("a", "b", "c"):
        await written.add_now(Text(piece))
        await written.commit()
    assert told(await written.log.events()) == ["a", "b", "c"]
    assert await written.draft.rest() == []


async def test_what_comes_at_once_goes_together() -> None:
    written = Written()
    await written.add_now(Text("a"), Text("b"), Thinking("c"))
    await written.commit()
    assert told(await written.log.events()) == ["ab"]


async def test_what_comes_with_the_end_goes_with_the_end() -> None:
    written = Written()
    await written.add_now(Text("a"), Finish("stop"))
    assert not written.log.waiting
    assert [json.loads(entry.body)["content"] for entry in await written.draft.rest()] == ["a"]


async def test_what_is_given_to_the_end_is_not_sent_besides() -> None:
    written = Written()
    written.add(Text("a"))
    assert len(await written.draft.rest()) == 1
    await asyncio.sleep(0)
    assert not written.log.waiting


async def test_what_comes_before_the_turn_of_an_append_goes_along() -> None:
    written = Written()
    written.log.busy = True
    await written.add_now(Text("a"))
    await written.add_now(Text("b"))
    written.log.busy = False
    written.log.take()
    await written.commit()
    assert told(await written.log.events()) == ["ab"]


async def test_what_still_waits_for_its_turn_goes_with_the_end() -> None:
    written = Written()
    written.log.busy = True
    await written.add_now(Text("a"), Text("b"))
    [entry] = await asyncio.wait_for(written.draft.rest(), 5)
    assert json.loads(entry.body)["content"] == "ab"
    written.log.busy = False
    written.log.take()
    await asyncio.sleep(0)
    assert not written.log.waiting
    assert not written.failures


async def test_what_comes_while_an_append_is_under_way_is_merged_into_the_next() -> None:
    written = Written()
    await written.add_now(Text("a"))
    await written.add_now(Text("b"))
    await written.add_now(Text("c"))
    assert len(written.log.waiting) == 1
    await written.commit()
    await written.add_now(Text("d"))
    await written.commit()
    assert told(await written.end()) == ["a", "bc", "d"]


async def test_kinds_are_merged_apart_and_stay_in_order() -> None:
    written = Written()
    source = Sources([Source("https://example.org", "Example")])
    written.add(Text("first"), Thinking("a"), Thinking("b"), Text("c"), source, Text("d"), Text("e"))
    events = await written.end()
    assert [event.type for event in events] == ["chunk", "thinking", "chunk", "sources", "chunk"]
    assert told(events) == ["first", "c", "de"]
    assert told(events, "thinking") == ["ab"]
    assert (written.draft.content, written.draft.thinking) == ("firstcde", "ab")


async def test_long_text_is_cut_into_chunks_that_every_client_can_take() -> None:
    written = Written()
    text = "😀" * (2 * MAX_CHUNK + 5)
    written.add(Text(text))
    events = await written.end()
    assert [len(part) for part in told(events)] == [MAX_CHUNK, MAX_CHUNK, 5]
    assert gap_free(events) == text
    assert max(len(event.json) for event in events) < 512 * 1024


async def test_it_is_congested_while_much_waits_for_the_log() -> None:
    written = Written()
    await written.add_now(Text("a"))
    written.add(Text("x" * MAX_PENDING))
    assert not written.draft.congested
    written.add(Text("x"))
    assert written.draft.congested
    await written.commit()
    assert not written.draft.congested


async def test_other_entries_between_the_text_do_not_hide_that_much_waits() -> None:
    written = Written()
    for number in range(MAX_PENDING // 1_000 + 2):
        written.add(Text("x" * 1_000), Sources([Source(f"https://example.org/{number}", "")]))
    assert written.draft.congested
    await asyncio.sleep(0)
    assert not written.draft.congested


async def test_what_the_provider_says_besides_text_is_kept() -> None:
    written = Written()
    written.add(Usage(1, 2), Text("a"), Usage(3, 4), Finish("length"))
    assert written.draft.usage == Usage(3, 4)
    assert written.draft.finish == Finish("length")
    assert [event.type for event in await written.end()] == ["chunk"]


async def test_half_a_character_of_a_source_spoils_nothing() -> None:
    written = Written()
    written.add(Sources([Source("https://example.org/\ud83d", "T\ud83d\ude42\ud83d")]))
    await written.end()
    assert written.draft.sources == [{"url": "https://example.org/\ufffd", "title": "T🙂\ufffd"}]


async def test_a_source_that_was_told_is_not_told_again() -> None:
    written = Written()
    one, two = Source("https://example.org/1", "One"), Source("https://example.org/2", "Two")
    written.add(Sources([one]), Sources([one]), Sources([one, two]))
    events = await written.end()
    expected = [{"url": "https://example.org/1", "title": "One"}, {"url": "https://example.org/2", "title": "Two"}]
    assert fold(events).sources == written.draft.sources == expected
    assert [len(json.loads(event.json)["sources"]) for event in events] == [1, 1]


# Appends that fail.


async def test_a_failed_append_is_told_once_and_puts_nothing_in_twice() -> None:
    written = Written()
    await written.add_now(Text("a"))
    await written.commit()
    await written.add_now(Text("b"))
    await written.add_now(Text("c"))
    failure = OSError("disk full")
    written.log.fail(failure)
    await asyncio.sleep(0)
    assert written.failures == [failure]
    assert not written.log.waiting
    events = await written.end()
    assert gap_free(events) == written.draft.content == "abc"


async def test_a_writer_that_lost_its_claim_is_told() -> None:
    written = Written()
    await written.add_now(Text("a"))
    written.log.fail(Fenced("msg"))
    await asyncio.sleep(0)
    assert [type(failure) for failure in written.failures] == [Fenced]


async def test_settled_means_that_what_is_in_the_log_is_known() -> None:
    written = Written()
    await written.add_now(Text("a"))
    written.log.commit()  # it is in the log, and the draft has not heard of it
    await written.draft.settle()
    assert await written.draft.rest() == []


async def test_settling_waits_for_what_was_merged_meanwhile_too() -> None:
    written = Written()
    await written.add_now(Text("a"))
    await written.add_now(Text("b"))
    settled = asyncio.create_task(written.draft.settle())
    for _ in range(2):
        for _ in range(3):
            await asyncio.sleep(0)
        assert not settled.done()
        written.log.commit()
    await asyncio.wait_for(settled, 5)
    assert told(await written.log.events()) == ["a", "b"]


# Another attempt.


async def test_another_attempt_begins_without_the_reasoning_of_the_last() -> None:
    written = Written()
    written.add(Thinking("void\ud83d"))
    written.draft.think_anew()
    written.draft.tell(retrying(MESSAGE, 1, 0.5, {}))
    written.add(Thinking("hm"), Text("a"))
    events = await written.end()
    assert [event.type for event in events] == ["thinking", "retrying", "thinking", "chunk"]
    assert fold(events).thinking == written.draft.thinking == "hm"


async def test_half_a_character_of_the_last_attempt_does_not_get_into_the_next() -> None:
    written = Written()
    written.add(Text("\ud83d"))
    assert not written.draft.has_text
    written.draft.think_anew()
    written.add(Text("a"))
    assert gap_free(await written.end()) == "a"


# Surrogates.


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["\ud83d", "\ude00"], "😀"),
        (["a\ud83d", "\ude00b"], "a😀b"),
        (["\ud83d\ude00"], "😀"),
        (["😀\ud83d", "", "\ude00"], "😀😀"),
        (["\ud83d"], "\ufffd"),
        (["\ude00b"], "\ufffdb"),
        (["a\ud83d", "b"], "a\ufffdb"),
        (["\ud83d", "\ud83d", "\ude00"], "\ufffd😀"),
        (["\ude00\ud83d"], "\ufffd\ufffd"),
    ],
)
def test_surrogates_that_were_cut_apart_are_joined_and_lone_ones_replaced(pieces: list[str], text: str) -> None:
    surrogates = Surrogates()
    parts = [surrogates.add(piece) for piece in pieces]
    parts.append(surrogates.rest())
    assert "".join(parts) == text
    for part in parts:
        part.encode()


@given(st.text(), st.data())
def test_text_cut_into_utf_16_units_anywhere_comes_out_whole(text: str, data: st.DataObject) -> None:
    encoded = text.encode("utf-16-le")
    units = [encoded[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(encoded), 2)]
    surrogates = Surrogates()
    whole = ""
    while units:
        count = data.draw(st.integers(1, len(units)))
        whole += surrogates.add("".join(units[:count]))
        del units[:count]
    assert whole + surrogates.rest() == text


# Whatever comes, and whenever the log commits.

SOURCES = st.builds(lambda number: Sources([Source(f"https://example.org/{number}", "")]), st.integers(0, 3))
DELTAS: st.SearchStrategy[Delta | None] = st.one_of(
    st.none(),  # the append under way is committed
    st.builds(Text, st.text(st.characters(), min_size=1) | st.builds("x".__mul__, st.integers(1, 3 * MAX_CHUNK))),
    st.builds(Thinking, st.text(st.characters(), min_size=1)),
    SOURCES,
)


@settings(max_examples=150)
@given(st.lists(DELTAS, max_size=30), st.integers(0, 30), st.booleans())
def test_the_log_has_what_the_provider_said_once_and_in_order(
    deltas: list[Delta | None], failing_at: int, fails: bool
) -> None:
    async def write() -> None:
        written = Written()
        for number, delta in enumerate(deltas):
            if delta is not None:
                written.add(delta)
            else:
                await asyncio.sleep(0)
                if written.log.waiting:
                    await written.commit()
            if fails and number == failing_at and written.log.waiting:
                written.log.fail(OSError("disk full"))
                await asyncio.sleep(0)
                break
        events = await written.end()
        given = deltas[: failing_at + 1] if written.failures else deltas
        expected = Surrogates()
        text = "".join(expected.add(delta.content) for delta in given if isinstance(delta, Text)) + expected.rest()
        assert gap_free(events) == written.draft.content == text
        sources = "".join(source["url"] + source["title"] for source in written.draft.sources)
        assert written.draft.size == len(text + written.draft.thinking + sources)
        assert "".join(told(events, "thinking")) == written.draft.thinking
        assert fold(events).sources == written.draft.sources

    asyncio.run(write())
