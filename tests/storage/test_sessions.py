from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from server.chat.errors import Invalid, NotFound
from server.storage import store as storing
from server.streaming.events import Cursor
from server.streaming.log import CursorReset, UnknownStream
from tests.storage.kept import NOON, OWNER, Kept, keep, said, types
from tests.streaming.following import Collector, following

pytestmark = pytest.mark.anyio


async def listed(kept: Kept, before: str | None = None, limit: int = 100) -> list[str]:
    return [session.id for session in (await kept.store.sessions(OWNER, "", before, limit)).sessions]


async def test_a_session_is_created_once(kept: Kept) -> None:
    created = await kept.store.create_session(OWNER, "s", "Mine", NOON)
    assert created == await kept.store.session(OWNER, "s")
    assert (created.title, created.created_at, created.updated_at, created.active) == ("Mine", NOON, NOON, ())
    with pytest.raises(Invalid) as caught:
        await kept.store.create_session(OWNER, "s", "Again", NOON)
    assert caught.value.field == "id"
    assert (await kept.store.session(OWNER, "s")).title == "Mine"


async def test_two_owners_may_use_the_same_id(kept: Kept) -> None:
    await kept.store.create_session(OWNER, "s", "Mine", NOON)
    await kept.store.create_session("somebody else", "s", "Theirs", NOON)
    assert (await kept.store.session("somebody else", "s")).title == "Theirs"
    streams = [await kept.store.stream_of(owner, "s") for owner in (OWNER, "somebody else")]
    assert len(set(streams)) == 2


async def test_a_rename_is_told_in_the_log(kept: Kept) -> None:
    await kept.answer("one", "eins")
    renamed = await kept.store.rename_session(OWNER, "s", "New")
    assert renamed == await kept.store.session(OWNER, "s")
    assert renamed.title == "New"
    last = (await kept.events(await kept.store.stream_of(OWNER, "s")))[-1]
    assert (last.type, said(last)["title"]) == ("session", "New")


async def test_what_is_not_there_or_not_ones_own_cannot_be_changed(kept: Kept) -> None:
    await kept.store.create_session(OWNER, "s", "Mine", NOON)
    for owner, session in ((OWNER, "nonsense"), ("somebody else", "s")):
        with pytest.raises(NotFound):
            await kept.store.session(owner, session)
        with pytest.raises(NotFound):
            await kept.store.rename_session(owner, session, "x")
        with pytest.raises(NotFound):
            await kept.store.hide_session(owner, session)
    assert (await kept.store.session(OWNER, "s")).title == "Mine"


async def test_the_list_begins_with_what_was_used_last(kept: Kept) -> None:
    for number, session in enumerate("abc"):
        await kept.answer("one", "eins", session=session, at=f"2026-01-0{number + 1}T12:00:00.000Z")
    assert await listed(kept) == ["c", "b", "a"]
    await kept.answer("two", "zwei", session="b", at="2026-01-09T12:00:00.000Z")
    assert await listed(kept) == ["b", "c", "a"]


async def test_the_list_comes_in_pages_also_where_times_are_equal(kept: Kept) -> None:
    for number in range(7):
        await kept.store.create_session(OWNER, f"s{number}", "", NOON)
    whole = await listed(kept)
    assert whole == [f"s{number}" for number in reversed(range(7))]
    for limit in (1, 3, 7):
        found: list[str] = []
        while page := await listed(kept, found[-1] if found else None, limit):
            found += page
        assert found == whole
    assert (await kept.store.sessions(OWNER, "", None, 6)).has_more
    assert not (await kept.store.sessions(OWNER, "", None, 7)).has_more
    with pytest.raises(NotFound):
        await listed(kept, "nonsense")


async def test_the_list_names_the_answers_being_written(kept: Kept) -> None:
    accepted, new = await kept.ask("one")
    [session] = (await kept.store.sessions(OWNER, "", None, 10)).sessions
    assert session.active == (accepted.answer.id,)
    await kept.finish(accepted, new.claim, "eins")
    [session] = (await kept.store.sessions(OWNER, "", None, 10)).sessions
    assert session.active == ()


# Deletion.


async def test_a_hidden_session_is_gone_for_its_owner_at_once(kept: Kept) -> None:
    message = await kept.answer("one", "eins", key="k")
    stream, answers = await kept.store.hide_session(OWNER, "s")
    assert (stream, answers) == (message.stream, [])
    assert await listed(kept) == []
    for gone in (kept.store.session(OWNER, "s"), kept.store.message(OWNER, message.id)):
        with pytest.raises(NotFound):
            await gone
    with pytest.raises(NotFound):
        await kept.store.history(OWNER, "s", None, 10)
    with pytest.raises(NotFound):
        await kept.store.ask_again(message.id, kept.new_answer())


