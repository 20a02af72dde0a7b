"""Does to the server what a bad day does: kills it, stops it, cuts its connections, takes its disk away.

One thing after the other, chosen by a seed; after everything the server is up again.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from time import monotonic, time

from tests.faults.history import History, Life, Trouble, Truncation
from tests.faults.relay import SIDES, Relay
from tests.faults.storage import Disk, locked, logs_in, truncate_wal
from tests.serving import ServerProcess


class Nemesis:
    """`patient`: hold locks and fill disks long enough that writes fail and do not just wait."""

    def __init__(
        self,
        server: ServerProcess,
        relay: Relay,
        disk: Disk,
        history: History,
        chance: random.Random,
        patient: bool,
    ) -> None:
        self.kills = 0
        self._server = server
        self._relay = relay
        self._disk = disk
        self._history = history
        self._chance = chance
        self._patient = patient
        self._life = Life(started=0)
        self._database = server.folder / "xionimus.db"

    async def start(self) -> None:
        self._life = Life(started=time())
        await asyncio.to_thread(self._server.start)
        self._life.up = time()
        self._history.add(self._life)

    async def torment(self, kills: int, seconds: float) -> None:
        """Until the server has been killed so many times, or the time is over."""
        until = monotonic() + seconds
        tricks: dict[Callable[[], Awaitable[None]], int] = {
            self.kill: 8,
            self.kill_while_stopped: 2,
            self.kill_and_truncate: 4,
            self.kill_twice: 2,
            self.terminate: 1,
            self.stop_and_continue: 2,
            self.cut: 6,
            self.hold: 2,
            self.lock: 2,
            self.fill_disk: 2,
        }
        while self.kills < kills and monotonic() < until:
            await asyncio.sleep(self._chance.uniform(0.05, 1.2))
            [trick] = self._chance.choices(list(tricks), list(tricks.values()))
            self._note(trick.__name__)
            await trick()

    # The process.

    async def kill(self) -> None:
        await self._kill()
        await self.start()

    async def kill_while_stopped(self) -> None:
        self._signal(signal.SIGSTOP)
        await asyncio.sleep(self._chance.uniform(0.05, 0.5))
        await self.kill()

    async def kill_twice(self) -> None:
        """The second time early in its life, perhaps while it recovers."""
        await self._kill()
        starting = asyncio.create_task(asyncio.to_thread(self._server.start))
        await asyncio.sleep(self._chance.uniform(0.3, 1.5))
        await self._kill(within_start=starting)
        await self.start()

    async def kill_and_truncate(self) -> None:
        await self._kill()
        before = await asyncio.to_thread(logs_in, self._database)
        frames = await asyncio.to_thread(truncate_wal, self._database, self._chance.uniform(0.3, 1.0))
        after = await asyncio.to_thread(logs_in, self._database)
        self._note(f"cut {frames} frames off the WAL")
        self._history.add(Truncation(at=time(), before=before, after=after))
        await self.start()

    async def terminate(self) -> None:
        await self.stop()
        await self.start()

    async def stop(self) -> None:
        self._life.terminated = time()
        await asyncio.to_thread(self._server.stop, signal.SIGTERM)
        self._life.ended = time()

    async def stop_and_continue(self) -> None:
        self._signal(signal.SIGSTOP)
        await asyncio.sleep(self._chance.uniform(0.1, 2.0))
        self._signal(signal.SIGCONT)

    # The network.

    async def cut(self) -> None:
        side = self._chance.choice(SIDES)
        count = self._relay.cut(side, self._chance.choice([0.3, 1.0]), self._chance)
        self._note(f"cut {count} connections on the side of the {side}")

    async def hold(self) -> None:
        await self._relay.hold(self._chance.uniform(0.1, 1.5))

    # The disk.

    async def lock(self) -> None:
        seconds = self._chance.uniform(6, 11) if self._patient else self._chance.uniform(0.2, 2)
        self._note(f"hold the lock for {seconds:.1f} s")
        with locked(self._database):
            await asyncio.sleep(seconds)

    async def fill_disk(self) -> None:
        await asyncio.to_thread(self._disk.fill, self._server.pid)
        await asyncio.sleep(self._chance.uniform(0.2, 3.0))
        if self._chance.random() < 0.3:
            await self._kill()
            self._disk.free(self._server.pid)
            await self.start()
        self._disk.free(self._server.pid)

    async def _kill(self, within_start: asyncio.Task[None] | None = None) -> None:
        await asyncio.to_thread(self._server.kill)
        self._life.ended = time()
        self.kills += 1
        if within_start is not None:
            # It was killed on its way, or just after it.
            await asyncio.wait([within_start])
            within_start.exception()

    def _signal(self, number: int) -> None:
        assert self._server.process is not None
        self._server.process.send_signal(number)

    def _note(self, what: str) -> None:
        self._history.add(Trouble(at=time(), what=what))
