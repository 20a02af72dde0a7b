"""What the contract of an EventLog needs of each implementation."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from server.chat.models import new_message_id
from server.storage import event_log
from server.storage.transactions import Transaction
from server.streaming.log import Claim, EventLog, Stream
from server.streaming.memory import MemoryEventLog
from server.streaming.tail import Tail
from tests.storage.kept import NOON, OWNER, Kept, keep


class Harness(Protocol):
    @property
    def log(self) -> EventLog: ...

    async def create(self) -> Stream: ...

    async def grant(self) -> Claim:
        """A claim on a new message."""
        ...

    async def revoke(self, claim: Claim) -> None: ...


class MemoryHarness:
    def __init__(self) -> None:
        self.log = MemoryEventLog()
        self._streams = 0

    async def create(self) -> Stream:
        self._streams += 1
        self.log.create(self._streams)
        return self._streams

    async def grant(self) -> Claim:
        claim = Claim(new_message_id(), secrets.token_hex(8))
        self.log.claims.add(claim)
        return claim

    async def revoke(self, claim: Claim) -> None:
        self.log.claims.remove(claim)


class SqliteHarness:
    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self.log = kept.log

    async def create(self) -> Stream:
        session = new_message_id()
        await self.kept.store.create_session(OWNER, session, "", NOON)
        return await self.kept.store.stream_of(OWNER, session)

    async def grant(self) -> Claim:
        claim = Claim(new_message_id(), secrets.token_hex(8))
        await self._run("INSERT INTO claims (message_id, token) VALUES (?, ?)", claim)
        return claim

    async def revoke(self, claim: Claim) -> None:
        await self._run("DELETE FROM claims WHERE message_id = ? AND token = ?", claim)

    async def _run(self, query: str, claim: Claim) -> None:
        def body(transaction: Transaction) -> None:
            transaction.fetch_all(query, claim)

        await self.log.transact(body)


@asynccontextmanager
async def memory(folder: Path) -> AsyncIterator[Harness]:
    yield MemoryHarness()


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Harness]:
    async with keep(folder / "xionimus.db") as kept:
        yield SqliteHarness(kept)


@asynccontextmanager
async def sqlite_in_blocks(folder: Path) -> AsyncIterator[Harness]:
    """Nearly nothing is in memory, and what is read from the file is shared."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_log, "BLOCK", 4)
        patch.setattr(event_log, "Tail", partial(Tail, max_bytes=1))
        async with sqlite(folder) as harness:
            yield harness


IMPLEMENTATIONS = {"memory": memory, "sqlite": sqlite, "sqlite in blocks": sqlite_in_blocks}
