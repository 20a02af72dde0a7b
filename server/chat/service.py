"""What people can do: ask, ask again, stop, read, and keep house with sessions.

The API turns requests into these calls; nothing here knows about HTTP.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import asdict, field, replace
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from server.chat.answer import Answer
from server.chat.errors import (
    ChatError,
    Draining,
    Invalid,
    NotActive,
    NotFound,
    Overloaded,
    ProviderNotConfigured,
    RateLimited,
    UnknownModel,
)
from server.chat.generator import Generator
from server.chat.models import (
    History,
    Message,
    MessageAt,
    OnBusy,
    Options,
    Session,
    Sessions,
    new_message_id,
    now,
    timestamp,
)
from server.chat.provider import Providers, Turn
from server.chat.reading import Reader, Target
from server.chat.store import Accepted, Idempotency, NewAnswer, NewQuestion, Store
from server.streaming.log import Claim, EventLog
from server.streaming.values import value

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

STOP_WITHIN = 0.5  # seconds
ACCEPTING = 1.0  # seconds that requests under way get at least when the server stops


@value
class How:
    """How a question is to be answered; None means the configured default.

    `options` are those fields of Options that are said. What is left out is the default, or, where an answer is
    asked for again, as it was.
    """

    provider: str | None = None
    model: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    on_busy: OnBusy = "reject"
    api_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    idempotency_key: str | None = None


@value
class Question:
    session_id: str
    content: str
    parent_id: str | None = None
    client_id: str | None = None


class ChatService:
    def __init__(
        self,
        log: EventLog,
        store: Store,
        generator: Generator,
        providers: Providers,
        *,
        heartbeat: float,
        max_answers: int,
        retention: timedelta,
        max_answers_each: int | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        """`max_answers` being written at once in all, `max_answers_each` for one owner (None: no limit)."""
        self.providers = providers
        self.draining = False
        self._log = log
        self._store = store
        self._heartbeat = heartbeat
        self._generator = generator
        self._max_answers = max_answers
        self._max_answers_each = max_answers_each
        self._accepting: Counter[str] = Counter()
        self._retention = retention
        self._clock = clock
        self._under_way: set[asyncio.Future[Any]] = set()

    @property
    def answers(self) -> int:
        """How many are being written or waiting."""
        return self._generator.count

    # Answers.

    async def ask(self, owner: str, question: Question, how: How) -> Accepted:
        """Keep a question and start its answer.

        Raises what Store.ask raises, UnknownModel, ProviderNotConfigured, Draining, Overloaded and RateLimited.
        """
        said = {"session_id": question.session_id, "content": question.content, "parent_id": question.parent_id}
        new = NewQuestion(
            question.session_id,
            new_message_id(),
            question.content,
            question.parent_id,
            question.client_id,
        )
        known = _idempotency("ask", said, how)
        return await self._accept(owner, how, known, lambda answer: self._store.ask(new, answer))

    async def ask_again(self, owner: str, message_id: str, how: How) -> Accepted:
        """Start another answer to the question that `message_id` is, or answers.

        What `how` leaves open is as it was. Raises NotFound, and what `ask` raises.
        """
        # What is not said is as it was, and what is said may be the default: not the same.
        known = _idempotency("ask_again", {"message_id": message_id, "says": sorted(how.options)}, how)
        earlier = await self._store.find(owner, message_id)
        if earlier.role == "assistant":
            how = _as_before(earlier, how)
        return await self._accept(owner, how, known, lambda answer: self._store.ask_again(message_id, answer))

    async def cancel(self, owner: str, message_id: str) -> Message:
        """Stop an answer, wherever it is; the message as it ended. Raises NotFound, NotActive."""
        message = await self._store.find(owner, message_id)
        if message.role != "assistant":
            raise NotActive("a question cannot be stopped; stop the answer to it")
        if message.status == "streaming":
            await self._carry_through(self._cancel(message_id))
        return (await self.message(owner, message_id)).message

    async def ended(self, message_id: str, timeout: float) -> bool:
        """Whether an answer ends within `timeout` seconds, or has ended."""
        return await self._generator.ended(message_id, timeout)

    # Reading.

    async def message(self, owner: str, message_id: str) -> MessageAt:
        return await self._store.message(owner, message_id)

    async def find(self, owner: str, message_id: str) -> Message:
        """Without the text so far of one that is being written. Raises NotFound."""
        return await self._store.find(owner, message_id)

    async def history(self, owner: str, session_id: str, before: str | None, limit: int) -> History:
        return await self._store.history(owner, session_id, before, limit)

    async def read_session(self, owner: str, session_id: str, after: str | None) -> Reader:
        """Raises NotFound, BadCursor."""
        stream = await self._store.stream_of(owner, session_id)
        return self._reader(Target(session_id, stream), after)

    async def read_message(self, owner: str, message_id: str, after: str | None) -> Reader:
        """Raises NotFound (also for a question: it has no events of its own), BadCursor."""
        message = await self._store.find(owner, message_id)
        if message.role != "assistant":
            raise NotFound(f"message {message_id} is a question; read the answer to it, or the session")
        return self.read_answer(message, after)

    def read_answer(self, message: Message, after: str | None = None) -> Reader:
        return self._reader(Target(message.session_id, message.stream, message), after)

    def _reader(self, target: Target, after: str | None) -> Reader:
        return Reader(self._log, target, after, self._generator.active, self._heartbeat, self._clock)

    # Sessions.

    async def sessions(self, owner: str, query: str, before: str | None, limit: int) -> Sessions:
        return await self._store.sessions(owner, query, before, limit)

    async def session(self, owner: str, session_id: str) -> Session:
        return await self._store.session(owner, session_id)

    async def create_session(self, owner: str, session_id: str | None, title: str) -> Session:
        if self.draining:
            raise Draining("the server is about to stop; try again in a moment")
        session_id = session_id or secrets.token_urlsafe(16)
        return await self._store.create_session(owner, session_id, title, timestamp(self._clock()))

    async def open_session(self, owner: str, session_id: str) -> Session:
        """The session, created if it is not there."""
        with suppress(NotFound):
            return await self._store.session(owner, session_id)
        with suppress(Invalid):  # somebody else creates it this very moment
            return await self.create_session(owner, session_id, "")
        return await self._store.session(owner, session_id)

    async def rename_session(self, owner: str, session_id: str, title: str) -> Session:
        return await self._store.rename_session(owner, session_id, title)

    async def delete_session(self, owner: str, session_id: str) -> None:
        """Gone for its owner at once; its answers are stopped, its readers told, then its rows deleted."""
        await self._carry_through(self._delete(owner, session_id))

    # Housekeeping.

    async def keep_house(self) -> None:
        """Delete what is left of deleted sessions, and events of answers that ended longer ago than the retention."""
        for stream in await self._store.hidden_sessions():
            await self._store.purge_session(stream)
        await self._store.expire(timestamp(self._clock() - self._retention))

    async def drain(self, grace: float) -> None:
        """Accept nothing more, give the answers `grace` seconds, interrupt the rest."""
        self.draining = True
        until = monotonic() + grace
        if self._under_way:
            # What was accepted becomes an answer. Not for ever: somebody may wait for an answer to stop
            # that cannot be ended, since the storage fails.
            await asyncio.wait(self._under_way, timeout=max(grace, ACCEPTING))
        await self._generator.drain(max(until - monotonic(), 0))

    def _new_answer(self, owner: str, how: How, known: Idempotency | None) -> NewAnswer:
        if self.draining:
            raise Draining("the server is about to stop; try again in a moment")
        # Those that are not yet the generator's count too, or a burst would pass.
        if self.answers + self._accepting.total() >= self._max_answers:
            raise Overloaded(f"{self._max_answers} answers are being written already")
        provider, model = self.providers.resolve(how.provider, how.model, how.api_keys)
        limit = self._max_answers_each
        if limit is not None and self._generator.count_of(owner) + self._accepting[owner] >= limit:
            raise RateLimited(f"{limit} answers of yours are being written already")
        message_id = new_message_id()
        return NewAnswer(
            owner=owner,
            message_id=message_id,
            claim=Claim(message_id, secrets.token_hex(8)),
            provider=provider,
            model=model,
            options=Options(**how.options),
            on_busy=how.on_busy,
            idempotency=known,
            timestamp=timestamp(self._clock()),
        )

    async def _accept(
        self,
        owner: str,
        how: How,
        known: Idempotency | None,
        accept: Callable[[NewAnswer], asyncio.Future[Accepted]],
    ) -> Accepted:
        """A caller that goes away takes nothing back: what was accepted is answered."""
        try:
            answer = self._new_answer(owner, how, known)
        except (Draining, Overloaded, RateLimited, UnknownModel, ProviderNotConfigured):
            # Nothing new; but what was accepted before needs neither room nor a provider.
            accepted = await self._store.replay(owner, known)
            if accepted is None:
                raise
            return accepted
        self._accepting[owner] += 1
        accepting = self._own(accept(answer))
        accepting.add_done_callback(partial(self._accepted, answer, how))
        return await _in_any_case(accepting)

    def _accepted(self, answer: NewAnswer, how: How, accepting: asyncio.Future[Accepted]) -> None:
        self._accepting[answer.owner] -= 1
        if not self._accepting[answer.owner]:
            del self._accepting[answer.owner]
        if accepting.exception() is None and not accepting.result().replayed:
            self._start(accepting.result(), answer, how)

    def _start(self, accepted: Accepted, answer: NewAnswer, how: How) -> None:
        begun = not accepted.busy
        question = accepted.question
        # A question that begins a conversation is all there is to say; for others the store has the history.
        prompt = () if question.parent_id else (Turn("user", question.content),)
        self._generator.start(Answer(accepted.answer, answer.claim, how.api_keys, begun, answer.owner, prompt=prompt))
        if how.on_busy == "interrupt":
            for message_id in accepted.busy:
                self._own(asyncio.create_task(self._generator.cancel(message_id)))

    async def _cancel(self, message_id: str) -> None:
        # First what survives a crash; but nobody pays a vendor for as long as the storage hangs.
        requested = asyncio.ensure_future(self._store.request_cancel(message_id))
        await asyncio.wait([requested], timeout=STOP_WITHIN)
        self._generator.stop(message_id)
        await requested
        await self._generator.cancel(message_id)

    async def _delete(self, owner: str, session_id: str) -> None:
        stream, answers = await self._store.hide_session(owner, session_id)
        for message_id in answers:
            await self._generator.cancel(message_id)
        await self._store.purge_session(stream)

    async def _carry_through(self, work: Coroutine[Any, Any, Result]) -> Result:
        """A caller that goes away takes nothing back: what was begun is carried through."""
        return await _in_any_case(self._own(asyncio.create_task(work)))

    def _own(self, work: asyncio.Future[Result]) -> asyncio.Future[Result]:
        self._under_way.add(work)
        work.add_done_callback(self._under_way.discard)
        return work


async def _in_any_case(work: asyncio.Future[Result]) -> Result:
    """What comes of it; it goes on if nobody waits any more."""
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        work.add_done_callback(_noted)
        raise


def _noted(work: asyncio.Future[Any]) -> None:
    """Nobody waits for what it raises: a refusal is then no news, anything else is."""
    error = None if work.cancelled() else work.exception()
    if error is not None and not isinstance(error, ChatError):
        logger.error("what somebody had asked for and left failed", exc_info=error)


def _as_before(earlier: Message, how: How) -> How:
    same_provider = how.provider in (None, earlier.provider)
    return replace(
        how,
        provider=how.provider or earlier.provider,
        model=how.model or (earlier.model if same_provider else None),
        options={**asdict(earlier.options), **how.options},
    )


def _idempotency(what: str, said: Mapping[str, Any], how: How) -> Idempotency | None:
    """A request's key, and a digest of everything the request says but its keys: the same says the same."""
    if how.idempotency_key is None:
        return None
    asked = {"provider": how.provider, "model": how.model, "on_busy": how.on_busy, **asdict(Options(**how.options))}
    digest = hashlib.sha256(json.dumps([what, said, asked], sort_keys=True).encode()).hexdigest()
    return Idempotency(how.idempotency_key, digest)
