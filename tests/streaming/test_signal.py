from __future__ import annotations

import asyncio

import pytest

from server.streaming.signal import Signal

pytestmark = pytest.mark.anyio


async def test_who_waits_is_let_go_when_it_is_set() -> None:
    signal = Signal()
    waiting = [asyncio.create_task(signal.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not signal.is_set()
    assert not any(task.done() for task in waiting)
    signal.set()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)


async def test_once_set_nobody_waits_until_it_is_cleared() -> None:
    signal = Signal()
    signal.set()
    await asyncio.wait_for(signal.wait(), 5)
    signal.clear()
    waiting = asyncio.create_task(signal.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    signal.set()
    await asyncio.wait_for(waiting, 5)


async def test_one_that_gives_up_takes_nothing_from_the_others() -> None:
    signal = Signal()
    leaving, staying = [asyncio.create_task(signal.wait()) for _ in range(2)]
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert len(signal._waiters) == 1
    signal.set()
    await asyncio.wait_for(staying, 5)


async def test_a_wait_that_is_closed_in_the_middle_leaves_nothing() -> None:
    signal = Signal()
    waiting = signal.wait()
    waiting.send(None)
    waiting.close()
    assert not signal._waiters
