"""A reader's way through a session's log: `ready` first, then what follows the cursor, to the end of what
was asked for. A transport is its client: it frames and sends what it is handed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from time import monotonic
from typing import Literal, Protocol

from server.chat.errors import NotFound
from server.chat.models import Message, now, timestamp
from server.streaming.events import Cursor, Event, encode
from server.streaming.log import CursorReset, EventLog, Span, Stream, UnknownStream, follow
from server.streaming.values import value

ENDS = frozenset({"complete", "error"})
EVERYTHING = "0"  # as a cursor: from the first event that is kept

CutReason = Literal["draining", "max_age"]


class Cut(Exception):
    """The stream ends before what was asked for does: close it so that the client notices and comes back."""

    def __init__(self, reason: CutReason) -> None:
        super().__init__(reason)
        self.reason: CutReason = reason


@value
class Target:
    """What is read: a whole session, or the events of one of its answers."""

    session_id: str
    stream: Stream
    message: Message | None = None

    def chosen(self, batch: Sequence[Event]) -> tuple[Sequence[Event], bool]:
        """Those of a batch that are wanted; and whether the last one of all is among them, as their last."""
        if self.message is None:
            return batch, bool(batch) and batch[-1].type == "session" and b'"deleted":true' in batch[-1].json
        message_id = self.message.id
        wanted = [event for event in batch if event.message_id == message_id]
        return wanted, bool(wanted) and wanted[-1].type in ENDS


@value
class Page:
    """The answer to a long-poll: ask for what comes after `cursor` next, unless `done`."""

    events: Sequence[Event]
    cursor: Cursor
    done: bool


class Client(Protocol):
    """Who reads, over some transport, in some framing."""

    def offer(self, events: Sequence[Event]) -> int:
        """How many of the events went out at once; the first that would have had to wait, and the rest, did not."""
        ...

    async def write(self, events: Sequence[Event]) -> None:
        """Send events, waiting for room."""
        ...

    async def rest(self) -> bool:
        """Wait until `wake` is called, or (False) the client is gone."""
        ...

    def wake(self) -> None: ...


class Reader:
    """Reads one target from one cursor, for one client."""

    def __init__(
        self,
        log: EventLog,
        target: Target,
        after: str | None,
        active: Callable[[Stream], Sequence[str]],
        heartbeat: float,
        clock: Callable[[], datetime] = now,
    ) -> None:
        """`after` is the cursor as the client sent it. Raises BadCursor."""
        self.target = target
        self._log = log
        self._everything = after == EVERYTHING
        # What is not kept any more is then not missed, whenever it goes.
        self._whatever_is_kept = self._everything and target.message is None
        self._after = None if after is None or self._everything else Cursor.parse(after)
        self._active = active
        self._heartbeat = heartbeat
        self._clock = clock
        self._cut: CutReason | None = None
        self._client: Client | None = None
        self._opened: tuple[Span, Cursor, CursorReset | None] | None = None

    @property
    def from_first(self) -> bool:
        """Whether the client has read nothing yet, by its own word."""
        return self._after is None

    def cut(self, reason: CutReason) -> None:
        """End `run` with Cut, or `page` with what there is, soon."""
        self._cut = reason
        if self._client is None:
            self._log.wake(self.target.stream)
        else:
            self._client.wake()

    async def open(self) -> tuple[Span, Cursor, CursorReset | None]:
        """Find the place to begin at, while a failure can still be an answer of its own.

        Raises NotFound if the session is gone, StorageUnavailable.
        """
        try:
            span = await self._log.span(self.target.stream)
            self._opened = (span, *await self._begin(span))
        except UnknownStream:
            raise self._gone() from None
        return self._opened

    async def run(self, client: Client) -> None:
        """Send `ready`, then what follows, to the target's last event, or until the client is gone.

        Raises Cut, NotFound if the session goes away before the client could be told, what `open` raises, and
        what the client's `write` raises.
        """
        span, cursor, reset = self._opened or await self.open()
        self._client = client
        await client.write([self._ready(cursor, span)])
        while True:
            if reset is not None:
                await client.write([_reset(reset)])
            if self._over_at(cursor):
                return None
            following = _Following(self.target, client, cursor, lambda: self._cut)
            try:
                return await follow(self._log, self.target.stream, following)
            except _Ended:
                return None
            except UnknownStream:
                raise self._gone() from None
            except CursorReset as expired:  # under the reader, that far behind it was
                cursor, reset = expired.oldest, expired

    async def page(self, wait: float, limit: int, max_bytes: int) -> Page:
        """What there is after the cursor; if nothing, what comes within `wait` seconds.

        Raises CursorReset, and NotFound if the session is gone.
        """
        _, cursor, reset = self._opened or await self.open()
        if reset is not None:
            raise reset
        until = monotonic() + wait
        while True:
            try:
                return await self._page(cursor, until, limit, max_bytes)
            except CursorReset as expired:  # this very moment
                if not self._whatever_is_kept:
                    raise
                cursor = expired.oldest
            except UnknownStream:
                raise self._gone() from None

    async def _page(self, cursor: Cursor, until: float, limit: int, max_bytes: int) -> Page:
        while not self._over_at(cursor):
            batch = await self._log.read(self.target.stream, cursor, limit, max_bytes)
            wanted, ended = self.target.chosen(batch)
            cursor = (wanted or batch)[-1].cursor if batch else cursor
            if wanted:
                return Page(wanted, cursor, ended and self.target.message is not None)
            left = until - monotonic()
            if not batch and (left <= 0 or self._cut is not None):
                return Page((), cursor, False)
            if not batch:
                await self._log.wait(self.target.stream, cursor, left)
        return Page((), cursor, True)

    async def exhausted(self) -> bool:
        """Whether the answer has ended, and the client has its last event."""
        if self._after is None or not self._over_at(self._after):
            return False
        _, _, reset = self._opened or await self.open()
        return reset is None

    def _over_at(self, cursor: Cursor) -> bool:
        message = self.target.message
        return message is not None and message.last_seq is not None and cursor.seq >= message.last_seq

    def _gone(self) -> NotFound:
        return NotFound(f"there is no session {self.target.session_id}")

    async def _begin(self, span: Span) -> tuple[Cursor, CursorReset | None]:
        """Where to begin; and, if that is not where the client wanted to, why."""
        message = self.target.message
        first = span.oldest if message is None else message.after
        if self._after is None and message is None and not self._everything:
            return span.tail, None
        try:
            if self._after is not None:
                await self._log.read(self.target.stream, self._after, 1)
            if self._after is not None and self._after.seq >= first.seq:
                return self._after, None
            await self._log.read(self.target.stream, first, 1)
        except CursorReset as reset:
            return reset.oldest, None if self._whatever_is_kept else reset
        return first, None

    def _ready(self, cursor: Cursor, span: Span) -> Event:
        about = {
            "session_id": self.target.session_id,
            "cursor": str(cursor),
            "tail": str(span.tail),
            "active": list(self._active(self.target.stream)),
            "server_time": timestamp(self._clock()),
            "heartbeat": self._heartbeat,
        }
        return Event(cursor, "ready", encode(about))


class _Ended(Exception):
    """The target's last event is out."""


