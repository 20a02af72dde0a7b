"""What is kept when a question is asked, all in one transaction; and what is refused."""

from __future__ import annotations

import asyncio

import pytest

from server.chat import transcript
from server.chat.errors import Busy, IdempotencyKeyReused, Invalid, NotFound, Overloaded, ProviderError
from server.chat.models import Options
from server.chat.store import ROOT
from server.storage import reading
from server.streaming.log import Fenced
from tests.storage.kept import OWNER, Kept, said, types

pytestmark = pytest.mark.anyio


async def turns(kept: Kept, answer_id: str) -> list[str]:
    message = (await kept.store.message(OWNER, answer_id)).message
    return [f"{turn.role}: {turn.content}" for turn in await kept.store.turns(message)]


async def test_a_question_is_kept_with_its_events_and_the_promise_of_an_answer(kept: Kept) -> None:
    accepted, new = await kept.ask("What is a log?")
    posted, titled, start = await kept.events(accepted.answer.stream)
    assert types([posted, titled, start]) == ["posted", "session", "start"]
    assert said(posted)["message"] == accepted.question.public()
    assert said(titled)["title"] == "What is a log?"
    assert said(start)["message_id"] == new.message_id == accepted.answer.id
    assert said(start)["parent_id"] == accepted.question.id
    assert (await kept.store.message(OWNER, accepted.question.id)).message == accepted.question
    assert (await kept.store.message(OWNER, accepted.answer.id)).message == accepted.answer
    assert (await kept.store.session(OWNER, "s")).active == (accepted.answer.id,)


async def test_the_answers_own_events_begin_behind_the_question(kept: Kept) -> None:
    accepted, _ = await kept.ask("one")
    [start] = await kept.events(accepted.answer.stream, accepted.answer.after)
    assert start.type == "start"


async def test_the_client_id_is_echoed_and_not_kept(kept: Kept) -> None:
    answer = kept.new_answer()
    question = kept.question("one", client_id="tab-7")
    accepted = await kept.store.ask(question, answer)
    posted = (await kept.events(accepted.answer.stream))[0]
    assert said(posted)["client_id"] == "tab-7"
    assert "client_id" not in said(posted)["message"]


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("short", "short"),
        ("  many\n\n lines\tof it ", "many lines of it"),
        ("word " * 30, "word " * 11 + "word…"),
        ("漢" * 100, "漢" * 60 + "…"),
        (" \n", ""),
    ],
)
async def test_the_first_question_is_the_title(kept: Kept, question: str, title: str) -> None:
    await kept.answer(question, "yes")
    await kept.answer("another question", "no")
    assert (await kept.store.session(OWNER, "s")).title == (title or "another question")


async def test_a_title_that_was_given_stays(kept: Kept) -> None:
    await kept.store.create_session(OWNER, "s", "Mine", "2026-01-01T00:00:00.000Z")
    accepted, _ = await kept.ask("one")
    assert (await kept.store.session(OWNER, "s")).title == "Mine"
    assert types(await kept.events(accepted.answer.stream)) == ["session", "posted", "start"]


# Which conversation it goes on from.


async def test_without_a_parent_it_goes_on_from_the_newest_message(kept: Kept) -> None:
    await kept.answer("one", "eins")
    second = await kept.answer("two", "zwei")
    assert await turns(kept, second.id) == ["user: one", "assistant: eins", "user: two"]


async def test_a_parent_makes_a_branch(kept: Kept) -> None:
    first = await kept.answer("one", "eins")
    await kept.answer("two", "zwei")
    branch = await kept.answer("three", "drei", parent=first.id)
    assert await turns(kept, branch.id) == ["user: one", "assistant: eins", "user: three"]
    after = await kept.answer("four", "vier")
    assert (await turns(kept, after.id))[2:] == ["user: three", "assistant: drei", "user: four"]


async def test_root_begins_anew(kept: Kept) -> None:
    await kept.answer("one", "eins")
    fresh = await kept.answer("two", "zwei", parent=ROOT)
    assert await turns(kept, fresh.id) == ["user: two"]
    question = (await kept.store.message(OWNER, fresh.parent_id or "")).message
    assert question.parent_id is None


async def test_an_answer_without_text_is_no_turn(kept: Kept) -> None:
    await kept.answer("one", "")
    second = await kept.answer("two", "zwei")
    assert await turns(kept, second.id) == ["user: one", "user: two"]


