from __future__ import annotations

import asyncio
import gc
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from server.chat.errors import (
    Busy,
    Draining,
    IdempotencyKeyReused,
    Invalid,
    NotActive,
    NotFound,
    Overloaded,
    StorageUnavailable,
    UnknownModel,
)
from server.chat.models import Options
from server.chat.provider import Finish, Text
from server.chat.service import STOP_WITHIN, How, Question
from server.streaming.events import BadCursor
from server.streaming.log import UnknownStream
from tests.chat.chatting import Chat, Disk, Scripted, answering, chatting, failing
from tests.storage.kept import OWNER, said, seqs, types
from tests.streaming.following import Collector, following

pytestmark = pytest.mark.anyio

STRANGER = "somebody else"


def hanging() -> asyncio.Event:
    return asyncio.Event()


# Stopping.


async def test_an_answer_is_stopped_and_shown_as_it_ended(path: Path) -> None:
    async with chatting(path, Scripted([Text("half"), hanging()])) as chat:
        accepted = await chat.ask()
        await chat.until(accepted, "chunk")
        message = await chat.service.cancel(OWNER, accepted.answer.id)
        assert message == await chat.message(accepted)
        assert (message.status, message.content) == ("cancelled", "half")
        assert await chat.service.cancel(OWNER, accepted.answer.id) == message


async def test_an_answer_that_has_ended_stays_as_it_is(path: Path) -> None:
    async with chatting(path) as chat:
        message = await chat.answer()
        assert await chat.service.cancel(OWNER, message.id) == message


async def test_a_question_cannot_be_stopped(path: Path) -> None:
    async with chatting(path, Scripted([hanging()])) as chat:
        accepted = await chat.ask()
        with pytest.raises(NotActive):
            await chat.service.cancel(OWNER, accepted.question.id)
        assert (await chat.message(accepted)).status == "streaming"


async def test_who_leaves_while_stopping_has_stopped_it(path: Path) -> None:
    async with chatting(path, Scripted([Text("half"), hanging()])) as chat:
        accepted = await chat.ask()
        await chat.until(accepted, "chunk")
        disk = Disk(chat.kept.database)
        disk.hang()
        stopping = asyncio.create_task(chat.service.cancel(OWNER, accepted.answer.id))
        await disk.reached.wait()
        stopping.cancel()
        disk.works.set()
        assert (await chat.end(accepted)).status == "cancelled"


# Asking.


async def test_who_leaves_while_asking_has_asked(path: Path) -> None:
    async with chatting(path) as chat:
        disk = Disk(chat.kept.database)
        disk.hang()
        asking = asyncio.create_task(chat.ask("one", idempotency_key="k"))
        await disk.reached.wait()
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        disk.works.set()
        again = await chat.ask("one", idempotency_key="k")
        assert again.replayed
        assert (await chat.end(again)).status == "completed"


