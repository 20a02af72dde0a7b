"""The port to where sessions and messages are kept.

Everything that changes more than one thing is one transaction here, together with its events.
`owner` is the caller a session belongs to; what belongs to another does not exist (NotFound).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal, Protocol

from server.chat.models import History, Message, MessageAt, OnBusy, Options, Session, Sessions
from server.chat.provider import Turn
from server.streaming.events import Entry
from server.streaming.log import Claim, Stream
from server.streaming.values import value

ROOT: Literal["root"] = "root"  # as a parent: the question begins the conversation anew


@value
class Idempotency:
    """A key of the caller's, and a digest of the request it came with."""

    key: str
    digest: str


@value
class NewAnswer:
    """An answer to be accepted, with everything about it that needs no look at the store."""

    owner: str
    message_id: str
    claim: Claim
    provider: str
    model: str
    options: Options
    on_busy: OnBusy
    idempotency: Idempotency | None
    timestamp: str


@value
class NewQuestion:
    session_id: str
    message_id: str
    content: str
    parent_id: str | None  # None: goes on from the newest message; ROOT: from nowhere
    client_id: str | None = None


@value
class Accepted:
    """`replayed`: the key was known, this is what it stands for. `busy`: what has to end before it starts."""

    question: Message
    answer: Message
    replayed: bool = False
    busy: Sequence[str] = ()


@value
class Unfinished:
    """An answer that has not ended and that nobody writes any more."""

    message: Message
    claim: Claim
    cancel_requested: bool
    started: bool


class Store(Protocol):
    """Raises, besides what is named: StorageUnavailable when the storage does not do its part."""

    def ask(self, question: NewQuestion, answer: NewAnswer) -> asyncio.Future[Accepted]:
        """Keep a question and the promise of an answer; the session is created if it is not there.

        Begun with the call. Raises (through the future) Busy (only for `reject`), Overloaded (too many wait in
        the session), Invalid (parent_id), IdempotencyKeyReused.
        """
        ...

    def ask_again(self, message_id: str, answer: NewAnswer) -> asyncio.Future[Accepted]:
        """The promise of another answer to the question of `message_id`. Raises NotFound too."""
        ...

    async def replay(self, owner: str, known: Idempotency | None) -> Accepted | None:
        """What a key stands for already; None without one. Raises IdempotencyKeyReused."""
        ...

    async def turns(self, message: Message) -> Sequence[Turn]:
        """The path from the root to the question that `message` answers. Raises ProviderError if it is longer than
        any model takes.
        """
        ...

    async def begin(self, message: Message, claim: Claim, entry: Entry) -> None:
        """Append the start of an answer that had to wait. Raises Fenced."""
        ...

    async def finish(self, message: Message, claim: Claim, entries: Sequence[Entry]) -> None:
        """Append the last events, keep the message as it ended, end the claim. Raises Fenced."""
        ...

    async def request_cancel(self, message_id: str) -> None:
        """Record that somebody wants the answer stopped, before it is."""
        ...

    async def unfinished(self, message_id: str | None = None) -> Sequence[Unfinished]:
        """The answers that have not ended, oldest first; only that one, if it is named."""
        ...

    async def message(self, owner: str, message_id: str) -> MessageAt: ...

    async def find(self, owner: str, message_id: str) -> Message:
        """As `message`, but without the text so far of one that is being written: that is in its events."""
        ...

    async def history(self, owner: str, session_id: str, before: str | None, limit: int) -> History:
        """The newest messages before message `before`: at most `limit`, fewer if they are long, but always one.

        Raises Invalid for an unknown `before`.
        """
        ...

    async def stream_of(self, owner: str, session_id: str) -> Stream: ...

    async def sessions(self, owner: str, query: str, before: str | None, limit: int) -> Sessions:
        """Newest first; with a query, those whose title or text contains it."""
        ...

    async def session(self, owner: str, session_id: str) -> Session: ...

    async def create_session(self, owner: str, session_id: str, title: str, timestamp: str) -> Session:
        """Raises Invalid if the id is taken."""
        ...

    async def rename_session(self, owner: str, session_id: str, title: str) -> Session: ...

    async def hide_session(self, owner: str, session_id: str) -> tuple[Stream, Sequence[str]]:
        """Take the session out of its owner's sight; its stream, and the answers still to be stopped."""
        ...

    async def purge_session(self, stream: Stream) -> None:
        """Tell the readers of a hidden session that it is gone, then delete what it held."""
        ...

    async def hidden_sessions(self) -> Sequence[Stream]:
        """Those hidden and not purged, in which no answer is being written any more."""
        ...

    async def expire(self, cutoff: str) -> None:
        """Delete the events of answers that ended before `cutoff`, oldest first; and old idempotency keys."""
        ...
