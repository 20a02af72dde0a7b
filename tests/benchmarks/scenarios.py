"""What is measured. Each scenario runs against one server at a time and gives its figures by name."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
import uuid
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from tests.benchmarks.load import EVENTS, Crowd, PollReader, Reader, WebSocketReader, call, call_json, request
from tests.benchmarks.processes import Mark, Provider, Subject, cpu_seconds, mark, resident
from tests.benchmarks.stamps import Plan

BUSY = 85.0  # per cent; beyond this the load client measures itself
WARM_UP = 20
ENQUEUED = 6  # questions of one session under way at once
TOGETHER = 16  # requests under way at once when something is prepared


@dataclass
class Outcome:
    """The figures of one run, and what went wrong in it."""

    figures: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """What a scenario works with."""

    subject: Subject
    provider: Provider
    vendor: str = "openai"

    def mark(self) -> Mark:
        return mark(self.subject.pid, self.provider.pid)

    def ask(self, plan: Plan) -> bytes:
        """In a new session, with the answer's events as they come."""
        return request("POST", f"/api/sessions/{new_session()}/messages", self.body(plan), EVENTS)

    def body(self, plan: Plan, content: str = "Go.") -> dict[str, str]:
        return {"content": content, "provider": self.vendor, "model": plan.model}


class Scenario(Protocol):
    @property
    def key(self) -> str: ...

    @property
    def kind(self) -> str:
        """The ability that a server needs."""
        ...

    @property
    def columns(self) -> Sequence[str]:
        """The figures that count, the first one most."""
        ...

    @property
    def title(self) -> str: ...

    def tiny(self) -> Scenario: ...

    async def run(self, bench: Bench) -> Outcome: ...


@dataclass(frozen=True)
class Answers:
    """New answers, spread over `ramp` seconds, each read by the request that asked for it."""

    key: str
    count: int
    chunks: int
    delay: float
    ramp: float
    columns: Sequence[str]
    first: float = 0  # milliseconds until the first chunk: enough for all answers to have been started before
    kind: str = "answers"

    @property
    def title(self) -> str:
        pace = f"at {self.delay:g} ms" if self.delay else "as fast as it goes"
        if self.count == 1:
            return f"1 answer of {self.chunks} chunks {pace}"
        ramp = f"begun over {self.ramp:g} s" if self.ramp else "at once"
        return f"{self.count} answers {ramp}, {self.chunks} chunks each {pace}"

    def tiny(self) -> Answers:
        few = replace(self, count=min(self.count, 5), chunks=min(self.chunks, 15), delay=min(self.delay, 10))
        return replace(few, ramp=min(self.ramp, 0.1), first=min(self.first, 100))

    async def run(self, bench: Bench) -> Outcome:
        await warm_up(bench)
        plan = Plan(self.chunks, self.delay, self.first)
        crowd = Crowd(self.count, plan.sequence, self.chunks)
        readers = [Reader(crowd, bench.ask(plan)) for _ in range(self.count)]
        with quiet_garbage():
            steady = asyncio.create_task(steady_cost(bench, crowd))
            before = bench.mark()
            await connect(readers, bench.subject.port, self.ramp)
            await crowd.ended.wait()
            spent = bench.mark() - before
            cost = await steady
        return Outcome({**figures(crowd, spent, self.first), "steady µs/chunk": cost}, faults(crowd, ended=True))


@dataclass(frozen=True)
class FanOut:
    """One answer, and many who read its session live."""

    key: str
    readers: int
    chunks: int
    delay: float
    columns: Sequence[str] = ("steady µs/chunk", "p50 ms", "p99 ms", "chunks/read")
    kind: str = "readers"

    @property
    def title(self) -> str:
        return f"1 answer of {self.chunks} chunks at {self.delay:g} ms, {self.readers:,} readers"

    def tiny(self) -> FanOut:
        return replace(self, readers=min(self.readers, 20), chunks=15, delay=10)

    async def run(self, bench: Bench) -> Outcome:
        await warm_up(bench)
        plan = Plan(self.chunks, self.delay, first=200)
        session = await created(bench.subject.port)
        crowd = Crowd(self.readers, plan.sequence, self.chunks)
        asked = request("GET", f"/api/sessions/{session}/events", headers=EVENTS)
        with quiet_garbage():
            await connect([Reader(crowd, asked) for _ in range(self.readers)], bench.subject.port, self.readers / 1000)
            await crowd.opened.wait()
            steady = asyncio.create_task(steady_cost(bench, crowd))
            before = bench.mark()
            await call_json(bench.subject.port, "POST", f"/api/sessions/{session}/messages", bench.body(plan))
            await crowd.all_whole.wait()
            spent = bench.mark() - before
            cost = await steady
            await settled(crowd)
        crowd.close()
        return Outcome({**figures(crowd, spent), "steady µs/chunk": cost}, faults(crowd))


