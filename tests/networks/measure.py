"""What a set-up does to the streams, found out by a few sessions through it, and told as rows of a table."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median

from server.doctor.advice import WORKING
from server.doctor.command import judge_all
from server.doctor.findings import Finding
from server.doctor.probes import Place, set_clock
from tests.networks.clients import (
    BROKEN,
    RUNGS,
    TRANSPORTS,
    Event,
    LadderClient,
    Path,
    Refused,
    Transport,
    ask,
    events_of,
    new_session,
    read,
)
from tests.networks.setups import Proxy, Setup

ENDS = ("complete", "error")
LONGEST = 40.0  # seconds for one session through one set-up
KILLED_AFTER = 5  # events


@dataclass(frozen=True)
class Form:
    """`words`: of an answer, each a chunk. `grace`: seconds that events may take longer than without a proxy."""

    words: int
    grace: float


SHORT = Form(words=10, grace=2.0)
FULL = Form(words=30, grace=3.0)


@dataclass
class Arrivals:
    """What came over one transport: when (on the clock `time.monotonic`), by id."""

    times: dict[str, float] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    problem: str | None = None

    def take(self, event: Event) -> None:
        if event["type"] not in ("ready", "reset"):
            self.times.setdefault(event["id"], time.monotonic())
            self.events.append(event)


@dataclass(frozen=True)
class Delay:
    """Milliseconds behind a reader without a proxy. `whole`: every event came, once, in order, as it was sent."""

    first: float | None
    each: float | None
    whole: bool
    foreign: bool
    problem: str | None


@dataclass
class Outcome:
    setup: Setup
    delays: dict[Transport, Delay]
    rung: Transport
    found: float
    whole: bool
    resumed: bool
    resumed_after: float
    cancelled: bool
    cancelled_after: float
    stale: bool
    diagnosis: Mapping[Transport, Finding]

    @property
    def diagnosis_fits(self) -> bool:
        """Whether the doctor sees what happened to the clients."""
        rung = next(each for each in RUNGS if self.diagnosis[each].verdict in WORKING)
        websocket = self.diagnosis["websocket"].verdict in WORKING
        return rung == self.rung and websocket == (self.delays["websocket"].first is not None)


async def measure(setup: Setup, proxy: Proxy, server_url: str, form: Form) -> Outcome:
    """Takes about the time of the answer, of climbing down the ladder, and of starting the proxy again."""
    path = path_to(setup, proxy, server_url)
    direct = Path(server_url)
    await warm(path)
    *pair, climbed = await asyncio.gather(
        compare(path, direct, form), compare(path, direct, form), climb(path, direct, form)
    )
    stale, diagnosis, (cancelled, cancelled_after) = await asyncio.gather(
        replays(path, climbed), diagnose(path), cancel(path, direct, climbed.rung)
    )
    resumed, resumed_after = await survive(path, direct, proxy, climbed.rung, form)
    assert climbed.found is not None
    return Outcome(
        setup,
        {transport: worse(*(each[transport] for each in pair)) for transport in TRANSPORTS},
        climbed.rung,
        climbed.found,
        is_whole(climbed.events, question(climbed.session, form)),
        resumed,
        resumed_after,
        cancelled,
        cancelled_after,
        stale,
        diagnosis,
    )


def path_to(setup: Setup, proxy: Proxy, server_url: str) -> Path:
    if setup.program is None:
        return Path(server_url)
    here = f"http://127.0.0.1:{proxy.port}"
    return Path(server_url, here) if setup.forward else Path(here)


async def warm(path: Path) -> None:
    """Some listen before they can serve."""
    async with asyncio.timeout(LONGEST), path.http() as client:
        while True:
            with suppress(*BROKEN):
                if (await client.get("/healthz")).status_code == 200:
                    return
            await asyncio.sleep(0.1)


def question(session: str, form: Form) -> str:
    """Words that stand in no other session."""
    return " ".join(f"{session}-{number}" for number in range(form.words))


async def compare(path: Path, direct: Path, form: Form) -> dict[Transport, Delay]:
    """Read one answer over every transport at once, and beside the proxy."""
    session = await new_session(direct)
    arrivals = {transport: Arrivals() for transport in TRANSPORTS}
    beside = Arrivals()
    readers = [asyncio.create_task(collect(path, each, session, arrivals[each])) for each in TRANSPORTS]
    reference = asyncio.create_task(collect(direct, "ndjson", session, beside))
    await asyncio.sleep(0.7)
    await ask(path, session, question(session, form))
    await reference
    await asyncio.wait(readers, timeout=form.grace)
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    return {transport: delay(arrivals[transport], beside, session) for transport in TRANSPORTS}


async def collect(path: Path, transport: Transport, session: str, into: Arrivals) -> None:
    """Until the answer ends."""
    try:
        async with asyncio.timeout(LONGEST):
            async for event in read(path, transport, session, "0"):
                into.take(event)
                if event["type"] in ENDS:
                    return
    except (*BROKEN, Refused) as error:
        into.problem = f"{type(error).__name__}: {error}"


def delay(arrivals: Arrivals, beside: Arrivals, session: str) -> Delay:
    late = [1000 * (arrivals.times[each] - then) for each, then in beside.times.items() if each in arrivals.times]
    return Delay(
        first=late[0] if late else None,
        each=median(late) if late else None,
        whole=arrivals.events == beside.events,
        foreign=any(session not in word for word in text_of(arrivals.events).split()),
        problem=arrivals.problem,
    )


def worse(one: Delay, other: Delay) -> Delay:
    """Of two sessions that were read at the same time."""
    if one.first is None or one.each is None or other.first is None or other.each is None:
        return one if one.first is None else other
    return Delay(
        max(one.first, other.first),
        max(one.each, other.each),
        one.whole and other.whole,
        one.foreign or other.foreign,
        one.problem or other.problem,
    )


async def climb(path: Path, direct: Path, form: Form, rung: Transport = "sse") -> LadderClient:
    session = await new_session(direct)
    client = LadderClient(path, session, rung)
    async with asyncio.timeout(LONGEST):
        reading = asyncio.create_task(client.run(lambda event: event["type"] in ENDS))
        await ask(path, session, question(session, form))
        await reading
    return client


async def replays(path: Path, read_before: LadderClient) -> bool:
    """Whether an address that was asked once is answered as it was then, though more was said since."""
    parameters = {"after": read_before.cursor, "format": "json", "wait": "10"}
    history = f"/api/sessions/{read_before.session}/messages"
    async with path.http() as client:
        known = len((await client.get(history)).json()["messages"])
        await ask(path, read_before.session, "again")
        if len((await client.get(history)).json()["messages"]) == known:
            return True
        for _ in range(50):
            page = (await client.get(events_of(read_before.session), params=parameters)).json()
            if page["events"][-1]["type"] in ENDS:
                return False
            await asyncio.sleep(0.1)
    return True


async def diagnose(path: Path) -> Mapping[Transport, Finding]:
    """What `xionimus doctor` would say."""
    place = Place(path.url, proxy=path.proxy)
    clock, _ = await set_clock(place)
    return await judge_all(place, clock)


async def cancel(path: Path, direct: Path, rung: Transport) -> tuple[bool, float]:
    """Whether an answer that is stopped ends as cancelled, and seconds until its reader has that."""
    session = await new_session(direct)
    client = LadderClient(path, session, rung)
    begun = asyncio.Event()
    reading = asyncio.create_task(
        client.run(lambda event: event["type"] in ENDS, lambda event: begun.set() if event["type"] == "chunk" else None)
    )
    message = await ask(path, session, "count", "long")
    async with asyncio.timeout(LONGEST):
        await begun.wait()
        stopped = time.monotonic()
        answer = await path.post(f"/api/messages/{message}/cancel")
        await reading
    ended = client.events[-1]
    return answer.json()["status"] == ended["status"] == "cancelled", time.monotonic() - stopped


async def survive(path: Path, direct: Path, proxy: Proxy, rung: Transport, form: Form) -> tuple[bool, float]:
    """Kill the proxy in the middle of an answer and start it again: whether the text is whole, and seconds from
    then to the next event.
    """
    session = await new_session(direct)
    client = LadderClient(path, session, rung)
    seen = asyncio.Event()
    times: list[float] = []

    def note(event: Event) -> None:
        times.append(time.monotonic())
        if len(times) == KILLED_AFTER:
            seen.set()

    async with asyncio.timeout(LONGEST):
        reading = asyncio.create_task(client.run(lambda event: event["type"] in ENDS, note))
        await ask(path, session, question(session, form))
        await seen.wait()
        proxy.kill()
        before = len(times)
        await asyncio.to_thread(proxy.start)
        started = time.monotonic()
        await reading
    after = next((each - started for each in times[before:] if each > started), 0.0)
    return is_whole(client.events, question(session, form)), after


def text_of(events: Sequence[Event]) -> str:
    return "".join(event["content"] for event in events if event["type"] == "chunk")


def is_whole(events: Sequence[Event], asked: str) -> bool:
    """Every event once, in order, and the text what was asked for."""
    places = [int(event["id"].rpartition("-")[2]) for event in events]
    return places == list(range(1, len(places) + 1)) and text_of(events) == asked


HEAD = """\
| between client and server | SSE | NDJSON | long-poll | WebSocket | a client ends on | found after | back after a kill | cancelled |
|---|---|---|---|---|---|---|---|---|
"""  # noqa: E501
NAMES = {"sse": "SSE", "ndjson": "NDJSON", "poll": "long-poll"}


def table(outcomes: Sequence[Outcome]) -> str:
    return HEAD + "".join(row(each) for each in outcomes)


def row(outcome: Outcome) -> str:
    cells = [
        outcome.setup.name,
        *(cell(outcome.delays[transport]) for transport in TRANSPORTS),
        NAMES[outcome.rung],
        f"{outcome.found:.1f} s",
        f"{outcome.resumed_after:.1f} s",
        f"{outcome.cancelled_after:.1f} s",
    ]
    return f"| {' | '.join(cells)} |\n"


def cell(delay: Delay) -> str:
    if delay.first is None or delay.each is None:
        return "refused" if delay.problem else "held back"
    told = f"{max(0, delay.first):.0f} / {max(0, delay.each):.0f}"
    return told if delay.whole else f"{told}, late end"
