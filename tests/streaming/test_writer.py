import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from server.streaming.writer import Closed, GroupCommit

pytestmark = pytest.mark.anyio


class Disk:
    """What jobs are committed to. A commit waits until it is let through; some fail."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun = asyncio.Event()
        self.free = asyncio.Event()
        self.free.set()
        self.full = False

    async def commit(self, jobs: Sequence[int]) -> Sequence[Any]:
        self.begun.set()
        await self.free.wait()
        if self.full:
            raise OSError("disk full")
        self.batches.append(list(jobs))
        return [ValueError(job) if job < 0 else job * 10 for job in jobs]


async def busy(disk: Disk, writer: GroupCommit[int]) -> asyncio.Future[Any]:
    """A commit that is under way, until the disk is free."""
    disk.begun.clear()
    disk.free.clear()
    first: asyncio.Future[Any] = writer.submit(0)
    await disk.begun.wait()
    return first


async def test_a_quiet_writer_commits_each_job_at_once() -> None:
    disk = Disk()
    writer = GroupCommit(disk.commit, gather=3_600)
    writer.start()
    assert [await writer.submit(job) for job in (1, 2, 3)] == [10, 20, 30]
    assert disk.batches == [[1], [2], [3]]
    await writer.aclose()


async def test_while_it_pauses_more_goes_into_the_next_commit() -> None:
    disk = Disk()
    writer = GroupCommit(disk.commit)
    writer.pause = 0.05
    writer.start()
    await writer.submit(1)
    waiting = [writer.submit(2)]
    for job in (3, 4):
        await asyncio.sleep(0)
        waiting.append(writer.submit(job))
    await asyncio.gather(*waiting)
    assert disk.batches == [[1], [2, 3, 4]]
    assert writer.pause == 0  # for once
    await writer.aclose()


async def test_behind_a_commit_of_several_jobs_it_waits_for_more() -> None:
    disk = Disk()
    writer = GroupCommit(disk.commit, gather=0.05)
    writer.start()
    await asyncio.gather(*[writer.submit(job) for job in (1, 2)])
    waiting = []
    for job in (3, 4, 5):
        waiting.append(writer.submit(job))
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert disk.batches == [[1, 2], [3, 4, 5]]
    await writer.aclose()


async def test_what_is_pending_goes_into_one_commit_in_order() -> None:
    disk = Disk()
    writer = GroupCommit(disk.commit)
    writer.start()
    await busy(disk, writer)
    waiting = [writer.submit(job) for job in range(1, 50)]
    assert writer.depth == 49
    disk.free.set()
    assert await asyncio.gather(*waiting) == [job * 10 for job in range(1, 50)]
    assert disk.batches == [[0], list(range(1, 50))]
    await writer.aclose()


async def test_a_batch_has_a_largest_size() -> None:
    disk = Disk()
    writer = GroupCommit(disk.commit, max_batch=4)
    writer.start()
    await asyncio.gather(*[writer.submit(job) for job in range(10)])
    assert disk.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    await writer.aclose()


async def test_an_exception_as_outcome_fails_that_job_alone() -> None:
    disk = Disk()
    writer = GroupCommit(disk.commit)
    writer.start()
    outcomes = await asyncio.gather(*[writer.submit(job) for job in (1, -2, 3)], return_exceptions=True)
    assert disk.batches == [[1, -2, 3]]
    assert outcomes[::2] == [10, 30]
    assert isinstance(outcomes[1], ValueError)
    await writer.aclose()


async def test_a_commit_that_raises_fails_its_batch_and_the_next_goes_on() -> None:
    disk = Disk()
    writer = GroupCommit(disk.commit)
    writer.start()
    disk.full = True
    outcomes = await asyncio.gather(writer.submit(1), writer.submit(2), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["disk full", "disk full"]
    disk.full = False
    assert await writer.submit(3) == 30
    await writer.aclose()


async def test_who_no_longer_waits_takes_nothing_back() -> None:
    disk = Disk()
    writer = GroupCommit(disk.commit)
    writer.start()
    first = await busy(disk, writer)
    left, stays = writer.submit(1), writer.submit(2)
    first.cancel()
    left.cancel()
    disk.free.set()
    assert await stays == 20
    assert disk.batches == [[0], [1, 2]]
    await writer.aclose()


async def test_closing_commits_what_is_pending_and_takes_nothing_more() -> None:
    disk = Disk()
    writer = GroupCommit(disk.commit)
    writer.start()
    await busy(disk, writer)
    pending = writer.submit(1)
    closing = asyncio.create_task(writer.aclose())
    await asyncio.sleep(0)
    with pytest.raises(Closed):
        await writer.submit(2)
    disk.free.set()
    await closing
    assert await pending == 10
    assert disk.batches == [[0], [1]]


async def test_what_is_submitted_before_the_start_waits_for_it() -> None:
    disk = Disk()
    writer = GroupCommit(disk.commit)
    early = writer.submit(1)
    writer.start()
    assert await early == 10
    await writer.aclose()
    await writer.aclose()