@dataclass(frozen=True)
class Idle:
    """Connections on which nothing happens but heartbeats, each to a session of its own."""

    key: str
    transport: str
    readers: int
    seconds: float = 16.0  # one heartbeat, or one long-poll
    columns: Sequence[str] = ("kB/connection", "idle CPU %")

    @property
    def kind(self) -> str:
        return f"idle-{self.transport}"

    @property
    def title(self) -> str:
        names = {"sse": "SSE", "websocket": "WebSocket", "poll": "long-poll"}
        return f"{self.readers:,} idle readers by {names[self.transport]}"

    def tiny(self) -> Idle:
        return replace(self, readers=20, seconds=0.1)

    async def run(self, bench: Bench) -> Outcome:
        port, pid = bench.subject.port, bench.subject.pid
        await warm_up(bench)
        sessions = await gathered([created(port) for _ in range(self.readers)])
        warm = self._crowd([await created(port) for _ in range(WARM_UP)])
        await self._open(warm, port)
        before = resident(pid)
        crowd = self._crowd(sessions)
        await self._open(crowd, port)
        after = resident(pid)
        start = bench.mark()
        await asyncio.sleep(self.seconds)
        spent = bench.mark() - start
        lost = sum(reader.lost for reader in crowd.readers)
        found = {
            "kB/connection": (after - before) / 1024 / self.readers,
            "idle CPU %": 100 * spent.server / spent.wall,
            "load %": 100 * spent.load / spent.wall,
        }
        crowd.close()
        warm.close()
        return Outcome(found, [f"{lost} connections were closed"] * bool(lost) + faults(crowd))

    def _crowd(self, sessions: Sequence[str]) -> Crowd:
        crowd = Crowd(len(sessions))
        for session in sessions:
            events = f"/api/sessions/{session}/events"
            if self.transport == "websocket":
                WebSocketReader(crowd, f"/ws/chat/{session}")
            elif self.transport == "poll":
                PollReader(crowd, events, wait=15)
            else:
                Reader(crowd, request("GET", events, headers=EVENTS))
        return crowd

    async def _open(self, crowd: Crowd, port: int) -> None:
        await connect(crowd.readers, port, len(crowd.readers) / 1000)
        await crowd.opened.wait()
        await asyncio.sleep(min(1.0, self.seconds))


@dataclass(frozen=True)
class Resume:
    """Readers that come back at once while a long answer is half written, and have missed all of it."""

    key: str
    readers: int
    chunks: int
    columns: Sequence[str] = ("caught up s", "live p99 ms", "MB/s")
    kind: str = "log"

    @property
    def title(self) -> str:
        return f"{self.readers} readers resume in the middle of an answer of {self.chunks:,} chunks"

    def tiny(self) -> Resume:
        return replace(self, readers=10, chunks=200)

    async def run(self, bench: Bench) -> Outcome:
        await warm_up(bench)
        port, half = bench.subject.port, self.chunks // 2
        plan = Plan(self.chunks, delay=20, ahead=half, burst=4)
        path = f"/api/sessions/{new_session()}/messages"
        accepted = await call_json(port, "POST", path, bench.body(plan))
        watching = Crowd(1, plan.sequence, self.chunks)
        watching.goal = half
        watcher = Reader(watching, request("GET", accepted["stream_url"], headers=EVENTS))
        with quiet_garbage():
            await watcher.connect(port)
            await watching.reached.wait()
            return await self._resume(bench, accepted, watcher, watching)

    async def _resume(self, bench: Bench, accepted: Mapping[str, Any], watcher: Reader, watching: Crowd) -> Outcome:
        crowd = Crowd(self.readers, watching.sequence, watching.whole)
        crowd.goal = watcher.position
        watcher.seen.clear()
        asked = request("GET", accepted["stream_url"], headers={**EVENTS, "last-event-id": accepted["cursor"]})
        readers = [Reader(crowd, asked, keep=False) for _ in range(self.readers)]
        before = bench.mark()
        await connect(readers, bench.subject.port, 0)
        await crowd.reached.wait()
        spent = bench.mark() - before
        read = sum(reader.bytes for reader in readers)
        await asyncio.sleep(0.1)
        found = {
            "caught up s": spent.wall,
            "live p99 ms": percentile(watching.latencies(), 99) / 1000,
            "MB/s": read / spent.wall / 1e6,
            "server %": 100 * spent.server / spent.wall,
            "load %": 100 * spent.load / spent.wall,
        }
        crowd.whole = crowd.goal
        watching.whole = watching.goal
        wrong = [*faults(crowd), *faults(watching)]
        crowd.close()
        watching.close()
        await call(bench.subject.port, "POST", f"/api/messages/{accepted['message']['id']}/cancel")
        return Outcome(found, wrong)