class _Following:
    """Between the log and a client: keeps the cursor, and lets through what the target wants."""

    __slots__ = ("_client", "_cut", "_ended", "_target", "after")

    def __init__(self, target: Target, client: Client, after: Cursor, cut: Callable[[], CutReason | None]) -> None:
        self.after = after
        self._target = target
        self._client = client
        self._cut = cut
        self._ended = False

    def take(self, events: Sequence[Event]) -> bool:
        wanted, ended = self._target.chosen(events)
        sent = self._client.offer(wanted) if wanted else 0
        if sent < len(wanted):
            if sent:
                self.after = wanted[sent - 1].cursor
            return False
        self.after = events[-1].cursor
        self._ended = ended
        return not ended

    async def write(self, events: Sequence[Event]) -> None:
        wanted, ended = self._target.chosen(events)
        if wanted:
            await self._client.write(wanted)
        self.after = events[-1].cursor
        self._check(ended)

    async def rest(self) -> bool:
        self._check(self._ended)
        here = await self._client.rest()
        self._check(self._ended)
        return here

    def wake(self) -> None:
        self._client.wake()

    def _check(self, ended: bool) -> None:
        if ended:
            raise _Ended
        reason = self._cut()
        if reason is not None:
            raise Cut(reason)


def _reset(reset: CursorReset) -> Event:
    return Event(reset.oldest, "reset", encode({"reason": reset.reason, "cursor": str(reset.oldest)}))
