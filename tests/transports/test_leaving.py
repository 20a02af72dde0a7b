"""Who waits for somebody is told when that one leaves, and nothing goes on behind."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from server.transports.leaving import unless_gone

pytestmark = pytest.mark.anyio


class Client:
    """What comes of it; then nothing more, until it leaves."""

    def __init__(self, *messages: Message) -> None:
        self._messages = list(messages)
        self.left = asyncio.Event()

    async def receive(self) -> Message:
        if self._messages:
            return self._messages.pop(0)
        await self.left.wait()
        return {"type": "http.disconnect"}


class Work:
    """Something that takes a while."""

    def __init__(self, seconds: float = 30.0) -> None:
        self.cleaned_up = False
        self._seconds = seconds

    async def run(self) -> str:
        try:
            await asyncio.sleep(self._seconds)
        finally:
            await asyncio.sleep(0)
            self.cleaned_up = True
        return "done"


BODY: Message = {"type": "http.request", "body": b"{", "more_body": True}


async def test_who_stays_gets_what_was_waited_for() -> None:
    client, before = Client(), asyncio.all_tasks()
    assert await unless_gone(client.receive, Work(0.01).run()) == "done"
    assert asyncio.all_tasks() == before


async def test_a_failure_is_raised() -> None:
    async def failing() -> None:
        raise LookupError

    before = asyncio.all_tasks()
    with pytest.raises(LookupError):
        await unless_gone(Client().receive, failing())
    assert asyncio.all_tasks() == before


async def test_for_who_leaves_nothing_is_waited_for() -> None:
    client, work, before = Client(BODY, BODY), Work(), asyncio.all_tasks()
    asyncio.get_running_loop().call_later(0.01, client.left.set)
    assert await asyncio.wait_for(unless_gone(client.receive, work.run()), 10) is None
    assert work.cleaned_up
    assert asyncio.all_tasks() == before


async def test_to_be_cancelled_leaves_nothing_behind() -> None:
    work, before = Work(), asyncio.all_tasks()
    waiting = asyncio.create_task(unless_gone(Client().receive, work.run()))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.cleaned_up
    assert asyncio.all_tasks() == before