@dataclass(frozen=True)
class LongSession:
    """A session with a long history: what it costs to open it, to search for it, to take it away."""

    key: str
    messages: int
    streams: int = 100
    chunks: int = 60
    columns: Sequence[str] = ("page ms", "search ms", "export ms", "gap p99 ms", "streams p99 ms")
    kind: str = "log"

    @property
    def title(self) -> str:
        return f"a session of {self.messages:,} messages, alone and beside {self.streams} streams"

    def tiny(self) -> LongSession:
        return replace(self, messages=10, streams=5, chunks=5)

    async def run(self, bench: Bench) -> Outcome:
        port, session = bench.subject.port, new_session()
        await self._write(bench, session)
        requests = {
            "page ms": f"/api/sessions/{session}/messages",
            "search ms": "/api/sessions?q=needle",
            "export ms": f"/api/sessions/{session}/export",
        }
        found: dict[str, float] = {}
        for name, path in requests.items():
            calls = [await call(port, "GET", path) for _ in range(5)]
            found[name] = percentile(sorted(each.took for each in calls), 50) / 1000
            found[name.replace(" ms", " MB")] = len(calls[0].body) / 1e6
        crowd, spent = await self._beside(bench, list(requests.values()))
        beside = {
            "streams p99 ms": percentile(crowd.latencies(), 99) / 1000,
            "gap p99 ms": percentile(crowd.gaps(), 99) / 1000,
            "server %": 100 * spent.server / spent.wall,
            "load %": 100 * spent.load / spent.wall,
        }
        return Outcome({**found, **beside}, faults(crowd, ended=True))

    async def _write(self, bench: Bench, session: str) -> None:
        plan = Plan(1, size=512)
        path = f"/api/sessions/{session}/messages"
        words = "What does a log remember that its readers have forgotten, and why would they ask it again? "
        questions = iter(range(self.messages // 2))

        async def ask_on() -> None:
            for number in questions:
                content = f"{number} {words * 3}" + "needle" * (number == self.messages // 4)
                # From the root each, or ever longer histories would go to the provider.
                body = {**bench.body(plan, content), "on_busy": "enqueue", "parent_id": "root"}
                await call(bench.subject.port, "POST", f"{path}?wait=60", body)

        await asyncio.gather(*(ask_on() for _ in range(ENQUEUED)))

    async def _beside(self, bench: Bench, paths: Sequence[str]) -> tuple[Crowd, Mark]:
        """The same requests over and over, and big questions, while others stream."""
        plan = Plan(self.chunks, delay=50)
        crowd = Crowd(self.streams, plan.sequence, plan.chunks)
        readers = [Reader(crowd, bench.ask(plan)) for _ in range(self.streams)]
        with quiet_garbage():
            before = bench.mark()
            disturbing = asyncio.create_task(self._disturb(bench, paths))
            await connect(readers, bench.subject.port, 0.2)
            await crowd.ended.wait()
            spent = bench.mark() - before
        disturbing.cancel()
        await asyncio.gather(disturbing, return_exceptions=True)
        return crowd, spent

    async def _disturb(self, bench: Bench, paths: Sequence[str]) -> None:
        port = bench.subject.port
        while True:
            for path in paths:
                await call(port, "GET", path)
            big = bench.body(Plan(1), content="word " * 100_000)
            await call(port, "POST", f"/api/sessions/{new_session()}/messages", big)


@dataclass(frozen=True)
class StartUp:
    """Another process of the same server, with nothing but the demo to answer with."""

    key: str
    columns: Sequence[str] = ("up after s", "CPU s", "idle MB")
    kind: str = "log"
    title: str = "start-up, and a server at rest"

    def tiny(self) -> StartUp:
        return self

    async def run(self, bench: Bench) -> Outcome:
        other = replace(bench.subject, process=None, environment={})
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            began = time.monotonic()
            other.start(Path(folder))
            try:
                await asyncio.to_thread(other.wait_until_up)
                up, spent = time.monotonic() - began, cpu_seconds(other.pid)
                await asyncio.sleep(1)
                return Outcome({"up after s": up, "CPU s": spent, "idle MB": resident(other.pid) / 1e6})
            finally:
                other.stop()


STEADY = ("steady µs/chunk", "chunks/s", "p50 ms", "p99 ms", "chunks/read")
ANSWERS = ("chunks/s", "µs/chunk", "p50 ms", "p99 ms", "first ms", "chunks/read")

SCENARIOS: dict[str, Scenario] = {
    scenario.key: scenario
    for scenario in (
        Answers("A", 1, 200, 10, 0, columns=("p50 ms", "p99 ms", "first ms", "µs/chunk")),
        Answers("B", 100, 100, 50, 0.2, columns=ANSWERS),
        Answers("C", 500, 60, 50, 1.0, columns=ANSWERS),
        Answers("D", 20, 2_000, 0, 0, columns=("chunks/s", "µs/chunk", "chunks/read")),
        Answers("E", 100, 300, 10, 0.2, columns=STEADY, first=1_500),
        Answers("S", 100, 2, 10, 5.0, columns=("ms/answer", "first ms", "server %")),
        FanOut("F200", 200, 250, 20),
        FanOut("F1000", 1_000, 250, 20),
        Idle("I2000", "sse", 2_000),
        Idle("I2000-websocket", "websocket", 2_000),
        Idle("I2000-poll", "poll", 2_000),
        Resume("R", 500, 10_000),
        LongSession("P", 10_000),
        StartUp("U"),
    )
}


async def steady_cost(bench: Bench, crowd: Crowd) -> float:
    """The CPU of a chunk while chunks come, starts and ends aside. Microseconds."""
    await crowd.first_started.wait()
    before, already = bench.mark(), crowd.chunks
    await crowd.first_whole.wait()
    spent = bench.mark() - before
    return spent.server * 1e6 / max(1, crowd.chunks - already)


def figures(crowd: Crowd, spent: Mark, delay: float = 0) -> dict[str, float]:
    """`delay`: milliseconds that the provider took on purpose until its first chunk."""
    latencies, first = crowd.latencies(), crowd.first_chunks()
    return {
        "chunks/s": crowd.chunks / (crowd.span - delay / 1000),
        "µs/chunk": spent.server * 1e6 / max(1, crowd.chunks),
        "ms/answer": spent.server * 1e3 / len(crowd.readers),
        "p50 ms": percentile(latencies, 50) / 1000,
        "p99 ms": percentile(latencies, 99) / 1000,
        "first ms": percentile(first, 50) / 1000 - delay,
        "first p99 ms": percentile(first, 99) / 1000 - delay,
        "chunks/read": crowd.chunks / max(1, crowd.pieces),
        "server %": 100 * spent.server / spent.wall,
        "provider %": 100 * spent.provider / spent.wall,
        "load %": 100 * spent.load / spent.wall,
    }


def percentile(ordered: Sequence[int], per_cent: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * per_cent / 100))] if ordered else 0.0


def faults(crowd: Crowd, ended: bool = False) -> list[str]:
    found = crowd.faults()
    if ended:
        cut = sum(not reader.complete for reader in crowd.readers)
        found += [f"{cut} answers were cut off"] * bool(cut)
    return found


def new_session() -> str:
    return f"benchmark-{uuid.uuid4().hex}"


async def created(port: int) -> str:
    session = new_session()
    await call_json(port, "POST", "/api/sessions", {"id": session})
    return session


async def warm_up(bench: Bench) -> None:
    """The first answers import and connect things."""
    if bench.subject.warm:
        return
    bench.subject.warm = True
    plan = Plan(3)
    for count in (1, WARM_UP):
        crowd = Crowd(count, plan.sequence, plan.chunks)
        readers = [Reader(crowd, bench.ask(plan)) for _ in range(count)]
        await connect(readers, bench.subject.port, 0)
        await crowd.ended.wait()
        for fault in crowd.faults():
            raise RuntimeError(f"{bench.subject.name}: {fault}")


async def connect(readers: Sequence[Reader], port: int, ramp: float) -> None:
    """All of them, evenly over `ramp` seconds."""
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def one(place: int, reader: Reader) -> None:
        await asyncio.sleep(max(0.0, start + ramp * place / len(readers) - loop.time()))
        await reader.connect(port)

    await asyncio.gather(*(one(place, reader) for place, reader in enumerate(readers)))


async def gathered(calls: Sequence[Awaitable[str]]) -> list[str]:
    """All of them, a few at a time."""
    limit = asyncio.Semaphore(TOGETHER)

    async def one(awaited: Awaitable[str]) -> str:
        async with limit:
            return await awaited

    return await asyncio.gather(*(one(each) for each in calls))


async def settled(crowd: Crowd) -> None:
    """Until everybody has read the repetition at the end, if there is one; two seconds at the most."""
    for _ in range(40):
        if all(reader.position == len(crowd.sequence) for reader in crowd.readers):
            return
        await asyncio.sleep(0.05)


@contextmanager
def quiet_garbage() -> Iterator[None]:
    """No pauses of our own in what is measured."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
