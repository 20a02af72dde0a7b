from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from server.chat import transcript
from server.chat.answer import Answer
from server.chat.draft import Draft
from server.chat.models import Message, sha256
from server.chat.patience import Limits
from server.chat.provider import Delta, Finish, FinishReason, Prompt, Source, Sources, Text, Thinking, Turn, Usage
from server.chat.recovery import recover
from tests.chat.chatting import ALIVE, QUICK, Chat, Disk, Scripted, Step, answering, chatting, failing
from tests.storage.kept import OWNER, keep, said, types

pytestmark = pytest.mark.anyio


def hanging() -> asyncio.Event:
    """A step that is never over."""
    return asyncio.Event()


async def whole(chat: Chat, message: Message) -> dict[str, Any]:
    """The last event of an answer, after a look at all of them: one start, gap-free chunks, one end."""
    events = await chat.events(message)
    assert types(events).count("start") == 1
    assert [event.type in ("complete", "error") for event in events] == [False] * (len(events) - 1) + [True]
    assert events[-1].cursor.seq == message.last_seq
    text = ""
    for number, chunk in enumerate([said(event) for event in events if event.type == "chunk"], 1):
        assert (chunk["chunk_id"], chunk["offset"]) == (number, len(text))
        text += chunk["content"]
    end = said(events[-1])
    assert end["full_content"] == message.content == text
    assert (end["length"], end["sha256"], end["status"]) == (len(text), sha256(text), message.status)
    return end


async def test_an_answer_is_written_and_kept(path: Path) -> None:
    async with chatting(path, Scripted([Text("Hello"), Text(", "), Text("you"), Usage(3, 4), Finish("stop")])) as chat:
        message = await chat.answer()
        end = await whole(chat, message)
        assert (message.status, message.finish_reason, message.content) == ("completed", "stop", "Hello, you")
        assert end["type"] == "complete"
        assert end["usage"] == message.usage == {"input_tokens": 3, "output_tokens": 4, "source": "provider"}
        assert (end["provider"], end["model"]) == ("scripted", "scripted-1")
        assert 0 <= end["timings"]["first_token_ms"] <= end["timings"]["total_ms"]
        assert message.timings == end["timings"]
        assert chat.provider.open == chat.generator.count == 0


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])
async def test_why_it_ended_is_told(path: Path, reason: FinishReason) -> None:
    async with chatting(path, Scripted([Text("a"), Finish(reason)])) as chat:
        message = await chat.answer()
        assert (message.status, message.finish_reason) == ("completed", reason)
        assert (await whole(chat, message))["finish_reason"] == reason


async def test_an_answer_may_be_empty(path: Path) -> None:
    async with chatting(path, Scripted([Finish("content_filter")])) as chat:
        message = await chat.answer()
        assert (message.status, message.content) == ("completed", "")
        assert (await whole(chat, message))["timings"]["first_token_ms"] is None


async def test_usage_is_estimated_when_the_provider_does_not_tell(path: Path) -> None:
    async with chatting(path, Scripted(answering("x" * 41))) as chat:
        message = await chat.answer("y" * 80)
        assert message.usage == {"input_tokens": 20, "output_tokens": 11, "source": "estimated"}


async def test_reasoning_and_sources_are_kept(path: Path) -> None:
    found = Sources([Source("https://example.org", "Example")])
    async with chatting(path, Scripted([Thinking("hm, "), Thinking("well"), found, *answering("yes")])) as chat:
        message = await chat.answer()
        await whole(chat, message)
        assert message.thinking == "hm, well"
        assert message.sources == ({"url": "https://example.org", "title": "Example"},)


