"""The log of events, and the one function that every transport reads it with.

Rules, for every implementation (tests/contracts/test_event_log.py):

1. `seq` counts from 1 in each stream, without gaps, in the order of the calls of `append`.
2. Durable, then visible: an event can be read only once it would survive `kill -9`.
3. `append` is all or none. With a claim that is not held, or no longer, it is none.
4. A read gives what comes after the cursor, in order, or refuses the cursor; it never guesses.
5. `wait` may wake for nothing, and never sleeps through something.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Literal, NamedTuple, Protocol

from server.streaming.events import Cursor, Entry, Event
from server.streaming.values import value

_json_of = attrgetter("json")

Stream = int  # the key of a session's log, never used twice

Entries = Sequence[Entry] | Callable[[], Sequence[Entry]]
"""What is to be appended; or what gives it (perhaps nothing) when its turn has come, so that what arrives until then
goes along. Called once at the most, it must not raise.
"""

PAGE = 500
PAGE_BYTES = 1 << 20
BATCH = 256  # what one follower holds at a time: events,
BATCH_BYTES = 1 << 16  # and bytes of JSON, if a single event is not longer


class Claim(NamedTuple):
    """The right to write about one message; whoever finishes the message ends it."""

    message_id: str
    token: str


class Fenced(Exception):
    """The claim is not held: the message has ended, or somebody else writes it now."""


class UnknownStream(Exception):
    """There is no such log (any more)."""


class CursorReset(Exception):
    """The cursor does not point into this log; `oldest` is the place before the first event kept."""

    def __init__(self, reason: Literal["epoch", "ahead", "expired"], oldest: Cursor) -> None:
        super().__init__(reason)
        self.reason = reason
        self.oldest = oldest


@value
class Span:
    """What a log holds: everything after `oldest`, up to and including `tail`."""

    oldest: Cursor
    tail: Cursor


class EventLog(Protocol):
    def append(self, stream: Stream, entries: Entries, claim: Claim | None = None) -> asyncio.Future[Sequence[Event]]:
        """Queue `entries` at once, in the order of calls; the future resolves when they are durable.

        Raises (through the future) Fenced, UnknownStream, or what the storage raised.
        """
        ...

    async def span(self, stream: Stream) -> Span:
        """Raises UnknownStream."""
        ...

    async def read(
        self, stream: Stream, after: Cursor, limit: int = PAGE, max_bytes: int = PAGE_BYTES
    ) -> Sequence[Event]:
        """At most `limit` events after `after`, and not more than `max_bytes` of JSON unless the first is longer.

        It may be fewer, but none only at the tail. Raises CursorReset, UnknownStream.
        """
        ...

    async def wait(self, stream: Stream, after: Cursor, timeout: float) -> None:
        """Return when there may be something after `after`, at the latest after `timeout` seconds."""
        ...

    def wake(self, stream: Stream) -> None:
        """Let everybody who waits on the stream return now."""
        ...

    def attach(self, stream: Stream, sink: Sink) -> bool:
        """Hand `sink` whatever is appended from now on, as soon as it is durable, while it takes it.

        If `take` returns False, or the log is closed, `sink` is detached and woken once. False, and nothing is
        attached, if there is something after `sink.after` already.
        """
        ...

    def detach(self, stream: Stream, sink: Sink) -> None: ...


class Sink(Protocol):
    """Who follows a log. `after` is the last place it has taken; it moves that on itself."""

    after: Cursor

    def take(self, events: Sequence[Event]) -> bool:
        """Take events (at least one) now, without waiting.

        False if not all could be taken: `after` tells how far it got. Raising is the same.
        """
        ...

    async def write(self, events: Sequence[Event]) -> None:
        """Take events, waiting for room as long as it needs."""
        ...

    async def rest(self) -> bool:
        """Wait until `wake` is called; False ends the following."""
        ...

    def wake(self) -> None: ...


async def follow(log: EventLog, stream: Stream, sink: Sink) -> None:
    """Give `sink` what comes after `sink.after`, in order, once: read until there is nothing, then be handed it.

    Who has caught up costs the writer a call a batch, and no task is woken. Who cannot take it at once is
    left alone with its cursor, and reads on from there when it can. Raises what `read` raises.
    """
    going_on = True
    while going_on:
        batch = await log.read(stream, sink.after, BATCH, BATCH_BYTES)
        if batch:
            await sink.write(batch)
            # It may all have come from memory and gone into a buffer: let the others run.
            await asyncio.sleep(0)
        elif log.attach(stream, sink):
            try:
                going_on = await sink.rest()
            finally:
                log.detach(stream, sink)


def at_most(batch: Sequence[Event], max_bytes: int) -> Sequence[Event]:
    """As many events as fit, but always one."""
    if sum(map(len, map(_json_of, batch))) <= max_bytes:
        return batch
    size = 0
    for place, event in enumerate(batch):
        size += len(event.json)
        if place and size > max_bytes:
            return batch[:place]
    return batch