async def test_an_unknown_parent_is_refused_and_nothing_is_kept(kept: Kept) -> None:
    elsewhere = await kept.answer("one", "eins", session="other")
    for parent in ("msg_nonsense", elsewhere.id):
        with pytest.raises(Invalid) as caught:
            await kept.ask("two", parent=parent)
        assert caught.value.field == "parent_id"
    with pytest.raises(NotFound):
        await kept.store.session(OWNER, "s")


# While another answer is being written.


async def test_reject_names_the_active_answer_and_keeps_nothing(kept: Kept) -> None:
    first, _ = await kept.ask("one")
    before = await kept.events(first.answer.stream)
    with pytest.raises(Busy) as caught:
        await kept.ask("two")
    assert caught.value.active == first.answer.id
    assert len(await kept.events(first.answer.stream)) == len(before)
    assert len((await kept.store.history(OWNER, "s", None, 10)).messages) == 2


async def test_interrupt_asks_the_others_to_stop_and_begins_later(kept: Kept) -> None:
    first, _ = await kept.ask("one")
    second, _ = await kept.ask("two", answer=kept.new_answer(on_busy="interrupt"))
    assert second.busy == [first.answer.id]
    assert types(await kept.events(second.answer.stream, second.answer.after)) == []
    [left, new] = await kept.store.unfinished()
    assert (left.cancel_requested, left.started) == (True, True)
    assert (new.cancel_requested, new.started) == (False, False)


async def test_enqueue_waits_behind_all_others(kept: Kept) -> None:
    first, claim = await kept.ask("one")
    second, _ = await kept.ask("two", answer=kept.new_answer(on_busy="enqueue"))
    third, _ = await kept.ask("three", answer=kept.new_answer(on_busy="enqueue"))
    assert second.busy == [first.answer.id]
    assert third.busy == [first.answer.id, second.answer.id]
    assert not any(left.cancel_requested for left in await kept.store.unfinished())
    await kept.finish(first, claim.claim, "eins")
    assert await turns(kept, second.answer.id) == ["user: one", "assistant: eins", "user: two"]


async def test_a_queue_has_a_largest_length(kept: Kept) -> None:
    for number in range(4):
        await kept.ask(str(number), answer=kept.new_answer(on_busy="enqueue"))
    with pytest.raises(Overloaded):
        await kept.ask("one too many", answer=kept.new_answer(on_busy="enqueue"))
    await kept.ask("elsewhere", session="other", answer=kept.new_answer(on_busy="enqueue"))


@pytest.mark.parametrize("on_busy", ["interrupt", "enqueue"])
async def test_in_a_quiet_session_it_begins_at_once(kept: Kept, on_busy: str) -> None:
    await kept.answer("one", "eins")
    accepted, _ = await kept.ask("two", answer=kept.new_answer(on_busy=on_busy))  # type: ignore[arg-type]
    assert accepted.busy in ((), [])
    assert types(await kept.events(accepted.answer.stream, accepted.answer.after)) == ["start"]


# Asking again.


async def test_another_answer_is_a_sibling_of_the_first(kept: Kept) -> None:
    first = await kept.answer("one", "eins")
    for about in (first.id, first.parent_id or ""):
        new = kept.new_answer()
        accepted = await kept.store.ask_again(about, new)
        assert accepted.answer.parent_id == accepted.question.id == first.parent_id
        assert await turns(kept, accepted.answer.id) == ["user: one"]
        await kept.finish(accepted, new.claim, "uno")
    assert types(await kept.events(first.stream)).count("posted") == 1


async def test_asking_again_is_refused_like_asking(kept: Kept) -> None:
    first, _ = await kept.ask("one")
    with pytest.raises(Busy):
        await kept.store.ask_again(first.answer.id, kept.new_answer())
    with pytest.raises(NotFound):
        await kept.store.ask_again("msg_nonsense", kept.new_answer())
    with pytest.raises(NotFound):
        await kept.store.ask_again(first.answer.id, kept.new_answer(owner="somebody else"))