async def test_the_provider_is_asked_what_was_asked(path: Path) -> None:
    options = {"ultra_thinking": True, "max_tokens": 9, "temperature": 0.5, "system": "Be brief."}
    async with chatting(path, Scripted(answering("eins"))) as chat:
        await chat.answer("one")
        await chat.answer("two", options=options, model="other", api_keys={"scripted": "sk-1", "else": "sk-2"})
        prompt = chat.provider.prompts[1]
        assert prompt.turns == [Turn("user", "one"), Turn("assistant", "eins"), Turn("user", "two")]
        assert (prompt.model, prompt.system, prompt.max_tokens) == ("other", "Be brief.", 9)
        assert (prompt.temperature, prompt.ultra_thinking, prompt.api_key) == (0.5, True, "sk-1")


async def test_keys_are_kept_nowhere(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with chatting(path, Scripted([RuntimeError("a bug")])) as chat:
        await chat.answer(api_keys={"scripted": "sk-secret"})
    assert "sk-secret" not in caplog.text
    for file in path.parent.iterdir():
        assert b"sk-secret" not in file.read_bytes()


async def test_ten_thousand_deltas(path: Path) -> None:
    pieces = [f"{number} " for number in range(10_000)]
    async with chatting(path, Scripted(answering(*pieces))) as chat:
        message = await chat.answer()
        assert message.content == "".join(pieces)
        await whole(chat, message)


# Failures.


async def test_a_stream_that_just_ends_is_never_complete(path: Path) -> None:
    async with chatting(path, Scripted([Text("half an ans")])) as chat:
        message = await chat.answer()
        assert (message.status, message.content) == ("failed", "half an ans")
        end = await whole(chat, message)
        assert end["problem"]["code"] == "provider_truncated"
        assert end["problem"] == message.problem
        assert len(chat.provider.prompts) == 1


async def test_a_failure_before_the_first_text_is_tried_again(path: Path) -> None:
    failures: list[list[Step]] = [[failing("provider_rate_limited")], [], answering("yes")]
    async with chatting(path, Scripted(*failures)) as chat:
        message = await chat.answer()
        await whole(chat, message)
        events = await chat.events(message)
        assert types(events) == ["start", "retrying", "retrying", "chunk", "complete"]
        first, second = said(events[1]), said(events[2])
        assert (first["attempt"], first["problem"]["code"]) == (1, "provider_rate_limited")
        assert (second["attempt"], second["problem"]["code"]) == (2, "provider_truncated")
        assert second["delay"] == 2 * first["delay"] == 0.002
        assert len(chat.provider.prompts) == 3


async def test_it_waits_as_long_as_the_provider_asks(path: Path) -> None:
    async with chatting(path, Scripted([failing(after=0.2)], answering("yes"))) as chat:
        begun = monotonic()
        message = await chat.answer()
        assert message.status == "completed"
        assert monotonic() - begun >= 0.2
        assert said((await chat.events(message))[1])["delay"] == 0.2


async def test_a_provider_that_asks_for_more_patience_than_there_is_is_not_pressed(path: Path) -> None:
    async with chatting(path, Scripted([failing(after=3_600)], answering("yes"))) as chat:
        message = await chat.answer()
        end = await whole(chat, message)
        assert (end["problem"]["retry_after"], end["problem"]["retryable"]) == (3_600, True)
        assert len(chat.provider.prompts) == 1


async def test_it_gives_up_after_the_last_attempt(path: Path) -> None:
    async with chatting(path, Scripted([failing()])) as chat:
        message = await chat.answer()
        assert types(await chat.events(message)) == ["start", "retrying", "retrying", "error"]
        assert (await whole(chat, message))["problem"]["code"] == "provider_overloaded"
        assert len(chat.provider.prompts) == QUICK.attempts


@pytest.mark.parametrize(
    "script", [[failing("provider_auth", retryable=False)], [Text("a"), failing()], [Text("a"), Thinking("b")]]
)
async def test_what_cannot_be_mended_by_trying_again_is_not_tried_again(path: Path, script: list[Step]) -> None:
    async with chatting(path, Scripted(script, answering("never"))) as chat:
        message = await chat.answer()
        assert message.status == "failed"
        await whole(chat, message)
        assert "retrying" not in types(await chat.events(message))
        assert len(chat.provider.prompts) == 1


async def test_what_a_failed_attempt_thought_and_counted_is_void(path: Path) -> None:
    found = Sources([Source("https://example.org", "Example")])
    failed: list[Step] = [Usage(1_000, 1_000), found, Thinking("wrong"), Finish("length"), failing()]
    async with chatting(path, Scripted(failed, [found, Thinking("right"), *answering("yes")])) as chat:
        message = await chat.answer()
        assert (message.thinking, message.finish_reason) == ("right", "stop")
        assert message.usage is not None
        assert message.usage["source"] == "estimated"
        assert len(message.sources) == 1
        await whole(chat, message)


async def test_a_mistake_of_ours_ends_the_answer_and_says_nothing_of_it(path: Path) -> None:
    async with chatting(path, Scripted([Text("a"), RuntimeError("inside information")])) as chat:
        message = await chat.answer()
        assert message.status == "failed"
        end = await whole(chat, message)
        assert end["problem"]["code"] == "internal"
        assert "inside" not in json.dumps(end)


async def test_a_provider_that_cancels_itself_ends_the_answer(path: Path) -> None:
    class Confused(Scripted):
        async def stream(self, prompt: Prompt) -> AsyncIterator[Delta]:
            yield Text("half")
            raise asyncio.CancelledError

    async with chatting(path, Confused()) as chat:
        message = await chat.answer()
        assert message.content == "half"
        assert (await whole(chat, message))["problem"]["code"] == "internal"


# Another provider.


async def test_when_one_provider_gives_up_another_answers(path: Path) -> None:
    one, other = Scripted([Thinking("void"), failing()], name="one"), Scripted(answering("yes"), name="other")
    async with chatting(path, one, other, fallback=("other", "other-7")) as chat:
        message = await chat.answer(api_keys={"one": "sk-1", "other": "sk-2"})
        end = await whole(chat, message)
        assert (message.content, message.thinking) == ("yes", "")
        assert (end["provider"], end["model"]) == (message.provider, message.model) == ("other", "other-7")
        assert (other.prompts[0].model, other.prompts[0].api_key) == ("other-7", "sk-2")
        last = said([event for event in await chat.events(message) if event.type == "retrying"][-1])
        assert (last["provider"], last["problem"]["code"]) == ("other", "provider_overloaded")
        assert last["attempt"] == QUICK.attempts


async def test_who_was_asked_once_is_not_told_to_have_been_asked_thrice(path: Path) -> None:
    one = Scripted([failing("provider_auth", retryable=False)], name="one")
    async with chatting(path, one, Scripted(answering("yes"), name="other"), fallback=("other", "other-7")) as chat:
        message = await chat.answer()
        [told] = [said(event) for event in await chat.events(message) if event.type == "retrying"]
        assert (told["attempt"], told["provider"]) == (1, "other")


@pytest.mark.parametrize("script", [[Text("a"), failing()], [Text("a")]])
async def test_nobody_else_goes_on_with_a_text(path: Path, script: list[Step]) -> None:
    one, other = Scripted(script, name="one"), Scripted(answering("yes"), name="other")
    async with chatting(path, one, other, fallback=("other", "other-7")) as chat:
        message = await chat.answer()
        assert (message.status, message.content, message.provider) == ("failed", "a", "one")
        assert other.prompts == []


async def test_the_last_resort_is_not_its_own_fallback(path: Path) -> None:
    async with chatting(path, Scripted([failing()]), fallback=("scripted", "scripted-1")) as chat:
        await chat.answer()
        assert len(chat.provider.prompts) == QUICK.attempts


# Time.


async def timed_out(path: Path, script: list[Step], limits: Limits) -> Message:
    async with chatting(path, Scripted(script), limits=replace(limits, attempts=1)) as chat:
        message = await chat.answer()
        assert message.status == "failed"
        assert (await whole(chat, message))["problem"]["code"] == "provider_timeout"
        assert chat.provider.open == 0
        return message


async def test_a_provider_that_says_nothing_is_given_up(path: Path) -> None:
    await timed_out(path, [hanging()], Limits(first_text_timeout=0.1, delta_timeout=20))


async def test_a_provider_that_says_nothing_is_asked_again_and_then_another(path: Path) -> None:
    limits = Limits(first_text_timeout=0.05, first_delay=0.001, attempts=2)
    other = Scripted(answering("I do"), name="other")
    async with chatting(path, Scripted([hanging()]), other, limits=limits, fallback=("other", "other-1")) as chat:
        message = await chat.answer()
        assert (message.status, message.content, message.provider) == ("completed", "I do", "other")
        told = [said(event)["problem"]["code"] for event in await chat.events(message) if event.type == "retrying"]
        assert told == ["provider_timeout", "provider_timeout"]
        assert (len(chat.provider.prompts), chat.provider.open) == (2, 0)


async def test_a_provider_that_falls_silent_is_given_up_and_its_text_kept(path: Path) -> None:
    message = await timed_out(path, [Text("half"), hanging()], Limits(first_text_timeout=20, delta_timeout=0.1))
    assert message.content == "half"


def ticking(step: Step, count: int, every: float) -> list[Step]:
    steps: list[Step] = []
    for number in range(count):
        tick = asyncio.Event()
        asyncio.get_running_loop().call_later(every * number, tick.set)
        steps += [tick, step]
    return steps


async def test_a_provider_that_only_says_that_it_is_there_is_waited_for(path: Path) -> None:
    limits = Limits(first_text_timeout=0.2, delta_timeout=0.2)
    script = [*ticking(ALIVE, 20, every=0.05), *answering("at last")]
    async with chatting(path, Scripted(script), limits=limits) as chat:
        assert (await chat.answer()).content == "at last"
        assert len(chat.provider.prompts) == 1


async def test_an_answer_without_end_is_given_up(path: Path) -> None:
    steps = ticking(Text("x"), 100, every=0.01)
    message = await timed_out(path, steps, Limits(answer_timeout=0.1, delta_timeout=5))
    assert 0 < len(message.content) < 100


async def test_waiting_to_try_again_is_no_silence(path: Path) -> None:
    limits = Limits(first_text_timeout=0.1, delta_timeout=0.1)
    async with chatting(path, Scripted([failing(after=0.3)], answering("yes")), limits=limits) as chat:
        assert (await chat.answer()).status == "completed"


async def test_what_is_told_about_an_answer_names_who_asked_for_it(path: Path) -> None:
    asked_by: ContextVar[str] = ContextVar("asked_by")
    seen: list[str] = []

    class Noting(Scripted):
        async def stream(self, prompt: Prompt) -> AsyncIterator[Delta]:
            seen.append(asked_by.get())
            async for delta in super().stream(prompt):
                yield delta

    patient = hanging()
    async with chatting(path, Noting([patient, *answering("one")], answering("two"))) as chat:
        asked = []
        for name in ("ada", "bob"):
            asked_by.set(name)
            asked.append(await chat.ask(name, on_busy="enqueue"))
        patient.set()
        for accepted in asked:
            await chat.end(accepted)
    assert seen == ["ada", "bob"]


# Stopping.


async def test_stopping_keeps_what_was_written_and_closes_the_provider(path: Path) -> None:
    async with chatting(path, Scripted([Text("half"), hanging()])) as chat:
        accepted = await chat.ask()
        await chat.until(accepted, "chunk")
        await chat.generator.cancel(accepted.answer.id)
        message = await chat.message(accepted)
        assert (message.status, message.finish_reason, message.content) == ("cancelled", "cancelled", "half")
        assert (await whole(chat, message))["type"] == "complete"
        assert chat.provider.open == 0


async def test_stopping_twice_or_afterwards_changes_nothing(path: Path) -> None:
    async with chatting(path, Scripted([Text("half"), hanging()], answering("whole"))) as chat:
        accepted = await chat.ask()
        await chat.until(accepted, "chunk")
        await asyncio.gather(*[chat.generator.cancel(accepted.answer.id) for _ in range(5)])
        await chat.generator.cancel(accepted.answer.id)
        assert (await whole(chat, await chat.message(accepted)))["status"] == "cancelled"
        ended = await chat.ask("again")
        await chat.end(ended)
        await chat.generator.cancel(ended.answer.id)
        assert (await chat.message(ended)).status == "completed"
        await chat.generator.cancel("msg_nonsense")


async def test_stopping_before_the_provider_was_asked(path: Path) -> None:
    async with chatting(path, Scripted(answering("first"), answering("never"))) as chat:
        await chat.end(await chat.ask())
        accepted = await chat.ask()  # whose history has to be read first
        await chat.generator.cancel(accepted.answer.id)
        message = await chat.message(accepted)
        assert (message.status, message.content) == ("cancelled", "")
        await whole(chat, message)
        assert chat.provider.open == 0


async def test_stopping_one_that_waits_does_not_wait_for_the_one_before(path: Path) -> None:
    async with chatting(path, Scripted([Text("half"), hanging()])) as chat:
        first = await chat.ask("one")
        waiting = await chat.ask("two", on_busy="enqueue")
        await chat.generator.cancel(waiting.answer.id)
        assert (await whole(chat, await chat.message(waiting)))["status"] == "cancelled"
        assert chat.generator.active(first.answer.stream) == [first.answer.id]
        assert (await chat.message(first)).status == "streaming"
        assert len(chat.provider.prompts) == 1


async def test_stopping_while_it_begins(path: Path) -> None:
    async with chatting(path, Scripted([hanging()], answering("never"))) as chat:
        first = await chat.ask("one")
        waiting = await chat.ask("two", on_busy="enqueue")
        await chat.provider.begun.wait()
        disk = Disk(chat.kept.database)
        stopping = asyncio.create_task(chat.generator.cancel(first.answer.id))
        await chat.until(first, "complete")
        disk.hang()
        await disk.reached.wait()  # the start of the second is under way
        too = asyncio.create_task(chat.generator.cancel(waiting.answer.id))
        await asyncio.sleep(0)
        disk.works.set()
        await asyncio.gather(stopping, too)
        assert (await whole(chat, await chat.message(waiting)))["status"] == "cancelled"


async def test_stopping_while_it_waits_to_try_again(path: Path) -> None:
    async with chatting(path, Scripted([failing(after=20)])) as chat:
        accepted = await chat.ask()
        await chat.until(accepted, "retrying")
        await asyncio.wait_for(chat.generator.cancel(accepted.answer.id), 5)
        assert (await whole(chat, await chat.message(accepted)))["status"] == "cancelled"


async def test_stopped_at_any_moment_an_answer_ends_once(path: Path) -> None:
    script: list[Step] = [Thinking("hm"), *[Text(f"{number} ") for number in range(5)], Finish("stop")]
    async with chatting(path, Scripted(script)) as chat:
        for steps in range(0, 80, 2):
            accepted = await chat.ask(session=f"s{steps}")
            for _ in range(steps):
                await asyncio.sleep(0)
            await chat.generator.cancel(accepted.answer.id)
            assert (await whole(chat, await chat.message(accepted)))["status"] in ("cancelled", "completed")
        assert chat.provider.open == chat.generator.count == 0


async def test_stopping_in_the_very_turn_in_which_the_provider_ends(path: Path) -> None:
    class Last(Scripted):
        async def stream(self, prompt: Prompt) -> AsyncIterator[Delta]:
            yield Text("whole")
            await asked.wait()
            stopping = chat.generator.cancel(accepted.answer.id)
            stopping.send(None)  # up to where it waits; nothing here waits any more
            yield Finish("stop")
            stopping.close()

    asked = asyncio.Event()
    async with chatting(path, Last()) as chat:
        accepted = await chat.ask()
        asked.set()
        message = await chat.end(accepted)
        assert message.content == "whole"
        assert (await whole(chat, message))["status"] == "cancelled"


# One after the other.


async def test_those_that_wait_are_answered_in_order_each_with_what_came_before(path: Path) -> None:
    go_on = hanging()
    async with chatting(path, Scripted([Text("eins"), go_on, Finish("stop")], answering("zwei"))) as chat:
        asked = [await chat.ask("one")]
        asked += [await chat.ask(content, on_busy="enqueue") for content in ("two", "three")]
        assert chat.generator.count == 3
        go_on.set()
        for accepted in asked:
            await whole(chat, await chat.end(accepted))
        contents = [[turn.content for turn in prompt.turns] for prompt in chat.provider.prompts]
        assert contents == [["one"], ["one", "eins", "two"], ["one", "eins", "two", "zwei", "three"]]


async def test_an_interrupted_answer_keeps_its_text_and_the_new_one_follows(path: Path) -> None:
    async with chatting(path, Scripted([Text("half"), hanging()], answering("new"))) as chat:
        first = await chat.ask("one")
        await chat.until(first, "chunk")
        second = await chat.ask("two", on_busy="interrupt")
        assert (await chat.end(second)).content == "new"
        old = await chat.message(first)
        assert (old.status, old.content) == ("cancelled", "half")
        assert [turn.content for turn in chat.provider.prompts[1].turns] == ["one", "half", "two"]
        starts = [(await chat.events(message))[0].cursor.seq for message in (await chat.message(second), old)]
        assert starts[0] > (old.last_seq or 0) > starts[1]


async def test_sessions_do_not_wait_for_each_other(path: Path) -> None:
    async with chatting(path, Scripted([hanging()], answering("yes"))) as chat:
        slow = await chat.ask("one")
        await chat.provider.begun.wait()
        assert (await chat.answer("two", session="other")).status == "completed"
        assert (await chat.message(slow)).status == "streaming"


# Limits.


async def test_an_answer_that_grows_too_long_ends(path: Path) -> None:
    limits = Limits(max_characters=100)
    async with chatting(path, Scripted([Text("x" * 60)] * 5 + [hanging()]), limits=limits) as chat:
        message = await chat.answer()
        assert (message.status, message.finish_reason) == ("completed", "length")
        assert 100 <= len(message.content) <= 160
        await whole(chat, message)
        assert chat.provider.open == 0


async def test_reasoning_and_sources_without_end_are_ended_too(path: Path) -> None:
    limits = Limits(max_characters=100)
    found = [Sources((Source(f"https://example.org/{number}", "x" * 40),)) for number in range(5)]
    endless = Scripted([Thinking("x" * 60)] * 5 + [hanging()], [*found, hanging()])
    async with chatting(path, endless, limits=limits) as chat:
        thought, searched = await chat.answer(), await chat.answer()
        assert (thought.status, thought.finish_reason, len(thought.thinking)) == ("completed", "length", 120)
        assert (searched.status, searched.finish_reason, len(searched.sources)) == ("completed", "length", 2)


async def test_a_provider_is_not_read_faster_than_the_log_takes(path: Path) -> None:
    said_so_far = 0

    class Endless(Scripted):
        async def stream(self, prompt: Any) -> Any:
            nonlocal said_so_far
            while True:
                yield Text("x" * 1_000)
                said_so_far += 1_000
                await asyncio.sleep(0)

    async with chatting(path, Endless()) as chat:
        disk = Disk(chat.kept.database)
        accepted = await chat.ask()
        await chat.until(accepted, "chunk")
        disk.hang()
        await disk.reached.wait()
        before = said_so_far
        for _ in range(1_000):
            await asyncio.sleep(0)
        assert said_so_far - before < 100_000
        disk.works.set()
        await chat.generator.cancel(accepted.answer.id)
        await whole(chat, await chat.message(accepted))


# The storage.


async def test_when_the_storage_fails_in_the_middle_the_answer_ends_when_it_is_back(path: Path) -> None:
    go_on = hanging()
    async with chatting(path, Scripted([Text("half"), go_on, Text(" and "), Text("more"), hanging()])) as chat:
        disk = Disk(chat.kept.database)
        accepted = await chat.ask()
        await chat.until(accepted, "chunk")
        disk.room = 0
        go_on.set()
        for _ in range(3):
            await disk.refusals.get()
        assert (await chat.message(accepted)).status == "streaming"
        disk.room = math.inf
        message = await chat.end(accepted)
        assert message.content == "half and more"
        assert (await whole(chat, message))["problem"]["code"] == "storage_unavailable"
        assert chat.provider.open == 0


@pytest.mark.parametrize("room", range(1, 8))
async def test_whichever_write_fails_no_text_is_lost_or_doubled(path: Path, room: int) -> None:
    ticks = [asyncio.Event() for _ in range(6)]
    script: list[Step] = [step for number, tick in enumerate(ticks) for step in (Text(f"{number} "), tick)]
    async with chatting(path, Scripted([*script, Finish("stop")])) as chat:
        disk = Disk(chat.kept.database)
        disk.room = room  # for the question, and for the text as it comes
        accepted = await chat.ask()
        for count, tick in enumerate(ticks, 1):
            if count < room:
                await chat.until(accepted, "chunk", count)
            elif count == room:
                await disk.refusals.get()
            tick.set()
        if room > len(ticks):
            await disk.refusals.get()  # of the end
        disk.room = math.inf
        message = await chat.end(accepted)
        assert "0 1 2 3 4 5 ".startswith(message.content)
        assert len(message.content) >= 2 * (room - 1)
        assert message.status == ("completed" if room == 7 else "failed")
        await whole(chat, message)


async def test_an_answer_that_was_whole_before_the_storage_failed_is_complete_when_it_is_back(path: Path) -> None:
    go_on = hanging()
    async with chatting(path, Scripted([Text("whole"), go_on, Finish("stop")])) as chat:
        disk = Disk(chat.kept.database)
        accepted = await chat.ask()
        await chat.until(accepted, "chunk")
        disk.room = 0
        go_on.set()
        await disk.refusals.get()
        disk.room = math.inf
        message = await chat.end(accepted)
        assert (message.status, message.content) == ("completed", "whole")
        await whole(chat, message)


async def test_an_answer_stopped_while_the_storage_fails_was_stopped(path: Path) -> None:
    async with chatting(path, Scripted([Text("half"), hanging()])) as chat:
        disk = Disk(chat.kept.database)
        accepted = await chat.ask()
        await chat.until(accepted, "chunk")
        disk.room = 0
        stopping = asyncio.create_task(chat.generator.cancel(accepted.answer.id))
        await disk.refusals.get()
        disk.room = math.inf
        await stopping
        assert (await whole(chat, await chat.message(accepted)))["status"] == "cancelled"


async def test_one_that_waited_begins_into_a_storage_that_fails_and_ends_all_the_same(path: Path) -> None:
    async with chatting(path, Scripted([hanging()], answering("never"))) as chat:
        disk = Disk(chat.kept.database)
        first = await chat.ask("one")
        waiting = await chat.ask("two", on_busy="enqueue")
        stopping = asyncio.create_task(chat.generator.cancel(first.answer.id))
        await chat.until(first, "complete")
        disk.room = 0
        await stopping
        for _ in range(2):
            await disk.refusals.get()
        disk.room = math.inf
        message = await chat.end(waiting)
        assert (await whole(chat, message))["problem"]["code"] == "storage_unavailable"
        assert chat.generator.count == 0


# The end of the process.


async def test_answers_get_time_to_end(path: Path) -> None:
    go_on = hanging()
    async with chatting(path, Scripted([Text("half"), go_on, *answering(" and half")])) as chat:
        accepted = await chat.ask()
        await chat.until(accepted, "chunk")
        draining = asyncio.create_task(chat.service.drain(20))
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.wait_for(draining, 5)
        assert (await whole(chat, await chat.message(accepted)))["status"] == "completed"


async def test_those_that_do_not_end_in_time_are_interrupted_and_keep_their_text(path: Path) -> None:
    async with chatting(path, Scripted([Text("half"), hanging()])) as chat:
        asked = [await chat.ask(), await chat.ask(on_busy="enqueue"), await chat.ask(session="other")]
        await chat.until(asked[0], "chunk")
        await asyncio.wait_for(chat.service.drain(0.05), 5)
        for accepted in asked:
            message = await chat.message(accepted)
            assert (await whole(chat, message))["problem"]["code"] == "interrupted"
        assert (await chat.message(asked[0])).content == "half"
        assert chat.provider.open == chat.generator.count == 0


@pytest.mark.parametrize("somebody_stops_it", [False, True])
async def test_a_storage_that_fails_does_not_keep_the_process_and_the_next_run_ends_the_answer(
    path: Path, somebody_stops_it: bool
) -> None:
    async with chatting(path, Scripted([Text("half"), hanging()])) as chat:
        disk = Disk(chat.kept.database)
        accepted = await chat.ask()
        await chat.until(accepted, "chunk")
        stopping: asyncio.Task[object] | None = None
        if somebody_stops_it:
            disk.room = 1  # for the wish, not for its fulfilment
            stopping = asyncio.create_task(chat.service.cancel(OWNER, accepted.answer.id))
            await disk.refusals.get()
        disk.room = 0
        await asyncio.wait_for(chat.service.drain(0.05), 5)
        assert (await chat.message(accepted)).status == "streaming"
        if stopping is not None:
            await asyncio.wait_for(stopping, 5)
        disk.room = math.inf
    async with keep(path) as kept:
        await recover(kept.store)
        [message] = (await kept.store.history(OWNER, "s", None, 1)).messages
        assert message.content == "half"
        assert message.status == ("cancelled" if somebody_stops_it else "interrupted")


async def test_a_mistake_of_ours_at_the_end_ends_the_answer_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes it any more: were it left as it is, its session would be busy until the next start."""
    async with chatting(path, Scripted([Text("whole"), hanging()], answering("next"))) as chat:
        accepted = await chat.ask()
        await chat.until(accepted, "chunk")
        monkeypatch.setattr(transcript, "ended", mistaken_once(transcript.ended))
        await chat.service.cancel(OWNER, accepted.answer.id)
        message = await chat.message(accepted)
        assert (message.status, message.content) == ("cancelled", "whole")  # it was asked for before
        assert types(await chat.events(message)) == ["start", "chunk", "complete"]
        assert (await chat.answer()).content == "next"


def mistaken_once(function: Callable[..., Any]) -> Callable[..., Any]:
    mistakes = [LookupError("a mistake")]

    def mistaken(*arguments: Any) -> Any:
        if mistakes:
            raise mistakes.pop()
        return function(*arguments)

    return mistaken


async def test_an_answer_leaves_nothing_behind_that_only_the_collector_finds(path: Path) -> None:
    async with chatting(path, Scripted(answering("one", "two"))) as chat:
        gc.collect()
        gc.disable()
        before = len([each for each in gc.get_objects() if isinstance(each, Answer | Draft)])
        try:
            await chat.answer()
            await asyncio.sleep(0.01)
            assert len([each for each in gc.get_objects() if isinstance(each, Answer | Draft)]) == before
        finally:
            gc.enable()


async def test_draining_an_idle_generator_is_over_at_once(path: Path) -> None:
    async with chatting(path) as chat:
        await asyncio.wait_for(chat.service.drain(20), 5)


async def test_an_answer_that_was_ended_by_somebody_else_stays_as_they_left_it(path: Path) -> None:
    go_on = hanging()
    async with chatting(path, Scripted([Text("half"), go_on, Text("late"), hanging()])) as chat:
        accepted = await chat.ask()
        await chat.until(accepted, "chunk")
        assert await recover(chat.kept.store) == 1
        ended = await chat.message(accepted)
        go_on.set()
        assert await chat.service.ended(accepted.answer.id, 10)
        assert await chat.message(accepted) == ended
        assert (await whole(chat, ended))["status"] == "interrupted"
        assert chat.provider.open == 0
