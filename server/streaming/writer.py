"""Group commit: whatever is pending when the last commit is through goes into the next one.

A quiet server commits each job alone and at once; a busy one commits many together, and so gets faster per job the
more there is to do. Behind a commit of several jobs the next one waits a moment: most of a commit costs the same for
one job as for ten, and where there were several, more are coming.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any, Generic, TypeVar

from server.streaming.measures import SECONDS, SIZES, Histogram

Job = TypeVar("Job")

MAX_BATCH = 1_000
GATHER = 0.001  # seconds


class WriterTally:
    """What a writer has done so far."""

    def __init__(self) -> None:
        self.commits = 0
        self.jobs = Histogram(SIZES)
        self.seconds = Histogram(SECONDS)


class Closed(Exception):
    """The writer takes nothing more."""


class GroupCommit(Generic[Job]):
    """One task that hands batches of jobs to `commit`, in the order they were submitted.

    `commit` answers with one outcome for each job: a value, or an exception for that job alone. If
    it raises, the whole batch failed with what it raised.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Job]], Awaitable[Sequence[Any]]],
        max_batch: int = MAX_BATCH,
        gather: float = GATHER,
    ) -> None:
        self.tally = WriterTally()
        self.pause = 0.0  # seconds before the next commit; `commit` may set it, for once
        self._commit = commit
        self._max_batch = max_batch
        self._gather = gather
        self._pending: deque[tuple[Job, asyncio.Future[Any]]] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    @property
    def depth(self) -> int:
        return len(self._pending)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="group-commit")

    def submit(self, job: Job) -> asyncio.Future[Any]:
        """The future resolves when the job is committed; cancelling the future does not undo the job."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(Closed("the writer is closed"))
        else:
            self._pending.append((job, future))
            self._wake.set()
        return future

    async def aclose(self) -> None:
        """Commit what is pending, then end the task."""
        self._closed = True
        self._wake.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while True:
            if not self._pending:
                if self._closed:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            together = await self._commit_batch()
            pause, self.pause = max(self.pause, self._gather if together > 1 else 0.0), 0.0
            if pause and not self._closed:
                await asyncio.sleep(pause)

    async def _commit_batch(self) -> int:
        """How many jobs were in it."""
        count = min(len(self._pending), self._max_batch)
        batch = [self._pending.popleft() for _ in range(count)]
        began = monotonic()
        outcomes = await self._outcomes(batch)
        self._count(len(batch), monotonic() - began)
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if not future.done():
                _resolve(future, outcome)
        return count

    def _count(self, jobs: int, seconds: float) -> None:
        self.tally.commits += 1
        self.tally.jobs.add(jobs)
        self.tally.seconds.add(seconds)

    async def _outcomes(self, batch: Sequence[tuple[Job, asyncio.Future[Any]]]) -> Sequence[Any]:
        try:
            return await self._commit([job for job, _ in batch])
        except Exception as error:
            return [error] * len(batch)


def _resolve(future: asyncio.Future[Any], outcome: Any) -> None:
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
