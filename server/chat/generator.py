"""Writes the answers. It owns their tasks: requests start answers or follow them, and may go away.

    waiting --> streaming --> ended
       |            |
       +------------+--> stopped (by a person, the clock, or a shutdown), then ended

The answers of one session are written one after the other. Each ends with exactly one `complete` or
`error`, in the transaction that keeps the message and ends the claim.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from server.chat import recovery, transcript
from server.chat.answer import Answer, Cancelled, Interrupted, Stopped
from server.chat.draft import Draft, usage_of
from server.chat.errors import ProviderError, StorageUnavailable
from server.chat.models import Message, now, timestamp
from server.chat.outcome import named, outcome, provider_problem
from server.chat.patience import Limits, Patience
from server.chat.provider import Delta, Finish, Prompt, Providers, Text
from server.chat.store import Store
from server.chat.tally import Tally
from server.streaming.log import EventLog, Fenced, Stream

logger = logging.getLogger(__name__)


class Generator:
    def __init__(
        self,
        log: EventLog,
        store: Store,
        providers: Providers,
        limits: Limits | None = None,
        fallback: tuple[str, str] | None = None,
        clock: Callable[[], datetime] = now,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._log = log
        self._store = store
        self._providers = providers
        self._limits = limits or Limits()
        self._fallback = fallback
        self._clock = clock
        self._jitter = jitter
        self.tally = Tally()
        self._lanes: dict[Stream, deque[Answer]] = {}
        self._answers: dict[str, Answer] = {}

    @property
    def count(self) -> int:
        return len(self._answers)

    def count_of(self, owner: str) -> int:
        return sum(answer.owner == owner for answer in self._answers.values())

    def active(self, stream: Stream) -> Sequence[str]:
        """The answer of the session that is being written right now, if there is one."""
        lane = self._lanes.get(stream)
        return [lane[0].message.id] if lane else []

    def start(self, answer: Answer) -> None:
        """Write `answer` when those of its session that were started before it have ended."""
        self._answers[answer.message.id] = answer
        lane = self._lanes.setdefault(answer.message.stream, deque())
        lane.append(answer)
        if len(lane) == 1:
            self._launch(answer)

    async def cancel(self, message_id: str) -> None:
        """Stop an answer and wait until it has ended; nothing happens if it has already."""
        answer = self._answers.get(message_id)
        if answer is not None:
            self._stop(answer, Cancelled())
            await answer.ended.wait()

    def stop(self, message_id: str) -> None:
        """Stop an answer, without waiting for its end."""
        answer = self._answers.get(message_id)
        if answer is not None:
            self._stop(answer, Cancelled())

    async def ended(self, message_id: str, timeout: float) -> bool:
        """Whether an answer ends within `timeout` seconds, or is not being written."""
        answer = self._answers.get(message_id)
        if answer is None:
            return True
        with suppress(TimeoutError):
            await asyncio.wait_for(answer.ended.wait(), timeout)
        return answer.ended.is_set()

    async def drain(self, grace: float) -> None:
        """Give the answers `grace` seconds, then interrupt what is left and wait for its end."""
        ends = [asyncio.create_task(answer.ended.wait()) for answer in self._answers.values()]
        if ends:
            await asyncio.wait(ends, timeout=grace)
            for answer in list(self._answers.values()):
                self._stop(answer, Interrupted())
            await asyncio.wait(ends)

    def _stop(self, answer: Answer, why: Stopped) -> None:
        answer.stop(why)
        if answer.task is None:
            # Still waiting for its turn: it need not wait for that any more.
            self._launch(answer)

    def _launch(self, answer: Answer) -> None:
        name = f"answer {answer.message.id}"
        answer.task = asyncio.create_task(self._write(answer), name=name, context=answer.context)

    def _leave(self, answer: Answer) -> None:
        """The answer has ended; the next of its session begins."""
        stream = answer.message.stream
        lane = self._lanes[stream]
        was_first = lane[0] is answer
        lane.remove(answer)
        del self._answers[answer.message.id]
        answer.ended.set()
        if not lane:
            del self._lanes[stream]
        elif was_first and lane[0].task is None:
            self._launch(lane[0])

    # One answer.

    async def _write(self, answer: Answer) -> None:
        try:
            answer.started_at = self._time()
            # Not kept in the answer, which it knows: both would stay until garbage is looked for.
            draft = Draft(self._log, answer.message, answer.claim, answer.stop, self.tally)
            if not answer.begun and answer.stopped is None:
                await self._begin(answer)
            failure = await self._failure(answer, draft)
            await self._finish(answer, draft, failure)
        except Fenced:
            # Somebody else has ended it: what they wrote stands.
            logger.warning("an answer was ended by another writer", extra=named(answer.message))
        except StorageUnavailable:
            logger.warning("an answer could not be ended; the next start will", extra=named(answer.message))
        except Exception:
            logger.exception("an answer could not be ended as it should", extra=named(answer.message))
            await self._end_failed(answer)
        finally:
            self._leave(answer)

    async def _end_failed(self, answer: Answer) -> None:
        try:
            await recovery.end_failed(self._store, answer.message.id, self._clock)
        except Exception:
            logger.exception("an answer could not be ended; the next start will", extra=named(answer.message))

    async def _failure(self, answer: Answer, draft: Draft) -> BaseException | None:
        """Ask the provider; what went wrong, if anything did.

        `Answer.stop` cancels the task out of it, which spares every answer a second task.
        """
        if answer.stopped is not None:
            return answer.stopped
        overdue = self._end_in_time(answer)
        answer.asking = True
        try:
            await self._ask(answer, draft)
            return None
        except asyncio.CancelledError as cancelled:
            if answer.stopped is None and _told_to_cancel():
                raise  # by nobody who knows of answers: the process ends
            return cancelled
        except Exception as error:
            return error
        finally:
            answer.asking = False
            overdue.cancel()
            await _cancels_over()

    def _end_in_time(self, answer: Answer) -> asyncio.TimerHandle:
        total = self._limits.answer_timeout
        late = ProviderError(
            "provider_timeout", f"the answer took longer than {total:g} s (XIONIMUS_ANSWER_TIMEOUT)", retryable=True
        )
        return asyncio.get_running_loop().call_at(answer.started_at + total, answer.stop, late)

    async def _begin(self, answer: Answer) -> None:
        """Before the provider is asked: cancelled in between, nobody would know whether the start is in the log."""
        try:
            await self._store.begin(answer.message, answer.claim, self._start_of(answer))
            answer.begun = True
        except StorageUnavailable as unavailable:
            answer.stop(unavailable)

    async def _ask(self, answer: Answer, draft: Draft) -> None:
        """From the provider to the draft, until it is done; raises what went wrong."""
        answer.prompt = answer.prompt or await self._store.turns(answer.message)
        try:
            await self._try(answer, draft)
        except ProviderError as error:
            tried = (answer.message.provider, answer.message.model)
            if self._fallback is None or self._fallback == tried or draft.has_text:
                raise
            provider, model = self._fallback
            answer.message = replace(answer.message, provider=provider, model=model)
            self._tell_retrying(answer, draft, answer.attempt, 0, error)
            await self._try(answer, draft)

    async def _try(self, answer: Answer, draft: Draft) -> None:
        """Ask the provider, again if it fails before its first text and may do better later."""
        for attempt in range(1, self._limits.attempts + 1):
            answer.attempt = attempt
            try:
                return await self._attempt(answer, draft)
            except ProviderError as error:
                too_long = (error.retry_after or 0) > self._limits.max_delay
                if attempt == self._limits.attempts or draft.has_text or not error.retryable or too_long:
                    raise
                delay = self._delay(attempt, error)
                self._tell_retrying(answer, draft, attempt, delay, error)
                await asyncio.sleep(delay)

    async def _attempt(self, answer: Answer, draft: Draft) -> None:
        message = answer.message
        assert message.provider is not None
        assert message.model is not None
        prompt = Prompt(
            model=message.model,
            turns=answer.prompt,
            system=message.options.system,
            ultra_thinking=message.options.ultra_thinking,
            max_tokens=message.options.max_tokens,
            temperature=message.options.temperature,
            api_key=answer.api_keys.get(message.provider),
            heard=answer.heard,
        )
        answer.heard()
        stream = self._providers[message.provider].stream(prompt)
        # aclosing: leaving the loop closes the vendor's connection now, not when garbage is collected.
        async with Patience(answer, self._limits), aclosing(cast(AsyncGenerator[Delta, None], stream)) as deltas:
            async for delta in deltas:
                self._take(answer, draft, delta)
                if draft.size > self._limits.max_characters:
                    draft.finish = Finish("length")
                    return
                if draft.congested:
                    await draft.settle()
        if draft.finish is None:
            raise ProviderError("provider_truncated", "the answer ended without saying so", retryable=True)

    def _take(self, answer: Answer, draft: Draft, delta: Delta) -> None:
        answer.heard()
        if answer.first_text_at is None and isinstance(delta, Text):
            answer.first_text_at = answer.heard_at
        draft.add(delta)

    def _delay(self, attempt: int, error: ProviderError) -> float:
        """Seconds: as long as the provider asked, or twice as long each time; give or take a half."""
        limits = self._limits
        delay = limits.first_delay * (1 << (attempt - 1)) * (0.5 + self._jitter())
        return round(min(max(delay, error.retry_after or 0), limits.max_delay), 3)

    def _tell_retrying(self, answer: Answer, draft: Draft, attempt: int, delay: float, error: ProviderError) -> None:
        message = answer.message
        draft.think_anew()
        draft.finish = draft.usage = None
        draft.tell(transcript.retrying(message, attempt, delay, provider_problem(message, error)))

    async def _finish(self, answer: Answer, draft: Draft, failure: BaseException | None) -> None:
        """Keep the answer as it ended. If the storage does not take it, try until it does."""
        entries = await draft.rest()
        delay = 0.1
        error = answer.stopped or failure
        while True:
            message = self._ended(answer, draft, error)
            start = [] if answer.begun else [self._start_of(answer)]
            try:
                await self._store.finish(message, answer.claim, [*start, *entries, transcript.ended(message)])
                self.tally.end(message)
                return
            except StorageUnavailable as unavailable:
                if isinstance(answer.stopped, Interrupted):
                    raise  # there is no later; recovery will do it
                logger.warning("an answer waits for the storage: %s", unavailable.detail, extra=named(answer.message))
                await asyncio.sleep(delay)
                delay = min(delay * 2, 1.0)

    def _ended(self, answer: Answer, draft: Draft, error: BaseException | None) -> Message:
        return replace(
            answer.message,
            content=draft.content,
            thinking=draft.thinking,
            sources=tuple(draft.sources),
            usage=usage_of(draft, answer.prompt),
            timings=self._timings(answer),
            finished_at=timestamp(self._clock()),
            **outcome(answer.message, draft, error),
        )

    def _timings(self, answer: Answer) -> dict[str, Any]:
        first = answer.first_text_at
        return {
            "first_token_ms": None if first is None else round((first - answer.started_at) * 1000, 1),
            "total_ms": round((self._time() - answer.started_at) * 1000, 1),
        }

    def _start_of(self, answer: Answer) -> Any:
        return transcript.start(answer.message, timestamp(self._clock()))

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()


async def _cancels_over() -> None:
    """If this task was told to cancel and has not done so yet, it does so here, where it is caught.

    It may have told itself: an append that failed stops the answer, in the midst of its own `settle`.
    """
    if _told_to_cancel():
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)


def _told_to_cancel() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
