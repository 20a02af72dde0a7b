"""Clients, a nemesis and the checker: `python -m tests.faults.run --kills 200 --seed 1`."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import Any

import httpx

from tests.faults.checker import LAST_LOOK, Violation, check
from tests.faults.clients import SESSION_TRANSPORTS, Client, connect
from tests.faults.history import Final, History, Read
from tests.faults.nemesis import Nemesis
from tests.faults.process import RestlessServer
from tests.faults.provider import ProviderProcess, providing
from tests.faults.reading import READERS, Event
from tests.faults.relay import Relay
from tests.faults.storage import logs_in, small_disk
from tests.serving import ServerProcess, free_port

GRACE = 1.0
CLIENTS = 8
SESSIONS = 5
SETTLING = 60.0  # seconds that clients have to come to an end when nothing is done to the server any more
LOOKING = 0.1  # seconds


@dataclass
class Result:
    seed: int
    seconds: float
    kills: int
    history: History
    violations: Sequence[Violation]

    def figures(self) -> str:
        history = self.history
        events = [item for read in history.reads for item in read.items]
        kinds = Counter(json.loads(item)["type"] for item in events)
        ends = Counter(json.loads(events[-1])["type"] for events in history.final.logs.values() if events)
        outcomes = Counter(ask.outcome for ask in history.asks)
        troubles = Counter(trouble.what for trouble in history.troubles if " " not in trouble.what)
        lines = {
            "seed": self.seed,
            "seconds": round(self.seconds),
            "kills": self.kills,
            "troubles": dict(troubles),
            "truncations": len(history.truncations),
            "operations": len(history.asks) + len(history.cancels) + len(history.reads),
            "questions": dict(outcomes),
            "cancels": dict(Counter(cancel.outcome for cancel in history.cancels)),
            "reads": dict(Counter(f"{read.transport} {read.end}" for read in history.reads)),
            "events seen": sum(count for kind, count in kinds.items() if kind not in ("ready", "reset")),
            "resets": kinds["reset"],
            "events in the logs": sum(map(len, history.final.logs.values())),
            "answers": dict(_ends(history)),
            "sessions that end with": dict(ends),
            "longest start": round(max(life.up - life.started for life in history.lives), 1),
            "violations": len(self.violations),
        }
        return "\n".join(f"{name:22} {value}" for name, value in lines.items())


def _ends(history: History) -> Counter[str]:
    events = (json.loads(item) for log in history.final.logs.values() for item in log)
    return Counter(event["status"] for event in events if event["type"] in ("complete", "error"))


async def run(seed: int, kills: int, seconds: float, patient: bool = False) -> Result:
    began = monotonic()
    with ExitStack() as held:
        provider = held.enter_context(providing())
        disk = held.enter_context(small_disk(64 + 2 * kills))
        server = RestlessServer(disk.folder, environment(provider), free_port())
        held.callback(_end, server)
        history = History(GRACE)
        async with Relay(server.port) as relay:
            nemesis = Nemesis(server, relay, disk, history, random.Random(f"{seed}/nemesis"), patient)
            await nemesis.start()
            await _live(seed, relay, nemesis.torment(kills, seconds), history)
            history.add(await _last_look(server, nemesis, provider, history))
    return Result(seed, monotonic() - began, nemesis.kills, history, check(history))


def environment(provider: ProviderProcess) -> dict[str, str]:
    return {
        **provider.environment,
        "XIONIMUS_SHUTDOWN_GRACE": str(GRACE),
        "XIONIMUS_HEARTBEAT": "1",
        "XIONIMUS_LOG_LEVEL": "warning",
    }


def _end(server: ServerProcess) -> None:
    if server.process is not None:
        server.kill()


async def _live(seed: int, relay: Relay, torment: Coroutine[Any, Any, None], history: History) -> None:
    """Let clients live while the nemesis torments their server, and a while after, until they have what they want."""
    stopping = asyncio.Event()
    sessions = [f"session-{number}" for number in range(SESSIONS)]
    clients = [
        Client(f"client-{number}", connect(relay.port), sessions, history, random.Random(f"{seed}/{number}"), stopping)
        for number in range(CLIENTS)
    ]
    tasks = [asyncio.create_task(client.live(), name=client.name) for client in clients]
    tormenting = asyncio.create_task(torment)
    await asyncio.wait([tormenting, *tasks], return_when=asyncio.FIRST_COMPLETED)  # a client ends early by a mistake
    if tormenting.done():
        stopping.set()
        await asyncio.wait(tasks, timeout=SETTLING)
    for task in (tormenting, *tasks):
        task.cancel()
    await asyncio.gather(*(client.http.aclose() for client in clients))
    # Whoever is still following has been promised an end that did not come.
    await asyncio.gather(tormenting, *tasks)


async def _last_look(server: ServerProcess, nemesis: Nemesis, provider: ProviderProcess, history: History) -> Final:
    """Everything, read over every transport; then the file itself."""
    async with connect(server.port) as http:
        await _until_all_have_ended(http)
        found = (await http.get("/api/sessions?limit=500")).json()["sessions"]
        names = [session["id"] for session in found]
        messages = {name: await _messages(http, name) for name in names}
        for name in names:
            for transport in SESSION_TRANSPORTS:
                await _read_all(http, name, transport, history)
    requests = provider.control()["requests"]
    await nemesis.stop()
    return Final(
        logs=await asyncio.to_thread(logs_in, server.folder / "xionimus.db"),
        messages=messages,
        requests={question: len(times) for question, times in requests.items()},
    )


async def _until_all_have_ended(http: httpx.AsyncClient) -> None:
    """Also answers that nobody follows: the history would be older than the log. The checker sees those that do not."""
    for _ in range(round(SETTLING / LOOKING)):
        if not (await http.get("/api/stream/status")).json()["active_streams"]:
            return
        await asyncio.sleep(LOOKING)


async def _messages(http: httpx.AsyncClient, session: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    more = True
    while more:
        before = {"before": found[0]["id"]} if found else {}
        page = (await http.get(f"/api/sessions/{session}/messages", params={"limit": "500", **before})).json()
        found = page["messages"] + found
        more = page["has_more"]
    return found


async def _read_all(http: httpx.AsyncClient, session: str, transport: Any, history: History) -> None:
    """From the first event to what is the last one when the reading begins."""
    tail = (await http.get(f"/api/sessions/{session}/messages?limit=1")).json()["cursor"]
    after: str | None = "0"
    while after != tail:
        read = Read(client=LAST_LOOK, transport=transport, session=session, after=after, opened=time())
        history.add(read)

        def enough(event: Event) -> bool:
            return bool(event["id"] == tail)

        await READERS[transport](http, read, enough)
        if read.cursor is None or read.cursor == after:
            return  # the checker sees what is missing
        after = read.cursor


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3_600, help="and no longer than this")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patient", action="store_true", help="hold locks until writes fail")
    parser.add_argument("--keep", type=Path, help="write the history to this file")
    chosen = parser.parse_args()
    result = asyncio.run(run(chosen.seed, chosen.kills, chosen.seconds, chosen.patient))
    print(result.figures())
    for violation in result.violations:
        print(violation)
    if chosen.keep is not None:
        result.history.save(chosen.keep)
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())
