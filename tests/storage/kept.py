"""A database file with everything over it that has no need of a server, for tests that look inside."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from server.chat import transcript
from server.chat.models import Message, OnBusy, Options, new_message_id
from server.chat.store import Accepted, Idempotency, NewAnswer, NewQuestion
from server.storage.database import Database
from server.storage.event_log import SqliteEventLog
from server.storage.migrations import migrate
from server.storage.store import SqliteStore
from server.streaming.events import Cursor, Event
from server.streaming.log import Claim, Stream

OWNER = "somebody"
NOON = "2026-01-01T12:00:00.000Z"


@dataclass
class Kept:
    database: Database
    log: SqliteEventLog
    store: SqliteStore
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self.database.read(lambda connection: connection.fetch_all(query, values))]

    def new_answer(
        self,
        owner: str = OWNER,
        on_busy: OnBusy = "reject",
        key: str | None = None,
        digest: str = "digest",
        at: str = NOON,
        options: Options | None = None,
    ) -> NewAnswer:
        message_id = new_message_id()
        return NewAnswer(
            owner=owner,
            message_id=message_id,
            claim=Claim(message_id, f"token-{next(self.ids)}"),
            provider="demo",
            model="demo-1",
            options=options or Options(),
            on_busy=on_busy,
            idempotency=Idempotency(key, digest) if key else None,
            timestamp=at,
        )

    @staticmethod
    def question(
        content: str, session: str = "s", parent: str | None = None, client_id: str | None = None
    ) -> NewQuestion:
        return NewQuestion(session, new_message_id(), content, parent, client_id)

    async def ask(
        self, content: str, session: str = "s", parent: str | None = None, answer: NewAnswer | None = None
    ) -> tuple[Accepted, NewAnswer]:
        answer = answer or self.new_answer()
        return await self.store.ask(self.question(content, session, parent), answer), answer

    async def answer(self, content: str, reply: str, session: str = "s", **how: Any) -> Message:
        """A question and its whole answer; the answer as it ended."""
        at = how.pop("at", NOON)
        accepted, new = await self.ask(content, session, how.pop("parent", None), self.new_answer(at=at, **how))
        return await self.finish(accepted, new.claim, reply, at)

    async def finish(self, accepted: Accepted, claim: Claim, reply: str, at: str = NOON) -> Message:
        message = accepted.answer
        parts = [(start, reply[start : start + 7]) for start in range(0, len(reply), 7)]
        for number, (offset, part) in enumerate(parts, 1):
            await self.log.append(message.stream, [transcript.chunk(message.id, number, offset, part)], claim)
        ended = replace(message, content=reply, status="completed", finish_reason="stop", finished_at=at)
        await self.store.finish(ended, claim, [transcript.ended(ended)])
        return (await self.store.message(OWNER, message.id)).message

    async def events(self, stream: Stream, after: Cursor | None = None) -> list[Event]:
        """All there are after a cursor, or from the oldest that is kept."""
        cursor = after or (await self.log.span(stream)).oldest
        found: list[Event] = []
        while batch := await self.log.read(stream, cursor):
            found += batch
            cursor = batch[-1].cursor
        return found


@asynccontextmanager
async def keep(path: Path, run: str | None = None) -> AsyncIterator[Kept]:
    """As one run of the program has it: a second one on the same file is the next run."""
    database = Database(path)
    await database.connect()
    try:
        await database.write(migrate)
        log = SqliteEventLog(database, run)
        log.start()
        yield Kept(database, log, SqliteStore(database, log, max_queued=3))
        await log.aclose()
    finally:
        await database.disconnect()


def seqs(events: Sequence[Event]) -> list[int]:
    return [event.cursor.seq for event in events]


def types(events: Sequence[Event]) -> list[str]:
    return [event.type for event in events]


def said(event: Event) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(event.json)
    return fields
