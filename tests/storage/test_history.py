"""History pages, single messages, and the cursor from which the log continues each exactly."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from itertools import chain

import pytest

from server.chat import transcript
from server.chat.errors import Invalid, NotFound
from server.chat.models import History, Message
from server.chat.transcript import fold
from server.storage.reading import HISTORY_BYTES
from server.streaming.events import Cursor, Event
from tests.storage.kept import NOON, OWNER, Kept, said

pytestmark = pytest.mark.anyio


async def ids(kept: Kept, before: str | None = None, limit: int = 100) -> list[str]:
    return [message.id for message in (await kept.store.history(OWNER, "s", before, limit)).messages]


async def test_a_page_is_the_newest_messages_oldest_first(kept: Kept) -> None:
    for number in range(3):
        await kept.answer(f"question {number}", f"answer {number}")
    page = await kept.store.history(OWNER, "s", None, 3)
    assert [message.content for message in page.messages] == ["answer 1", "question 2", "answer 2"]
    assert page.has_more


async def test_pages_put_together_are_the_whole_history(kept: Kept) -> None:
    for number in range(5):
        await kept.answer(f"question {number}", f"answer {number}")
    whole = await ids(kept)
    for limit in (1, 3, 4, 10, 11):
        found: list[str] = []
        page: History | None = None
        while page is None or page.has_more:
            page = await kept.store.history(OWNER, "s", found[0] if found else None, limit)
            found = [message.id for message in page.messages] + found
        assert found == whole


async def test_a_page_of_long_messages_is_short(kept: Kept) -> None:
    half = "ä" * (HISTORY_BYTES // 4)  # of a page
    for text in ("short", half, half, half, "short", half * 5, "short"):
        await kept.answer(text, "eins")
    whole = [row[0] for row in await kept.rows("SELECT id FROM messages ORDER BY key")]
    found: list[list[str]] = []
    page: History | None = None
    while page is None or page.has_more:
        page = await kept.store.history(OWNER, "s", found[0][0] if found else None, 500)
        found.insert(0, [message.id for message in page.messages])
    assert [len(each) for each in found] == [3, 2, 5, 1, 3]
    assert list(chain(*found)) == whole


async def test_what_an_answer_thought_and_what_is_still_being_written_count_too(kept: Kept) -> None:
    accepted, new = await kept.ask("one")
    about, text = accepted.answer, "x" * (HISTORY_BYTES // 2 + 1)
    await kept.log.append(about.stream, [transcript.thinking(about.id, 1, text)], new.claim)
    await kept.log.append(about.stream, [transcript.chunk(about.id, 1, 0, text)], new.claim)
    page = await kept.store.history(OWNER, "s", None, 10)
    assert ([message.id for message in page.messages], page.has_more) == ([about.id], True)


async def test_an_unknown_place_to_begin_is_refused(kept: Kept) -> None:
    await kept.answer("one", "eins")
    elsewhere = await kept.answer("one", "eins", session="other")
    for before in ("msg_nonsense", elsewhere.id):
        with pytest.raises(Invalid) as caught:
            await kept.store.history(OWNER, "s", before, 10)
        assert caught.value.field == "before"


async def test_what_belongs_to_another_does_not_exist(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    with pytest.raises(NotFound):
        await kept.store.history("somebody else", "s", None, 10)
    with pytest.raises(NotFound):
        await kept.store.message("somebody else", message.id)
    with pytest.raises(NotFound):
        await kept.store.stream_of("somebody else", "s")


async def test_an_answer_being_written_has_the_text_the_log_has(kept: Kept) -> None:
    accepted, new = await kept.ask("one")
    about = accepted.answer
    found = [{"url": "https://example.org", "title": "Example"}]
    entries = [
        transcript.thinking(about.id, 1, "void"),
        transcript.retrying(about, 1, 0.1, {}),
        transcript.thinking(about.id, 2, "hm"),
        transcript.chunk(about.id, 1, 0, "ei"),
        transcript.sources(about.id, found),
        transcript.chunk(about.id, 2, 2, "ns"),
    ]
    await kept.log.append(about.stream, entries, new.claim)
    at = await kept.store.message(OWNER, about.id)
    assert at.message == replace(about, content="eins", thinking="hm", sources=tuple(found))
    assert at.cursor == (await kept.log.span(about.stream)).tail
    assert (await kept.store.history(OWNER, "s", None, 10)).messages[-1] == at.message


@dataclass
class Client:
    """What the page does: it takes the history, and then applies every event after its cursor."""

    messages: dict[str, Message]
    cursor: Cursor

    @classmethod
    def of(cls, history: History) -> Client:
        return cls({message.id: message for message in history.messages}, history.cursor)

    def apply(self, events: list[Event]) -> None:
        for event in events:
            assert event.cursor.seq == self.cursor.seq + 1
            self.cursor = event.cursor
            if event.message_id in self.messages:
                self._add(self.messages[event.message_id], event)

    def _add(self, message: Message, event: Event) -> None:
        if event.type == "chunk":
            assert said(event)["offset"] == len(message.content)
            message = replace(message, content=message.content + said(event)["content"])
        elif event.type == "complete":
            assert said(event)["full_content"] == message.content
            message = replace(message, status="completed", last_seq=event.cursor.seq)
        self.messages[message.id] = message


async def test_the_log_continues_every_page_exactly(kept: Kept) -> None:
    """Pages taken while the answer is being written, at whatever moment they are."""
    chance = random.Random(9)
    clients: list[Client] = []
    accepted, new = await kept.ask("one")
    about, text = accepted.answer, ""

    async def look() -> None:
        for _ in range(chance.randint(0, 3)):
            clients.append(Client.of(await kept.store.history(OWNER, "s", None, 100)))

    for number in range(1, 41):
        part = "".join(chance.choices("aä漢😀", k=chance.randint(1, 5)))
        append = kept.log.append(about.stream, [transcript.chunk(about.id, number, len(text), part)], new.claim)
        await asyncio.gather(look(), append, look())
        text += part
    ended = replace(about, content=text, status="completed", finish_reason="stop", finished_at=NOON)
    await asyncio.gather(kept.store.finish(ended, new.claim, [transcript.ended(ended)]), look(), look())
    last_seq = (await kept.log.span(about.stream)).tail.seq
    assert len({client.cursor for client in clients}) > 20
    for client in clients:
        client.apply(await kept.events(about.stream, client.cursor))
        seen = client.messages[about.id]
        assert (seen.content, seen.status, seen.last_seq) == (text, "completed", last_seq)


async def test_the_events_of_an_answer_fold_to_what_is_kept(kept: Kept) -> None:
    ended = await kept.answer("one", "a text of several chunks, ä 漢 😀")
    events = [event for event in await kept.events(ended.stream, ended.after) if event.message_id == ended.id]
    written = fold(events)
    assert written.started
    assert written.content == ended.content
    assert events[-1].cursor.seq == ended.last_seq
    assert said(events[-1])["full_content"] == ended.content