async def test_a_refusal_of_who_has_left_is_no_news(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with chatting(path, Scripted([Text("half"), hanging()])) as chat:
        accepted = await chat.ask("one")
        await chat.until(accepted, "chunk")
        disk = Disk(chat.kept.database)
        disk.hang()
        asking = asyncio.create_task(chat.ask("two"))
        await disk.reached.wait()
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        disk.works.set()
        await chat.service.cancel(OWNER, accepted.answer.id)
        gc.collect()  # asyncio complains when it throws away what nobody has looked at
        assert caplog.records == []


async def test_an_answer_goes_on_when_nobody_reads_it(path: Path) -> None:
    async with chatting(path, Scripted(answering("yes"))) as chat:
        accepted = await chat.ask()
        reader = await chat.service.read_message(OWNER, accepted.answer.id, None)
        assert reader.target.message is not None
        assert (await chat.end(accepted)).content == "yes"


async def test_a_refused_question_leaves_nothing_behind(path: Path) -> None:
    async with chatting(path) as chat:
        with pytest.raises(UnknownModel):
            await chat.ask(provider="nobody")
        with pytest.raises(Invalid):
            await chat.service.ask(OWNER, Question("s", "hello", parent_id="msg_nonsense"), How())
        with pytest.raises(NotFound):
            await chat.service.session(OWNER, "s")
        assert chat.service.answers == 0


async def test_while_one_is_written_another_is_refused_by_default(path: Path) -> None:
    async with chatting(path, Scripted([hanging()])) as chat:
        accepted = await chat.ask()
        with pytest.raises(Busy) as caught:
            await chat.ask()
        assert caught.value.active == accepted.answer.id
        assert chat.service.answers == 1


async def test_there_is_a_largest_number_of_answers_at_once(path: Path) -> None:
    async with chatting(path, Scripted([hanging()]), max_answers=2) as chat:
        first = await chat.ask(session="one")
        await chat.ask(session="two")
        with pytest.raises(Overloaded):
            await chat.ask(session="three")
        await chat.service.cancel(OWNER, first.answer.id)
        await chat.ask(session="three")


async def test_no_more_than_that_come_of_a_burst(path: Path) -> None:
    async with chatting(path, Scripted([hanging()]), max_answers=5) as chat:
        asked = [chat.ask(session=f"s{number}", owner=f"o{number}") for number in range(50)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(outcome, Overloaded) for outcome in outcomes) == 45
        assert chat.service.answers == 5


async def test_a_server_that_stops_starts_nothing(path: Path) -> None:
    async with chatting(path) as chat:
        message = await chat.answer()
        await chat.service.drain(0)
        refused: list[Awaitable[object]] = [
            chat.ask("two"),
            chat.service.ask_again(OWNER, message.id, How()),
            chat.service.create_session(OWNER, "new", ""),
        ]
        for request in refused:
            with pytest.raises(Draining):
                await request
        assert (await chat.service.history(OWNER, "s", None, 10)).messages[1] == message


async def test_what_was_being_accepted_when_the_server_stops_is_answered_for(path: Path) -> None:
    async with chatting(path, Scripted([hanging()])) as chat:
        disk = Disk(chat.kept.database)
        disk.hang()
        asking = asyncio.create_task(chat.ask())
        await disk.reached.wait()
        draining = asyncio.create_task(chat.service.drain(0))
        await asyncio.sleep(0)
        disk.works.set()
        accepted = await asking
        await draining
        assert (await chat.message(accepted)).status == "interrupted"


# Idempotency.


async def test_one_key_is_one_call_of_the_provider(path: Path) -> None:
    async with chatting(path, Scripted([Text("yes"), hanging()])) as chat:
        asked = await asyncio.gather(*[chat.ask("one", idempotency_key="k") for _ in range(50)])
        assert len({accepted.answer.id for accepted in asked}) == 1
        await chat.until(asked[0], "chunk")
        again = await chat.ask("one", idempotency_key="k")
        assert again.replayed
        assert again.answer.status == "streaming"
        assert len(chat.provider.prompts) == chat.service.answers == 1


async def test_what_a_key_stands_for_is_told_while_nothing_new_is_accepted(path: Path) -> None:
    async with chatting(path, Scripted([Text("yes"), hanging()]), max_answers=1) as chat:
        first = await chat.ask("one", idempotency_key="k")
        await chat.until(first, "chunk")
        assert (await chat.ask("one", idempotency_key="k")).answer.id == first.answer.id
        with pytest.raises(Overloaded):
            await chat.ask("one", idempotency_key="other")
        with pytest.raises(IdempotencyKeyReused):
            await chat.ask("another", idempotency_key="k")
        await chat.service.drain(0)
        assert (await chat.ask("one", idempotency_key="k")).answer.status == "interrupted"
        assert len(chat.provider.prompts) == 1


async def test_other_keys_of_a_provider_are_the_same_request(path: Path) -> None:
    async with chatting(path) as chat:
        first = await chat.ask("one", idempotency_key="k", api_keys={"scripted": "sk-1"})
        for keys in ({}, {"scripted": "sk-2"}):
            assert (await chat.ask("one", idempotency_key="k", api_keys=keys)).answer.id == first.answer.id


@pytest.mark.parametrize(
    "other",
    [
        {"content": "two"},
        {"session": "other"},
        {"model": "other"},
        {"on_busy": "enqueue"},
        {"options": {"temperature": 0.1}},
        {"provider": "scripted"},
    ],
)
async def test_another_request_with_the_same_key_is_refused(path: Path, other: dict[str, Any]) -> None:
    async with chatting(path) as chat:
        await chat.answer("one", idempotency_key="k")
        with pytest.raises(IdempotencyKeyReused):
            await chat.ask(**{"content": "one", "idempotency_key": "k", **other})
        assert len(chat.provider.prompts) == 1


async def test_a_tab_of_its_own_makes_no_other_request(path: Path) -> None:
    async with chatting(path) as chat:
        how = How(idempotency_key="k")
        first = await chat.service.ask(OWNER, Question("s", "one", client_id="a"), how)
        again = await chat.service.ask(OWNER, Question("s", "one", client_id="b"), how)
        assert again.answer.id == first.answer.id


# Asking again.


async def test_asking_again_is_as_before(path: Path) -> None:
    options: dict[str, Any] = {"ultra_thinking": True, "system": "Be brief."}
    other = Scripted(answering("yes"), name="other")
    async with chatting(path, Scripted(answering("no")), other) as chat:
        first = await chat.answer("one", provider="other", model="other-7", options=options)
        second = await chat.end(await chat.service.ask_again(OWNER, first.id, How()))
        assert (second.provider, second.model, second.options) == ("other", "other-7", Options(**options))
        assert (second.parent_id, second.content) == (first.parent_id, "yes")
        assert other.prompts[0] == other.prompts[1]


async def test_asking_again_may_be_otherwise(path: Path) -> None:
    other = Scripted(answering("yes"), name="other")
    async with chatting(path, Scripted(answering("no")), other) as chat:
        first = await chat.answer("one", model="mine", options={"max_tokens": 7})
        again = [
            await chat.end(await chat.service.ask_again(OWNER, first.id, how))
            for how in (How(model="new"), How(provider="other"), How(options={"max_tokens": 9}))
        ]
        assert [(message.provider, message.model) for message in again] == [
            ("scripted", "new"),
            ("other", "other-1"),  # another provider does not know the old one's model
            ("scripted", "mine"),
        ]
        assert [message.options.max_tokens for message in again] == [7, 7, 9]


async def test_asking_again_keeps_the_options_that_are_not_named(path: Path) -> None:
    async with chatting(path) as chat:
        first = await chat.answer("one", options={"ultra_thinking": True, "system": "Be brief.", "max_tokens": 7})
        how = How(options={"ultra_thinking": False, "max_tokens": None})  # both as if nothing had ever been said
        second = await chat.end(await chat.service.ask_again(OWNER, first.id, how))
        assert second.options == Options(system="Be brief.")


async def test_asking_a_question_again_takes_the_default(path: Path) -> None:
    async with chatting(path) as chat:
        first = await chat.answer("one", model="mine")
        second = await chat.end(await chat.service.ask_again(OWNER, first.parent_id or "", How()))
        assert (second.model, second.parent_id) == ("scripted-1", first.parent_id)


async def test_asking_again_with_one_key_is_one_answer(path: Path) -> None:
    async with chatting(path) as chat:
        first = await chat.answer()
        how = How(idempotency_key="k", api_keys={"scripted": "sk"})
        asked = await asyncio.gather(*[chat.service.ask_again(OWNER, first.id, how) for _ in range(10)])
        assert len({accepted.answer.id for accepted in asked}) == 1
        await chat.end(asked[0])
        assert len(chat.provider.prompts) == 2


async def test_asking_again_with_one_key_is_one_answer_whoever_gave_the_earlier(path: Path) -> None:
    """Its provider is told differently once it has fallen back, and how it is to be asked again with it."""
    other = Scripted(answering("I do"), name="other")
    patient = hanging()
    scripts = Scripted([patient, failing(retryable=False)], answering("yes"))
    async with chatting(path, scripts, other, fallback=("other", "other-1")) as chat:
        first = await chat.ask()
        how = How(idempotency_key="k", on_busy="enqueue")
        accepted = await chat.service.ask_again(OWNER, first.answer.id, how)
        patient.set()
        await chat.end(accepted)
        again = await chat.service.ask_again(OWNER, first.answer.id, how)
        assert (again.answer.id, again.replayed) == (accepted.answer.id, True)


async def test_what_was_accepted_is_told_again_when_its_provider_is_gone(path: Path) -> None:
    async with chatting(path, Scripted(answering("a")), Scripted(answering("b"), name="other")) as chat:
        first = await chat.answer(provider="other", idempotency_key="k")
        chat.known.forget("other")
        assert (await chat.ask(provider="other", idempotency_key="k")).answer.id == first.id
        with pytest.raises(UnknownModel):
            await chat.ask(provider="other")


async def test_stopping_stops_the_provider_when_the_storage_hangs_or_fails(path: Path) -> None:
    async with chatting(path, Scripted([Text("half"), hanging()])) as chat:
        accepted = await chat.ask()
        await chat.until(accepted, "chunk")
        disk = Disk(chat.kept.database)
        disk.hang()
        stopping = asyncio.create_task(chat.service.cancel(OWNER, accepted.answer.id))
        await asyncio.wait_for(chat.provider.left.wait(), 2 * STOP_WITHIN)
        disk.room = 0
        disk.works.set()
        with pytest.raises(StorageUnavailable):
            await stopping
        disk.room = math.inf
        message = await chat.end(accepted)
        assert (message.status, message.content) == ("cancelled", "half")


# Whose it is.

Call = Callable[[Chat, str], Awaitable[object]]

CALLS: dict[str, Call] = {
    "ask_again": lambda chat, message: chat.service.ask_again(STRANGER, message, How()),
    "cancel": lambda chat, message: chat.service.cancel(STRANGER, message),
    "message": lambda chat, message: chat.service.message(STRANGER, message),
    "history": lambda chat, message: chat.service.history(STRANGER, "s", None, 10),
    "read_session": lambda chat, message: chat.service.read_session(STRANGER, "s", None),
    "read_message": lambda chat, message: chat.service.read_message(STRANGER, message, None),
    "session": lambda chat, message: chat.service.session(STRANGER, "s"),
    "rename_session": lambda chat, message: chat.service.rename_session(STRANGER, "s", "x"),
    "delete_session": lambda chat, message: chat.service.delete_session(STRANGER, "s"),
}


@pytest.mark.parametrize("call", CALLS)
async def test_what_is_somebody_elses_does_not_exist(path: Path, call: str) -> None:
    async with chatting(path, Scripted([hanging()])) as chat:
        accepted = await chat.ask()
        with pytest.raises(NotFound):
            await CALLS[call](chat, accepted.answer.id)
        assert (await chat.message(accepted)).status == "streaming"
        assert (await chat.service.sessions(STRANGER, "", None, 10)).sessions == []


async def test_a_stranger_asking_in_a_session_of_that_name_has_one_of_his_own(path: Path) -> None:
    async with chatting(path) as chat:
        mine = await chat.answer("one")
        theirs = await chat.ask("two", owner=STRANGER)
        assert theirs.answer.stream != mine.stream
        assert len((await chat.service.history(OWNER, "s", None, 10)).messages) == 2


# Sessions.


async def test_a_session_opened_by_many_at_once_is_one(path: Path) -> None:
    async with chatting(path) as chat:
        opened = await asyncio.gather(*[chat.service.open_session(OWNER, "s") for _ in range(10)])
        assert len(set(opened)) == 1
        assert len((await chat.service.sessions(OWNER, "", None, 10)).sessions) == 1


async def test_a_session_may_get_its_name_here(path: Path) -> None:
    async with chatting(path) as chat:
        names = {(await chat.service.create_session(OWNER, None, "")).id for _ in range(5)}
        assert len(names) == 5
        assert all(len(name) >= 20 for name in names)


async def test_a_deleted_session_is_stopped_told_and_gone(path: Path) -> None:
    async with chatting(path, Scripted([Text("half"), hanging()])) as chat:
        running, waiting = await chat.ask(), await chat.ask(on_busy="enqueue")
        events = await chat.until(running, "chunk")
        sink = Collector(events[-1].cursor, 1_000)
        follower = following(chat.kept.log, running.answer.stream, sink)
        await chat.service.delete_session(OWNER, "s")
        with suppress(UnknownStream):
            await follower
        assert types(sink.events)[-1] == "session"
        assert said(sink.events[-1])["deleted"] is True
        ends = [said(event) for event in sink.events if event.type == "complete"]
        assert {end["message_id"]: end["status"] for end in ends} == {
            running.answer.id: "cancelled",
            waiting.answer.id: "cancelled",
        }
        assert chat.provider.open == chat.service.answers == 0
        assert await chat.kept.rows("SELECT * FROM sessions") == []


async def test_what_could_not_be_deleted_at_once_is_deleted_later(path: Path) -> None:
    async with chatting(path) as chat:
        await chat.answer()
        disk = Disk(chat.kept.database)
        disk.room = 1  # enough to take it out of sight
        with pytest.raises(StorageUnavailable):
            await chat.service.delete_session(OWNER, "s")
        disk.room = math.inf
        await chat.service.keep_house()
        assert await chat.kept.rows("SELECT * FROM sessions") == []


async def test_events_expire_by_the_age_of_their_answers(path: Path) -> None:
    async with chatting(path) as chat:
        message = await chat.answer()
        before = seqs(await chat.kept.events(message.stream))
        await chat.service.keep_house()
        assert seqs(await chat.kept.events(message.stream)) == before
        chat.service._clock = lambda: datetime(2999, 1, 1, tzinfo=UTC)
        await chat.service.keep_house()
        assert await chat.kept.events(message.stream) == []


# Reading.


async def test_a_question_has_no_events_of_its_own(path: Path) -> None:
    async with chatting(path) as chat:
        message = await chat.answer()
        with pytest.raises(NotFound):
            await chat.service.read_message(OWNER, message.parent_id or "", None)


@pytest.mark.parametrize("cursor", ["", "nonsense", "-1", "00", "abc-01"])
async def test_what_is_no_cursor_is_refused(path: Path, cursor: str) -> None:
    async with chatting(path) as chat:
        message = await chat.answer()
        with pytest.raises(BadCursor):
            await chat.service.read_message(OWNER, message.id, cursor)
        with pytest.raises(BadCursor):
            await chat.service.read_session(OWNER, "s", cursor)


async def test_waiting_for_an_end(path: Path) -> None:
    go_on = hanging()
    async with chatting(path, Scripted([Text("half"), go_on, Finish("stop")])) as chat:
        accepted = await chat.ask()
        assert not await chat.service.ended(accepted.answer.id, 0.01)
        waiting = asyncio.create_task(chat.service.ended(accepted.answer.id, 10))
        await chat.until(accepted, "chunk")
        go_on.set()
        assert await waiting
        assert (await chat.message(accepted)).status == "completed"
        assert await chat.service.ended(accepted.answer.id, 0)
        assert await chat.service.ended("msg_nonsense", 0)