async def test_a_conversation_that_no_model_takes_is_not_even_read(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    await kept.answer("one", "x" * 20)
    accepted, _ = await kept.ask("two")
    monkeypatch.setattr(reading, "MAX_PROMPT", 26)
    assert len(await kept.store.turns(accepted.answer)) == 3
    monkeypatch.setattr(reading, "MAX_PROMPT", 25)
    with pytest.raises(ProviderError, match="25 characters") as refused:
        await kept.store.turns(accepted.answer)
    assert refused.value.code == "provider_bad_request"


# Idempotency.


async def test_the_same_key_and_request_is_the_same_answer(kept: Kept) -> None:
    first, _ = await kept.ask("one", answer=kept.new_answer(key="k"))
    again, _ = await kept.ask("one", answer=kept.new_answer(key="k"))
    assert again.replayed
    assert not first.replayed
    assert (again.question, again.answer) == (first.question, first.answer)
    assert types(await kept.events(first.answer.stream)) == ["posted", "session", "start"]


async def test_a_replay_is_the_answer_as_it_is_now(kept: Kept) -> None:
    accepted, new = await kept.ask("one", answer=kept.new_answer(key="k"))
    ended = await kept.finish(accepted, new.claim, "eins")
    again, _ = await kept.ask("one", answer=kept.new_answer(key="k"))
    assert again.answer == ended


async def test_the_same_key_with_another_request_is_refused(kept: Kept) -> None:
    await kept.ask("one", answer=kept.new_answer(key="k"))
    with pytest.raises(IdempotencyKeyReused):
        await kept.ask("two", session="other", answer=kept.new_answer(key="k", digest="another"))
    with pytest.raises(NotFound):
        await kept.store.session(OWNER, "other")


async def test_a_key_belongs_to_its_owner(kept: Kept) -> None:
    first, _ = await kept.ask("one", answer=kept.new_answer(key="k"))
    other, _ = await kept.ask("one", answer=kept.new_answer(key="k", owner="somebody else", digest="another"))
    assert not other.replayed
    assert other.answer.stream != first.answer.stream


async def test_a_request_that_was_refused_does_not_use_up_its_key(kept: Kept) -> None:
    with pytest.raises(Invalid):
        await kept.ask("one", parent="msg_nonsense", answer=kept.new_answer(key="k"))
    accepted, _ = await kept.ask("one", answer=kept.new_answer(key="k", digest="another"))
    assert not accepted.replayed


async def test_fifty_at_once_with_one_key_are_one_answer(kept: Kept) -> None:
    asked = await asyncio.gather(*[kept.ask("one", answer=kept.new_answer(key="k")) for _ in range(50)])
    assert len({accepted.answer.id for accepted, _ in asked}) == 1
    assert sum(not accepted.replayed for accepted, _ in asked) == 1
    assert types(await kept.events(asked[0][0].answer.stream)) == ["posted", "session", "start"]


async def test_asking_again_with_the_same_key_is_the_same_answer(kept: Kept) -> None:
    first = await kept.answer("one", "eins")
    accepted = await kept.store.ask_again(first.id, kept.new_answer(key="k"))
    again = await kept.store.ask_again(first.id, kept.new_answer(key="k"))
    assert again.replayed
    assert again.answer.id == accepted.answer.id


# Ending.


async def test_an_answer_ends_once(kept: Kept) -> None:
    accepted, new = await kept.ask("one")
    ended = await kept.finish(accepted, new.claim, "eins")
    for attempt in (ended, accepted.answer):
        with pytest.raises(Fenced):
            await kept.store.finish(attempt, new.claim, [transcript.ended(ended)])
        with pytest.raises(Fenced):
            await kept.log.append(ended.stream, [transcript.chunk(ended.id, 9, 9, "x")], new.claim)
    assert types(await kept.events(ended.stream))[-1] == "complete"
    assert (await kept.store.message(OWNER, ended.id)).message == ended


async def test_an_ended_answer_is_kept_whole(kept: Kept) -> None:
    options = Options(ultra_thinking=True, max_tokens=7, temperature=0.5, system="Be brief.")
    accepted, new = await kept.ask("one", answer=kept.new_answer(options=options))
    ended = await kept.finish(accepted, new.claim, "eins, zwei, \0drei \u2028 😀")
    assert ended.content == "eins, zwei, \0drei \u2028 😀"
    assert ended.options == options
    tail = (await kept.log.span(ended.stream)).tail
    assert ended.last_seq == tail.seq
    assert (await kept.store.session(OWNER, "s")).active == ()
    assert await kept.rows("SELECT * FROM claims") == []