async def test_hiding_names_the_answers_to_be_stopped(kept: Kept) -> None:
    first, _ = await kept.ask("one")
    second, _ = await kept.ask("two", answer=kept.new_answer(on_busy="enqueue"))
    _, answers = await kept.store.hide_session(OWNER, "s")
    assert answers == [first.answer.id, second.answer.id]
    assert all(left.cancel_requested for left in await kept.store.unfinished())


async def test_readers_are_told_before_the_log_is_gone(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    tail = (await kept.log.span(message.stream)).tail
    sink = Collector(tail, tail.seq + 1)
    follower = following(kept.log, message.stream, sink)
    await sink.resting.wait()
    await kept.store.purge_session(message.stream)
    await follower
    [told] = sink.events
    assert (told.type, said(told)["deleted"]) == ("session", True)


async def test_nothing_is_left_of_a_purged_session(kept: Kept) -> None:
    await kept.answer("other", "andere", session="other", key="other")
    before = {table: await kept.rows(f"SELECT * FROM {table}") for table in TABLES}
    message = await kept.answer("one", "eins")
    await kept.ask("two")
    stream, _ = await kept.store.hide_session(OWNER, "s")
    await kept.store.purge_session(stream)
    assert {table: await kept.rows(f"SELECT * FROM {table}") for table in TABLES} == before
    with pytest.raises(UnknownStream):
        await kept.log.span(message.stream)


TABLES = ("sessions", "messages", "events", "claims", "idempotency")


async def test_its_id_can_be_used_again_and_old_cursors_cannot(kept: Kept) -> None:
    old = await kept.answer("one", "eins")
    cursors = [event.cursor for event in await kept.events(old.stream)]
    stream, _ = await kept.store.hide_session(OWNER, "s")
    new = await kept.answer("two", "zwei")  # while the old one is still being deleted
    await kept.store.purge_session(stream)
    again, _ = await kept.ask("one", answer=kept.new_answer(on_busy="enqueue"))
    assert new.stream == again.answer.stream != old.stream
    for cursor in cursors:
        with pytest.raises(CursorReset):
            await kept.log.read(new.stream, cursor)
    assert len((await kept.store.history(OWNER, "s", None, 10)).messages) == 4


async def test_what_was_deleted_is_not_in_the_file_any_more(path: Path) -> None:
    asked, said = ("zxq" * 700 + end for end in "?!")  # more than a page of the file
    async with keep(path) as kept:
        await kept.answer(asked, said)
        await kept.answer("of others", "text", session="other")
        await kept.store.index()
        assert await kept.rows("SELECT SUM(LENGTH(block)) FROM message_search_data") > [(4_000,)]
    assert asked in text_in(path)
    async with keep(path) as kept:
        stream, _ = await kept.store.hide_session(OWNER, "s")
        await kept.store.purge_session(stream)
        await kept.store.index()
        assert await kept.rows("SELECT SUM(LENGTH(block)) FROM message_search_data") < [(400,)]
        assert [found.id for found in (await kept.store.sessions(OWNER, "others", None, 9)).sessions] == ["other"]
    assert "zxqzxq" not in text_in(path)


def text_in(path: Path) -> str:
    return path.read_bytes().decode("latin-1")


async def test_a_request_that_comes_once_more_does_not_bring_it_back(kept: Kept) -> None:
    await kept.answer("one", "eins", key="k")
    stream, _ = await kept.store.hide_session(OWNER, "s")
    for _ in range(2):
        with pytest.raises(NotFound, match="deleted"):
            await kept.ask("one", answer=kept.new_answer(key="k"))
        await kept.store.purge_session(stream)
    assert await kept.rows("SELECT * FROM sessions") == []
    await kept.store.expire(NOON)  # a day later
    assert await kept.rows("SELECT * FROM idempotency") == []


async def test_a_key_is_never_given_to_another_log(kept: Kept) -> None:
    streams = []
    for _ in range(3):
        streams.append((await kept.answer("one", "eins")).stream)
        stream, _ = await kept.store.hide_session(OWNER, "s")
        await kept.store.purge_session(stream)
    assert len(set(streams)) == 3


async def test_a_hidden_session_waits_to_be_purged(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    assert await kept.store.hidden_sessions() == []
    await kept.store.hide_session(OWNER, "s")
    assert await kept.store.hidden_sessions() == [message.stream]
    await kept.store.purge_session(message.stream)
    assert await kept.store.hidden_sessions() == []


async def test_a_session_with_an_answer_under_way_is_not_purged_under_it(kept: Kept) -> None:
    accepted, new = await kept.ask("one")
    await kept.store.hide_session(OWNER, "s")
    assert await kept.store.hidden_sessions() == []
    with pytest.raises(NotFound):  # when it is ended, and looked at
        await kept.finish(accepted, new.claim, "eins")
    assert await kept.store.hidden_sessions() == [accepted.answer.stream]


async def test_a_long_session_is_purged_in_steps_that_others_can_come_between(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "PURGE_BATCH", 3)
    monkeypatch.setattr(storing, "PURGE_CHARACTERS", 1)
    message = await kept.answer("one", "x" * 140, key="k")
    await kept.store.hide_session(OWNER, "s")
    await kept.store.create_session(OWNER, "other", "", NOON)
    left: list[int] = []

    async def write() -> None:
        while not left or left[-1]:
            await kept.store.rename_session(OWNER, "other", "x")
            query = "SELECT COUNT(*) FROM events WHERE session = ?"
            left.append((await kept.rows(query, message.stream))[0][0])

    await asyncio.gather(kept.store.purge_session(message.stream), write())
    assert len(set(left)) > 3
    for table in ("messages", "claims"):
        assert await kept.rows(f"SELECT * FROM {table}") == []


async def test_long_texts_are_purged_one_by_one(kept: Kept) -> None:
    for _ in range(3):
        await kept.answer("one", "x" * 40_000)
    stream, _ = await kept.store.hide_session(OWNER, "s")
    left = []
    while await kept.log.transact(partial(storing._delete_some, stream)):
        left.append((await kept.rows("SELECT COUNT(*) FROM messages"))[0][0])
    assert list(dict.fromkeys(left)) == [6, 4, 2, 0]  # the events go first, then each text with its question


# Expiry.

LATER = "2026-01-02T12:00:00.000Z"


async def test_only_events_expire(kept: Kept) -> None:
    message = await kept.answer("one", "eins")
    history = await kept.store.history(OWNER, "s", None, 10)
    await kept.store.expire(LATER)
    span = await kept.log.span(message.stream)
    assert span.oldest == span.tail
    assert span.oldest.seq == message.last_seq
    assert await kept.rows("SELECT * FROM events") == []
    assert await kept.store.history(OWNER, "s", None, 10) == history
    assert (await kept.store.message(OWNER, message.id)).message == message


async def test_what_ended_after_the_cutoff_stays(kept: Kept) -> None:
    old = await kept.answer("one", "eins")
    young = await kept.answer("two", "zwei", at=LATER)
    await kept.store.expire(LATER)
    kept_events = await kept.events(old.stream)
    assert types(kept_events)[:2] == ["posted", "start"]
    assert {event.message_id for event in kept_events} == {None, young.id}
    await kept.store.expire(LATER)
    assert len(await kept.events(old.stream)) == len(kept_events)


async def test_an_answer_being_written_keeps_its_events_however_old(kept: Kept) -> None:
    await kept.answer("one", "eins")
    running, new = await kept.ask("two")
    waiting, _ = await kept.ask("three", answer=kept.new_answer(on_busy="enqueue"))
    await kept.store.expire(LATER)
    assert [event.message_id for event in await kept.events(running.answer.stream, running.answer.after)] == [
        running.answer.id,
        None,
    ]
    ended = await kept.finish(running, new.claim, "zwei")
    assert ended.content == "zwei"
    assert (await kept.store.message(OWNER, waiting.answer.id)).message.status == "streaming"


async def test_only_a_prefix_expires(kept: Kept) -> None:
    """The old answer ended behind the place where one that is not finished yet begins."""
    first, claim = await kept.ask("one")
    second, _ = await kept.ask("two", answer=kept.new_answer(on_busy="enqueue"))
    await kept.finish(first, claim.claim, "eins", at=NOON)
    await kept.store.expire(LATER)
    oldest = (await kept.log.span(first.answer.stream)).oldest
    assert oldest.seq <= second.answer.after.seq
    seqs = [event.cursor.seq for event in await kept.events(first.answer.stream)]
    assert seqs == list(range(oldest.seq + 1, seqs[-1] + 1))


async def test_much_is_deleted_in_steps_that_others_can_come_between(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "PURGE_BATCH", 3)
    message = await kept.answer("one", "x" * 140)
    other = await kept.store.create_session(OWNER, "other", "", NOON)
    stream = await kept.store.stream_of(OWNER, other.id)
    seen: list[Cursor] = []

    async def write() -> None:
        while not seen or seen[-1].seq < (message.last_seq or 0):
            await kept.store.rename_session(OWNER, "other", "x")
            seen.append((await kept.log.span(message.stream)).oldest)

    await asyncio.gather(kept.store.expire(LATER), write())
    assert len({cursor.seq for cursor in seen}) > 3
    assert len(await kept.events(stream)) == len(seen)


async def test_idempotency_keys_are_kept_for_a_day(kept: Kept) -> None:
    old, _ = await kept.ask("one", answer=kept.new_answer(key="old", at="2020-01-01T00:00:00.000Z"))
    young, _ = await kept.ask("one", session="t", answer=kept.new_answer(key="young", at="2999-01-01T00:00:00.000Z"))
    await kept.store.expire(NOON)
    again, _ = await kept.ask("one", session="t", answer=kept.new_answer(key="young"))
    assert again.answer.id == young.answer.id
    fresh, _ = await kept.ask("one", session="u", answer=kept.new_answer(key="old"))
    assert fresh.answer.id != old.answer.id
