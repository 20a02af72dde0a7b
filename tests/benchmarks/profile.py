"""Where the server's CPU goes.

    python -m tests.benchmarks.profile A C E S            a table
    python -m tests.benchmarks.profile A C E S --write    the same, into the README

The main thread is sampled; what the others use (SQLite and its Python in the writer's thread, nearly all of it) is read
from their clocks. To sample takes a few per cent itself. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop

from tests.benchmarks.__main__ import EVERYTHING
from tests.benchmarks.processes import CORES, ROOT, Provider, Subject
from tests.benchmarks.report import aligned, number
from tests.benchmarks.scenarios import SCENARIOS, Bench, Scenario, warm_up
from tests.readme_tables import put_table

RUN_LIMIT = 120.0  # seconds
WRITE_LIMIT = 10.0
UNITS = ("ms/answer", "µs/chunk")  # figures that count the CPU of something

# What a file or the name of a function has in it. The innermost call that fits one says where a sample belongs.
LAYERS: Mapping[str, str] = {
    "asking the provider, reading HTTP from it": (
        "/providers/lean_http.py /providers/connecting.py /providers/http_client.py /httpx2/"
    ),
    "decoding: SSE, JSON, deltas": "/server/providers/ /json/decoder.py",
    "the answer: drafts, events, timers": (
        "/chat/generator.py /chat/answer.py /chat/patience.py /chat/draft.py /chat/transcript.py /chat/models.py "
        "/chat/tally.py /streaming/events.py /json/encoder.py"
    ),
    "between the loop and the writer's thread": (
        "/server/storage/ /streaming/writer.py /streaming/log.py /streaming/measures.py /aiosqlite/ /databases/"
    ),
    "to the readers: fan-out, framing, sockets": (
        "/streaming/tail.py /chat/reading.py /server/transports/ RequestResponseCycle.send _write_now"
    ),
    "accepting: uvicorn, Starlette, access, pydantic": (
        "/uvicorn/protocols/ create_protocol /starlette/ /server/api/ /server/access/ /server/chat/ /server/bounds.py "
        "/server/lean_connections.py /pydantic/ /structlog/"
    ),
}
REST = "the event loop itself"
THREADS = "SQLite, in the writer's thread"
KERNEL = "*of that, in the kernel*"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.profile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenarios", nargs="+", choices=list(SCENARIOS), metavar="SCENARIO")
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    parser.add_argument("--tiny", action="store_true", help="a moment of everything, to see that it works")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.sched_setaffinity(0, CORES[1])
    found = [SCENARIOS[key].tiny() if chosen.tiny else SCENARIOS[key] for key in chosen.scenarios]
    table = uvloop.run(profiled(found))
    print(table)
    if chosen.write:
        put_table("profile", table)
    return 0


async def profiled(scenarios: Sequence[Scenario]) -> str:
    provider = Provider.start()
    try:
        with tempfile.TemporaryDirectory(prefix="profile-") as folder:
            columns = [await sampled(scenario, provider, Path(folder) / scenario.key) for scenario in scenarios]
    finally:
        provider.stop()
    names = [*LAYERS, REST, THREADS]
    rows = [["", *(f"{scenario.key}: {unit}" for scenario, (unit, _) in zip(scenarios, columns, strict=True))]]
    rows += [[name, *(number(costs[name]) for _, costs in columns)] for name in names]
    rows.append(["**all**", *(f"**{number(sum(costs[name] for name in names))}**" for _, costs in columns)])
    rows.append([KERNEL, *(f"*{number(costs[KERNEL])}*" for _, costs in columns)])
    return aligned(rows)


async def sampled(scenario: Scenario, provider: Provider, folder: Path) -> tuple[str, Mapping[str, float]]:
    """What is counted, and what one of it costs by layer."""
    out = folder / "samples.json"
    command = [sys.executable, "-m", "tests.benchmarks.sampler", str(out)]
    subject = Subject("server", command, ROOT, EVERYTHING, provider.environment())
    subject.start(folder)
    try:
        await asyncio.to_thread(subject.wait_until_up)
        bench = Bench(subject, provider)
        await warm_up(bench)
        os.kill(subject.pid, signal.SIGUSR1)
        async with asyncio.timeout(RUN_LIMIT):
            outcome = await scenario.run(bench)
        os.kill(subject.pid, signal.SIGUSR2)
        await asyncio.to_thread(until_there, out)
    finally:
        subject.stop()
    if outcome.faults:
        raise RuntimeError(f"{scenario.key}: {outcome.faults[0]}")
    unit = next((column for column in scenario.columns if column in UNITS), "µs/chunk")
    samples = json.loads(out.read_text())
    return unit, {name: share * outcome.figures[unit] for name, share in shares(samples).items()}


def until_there(file: Path) -> None:
    deadline = time.monotonic() + WRITE_LIMIT
    while not file.exists():
        if time.monotonic() > deadline:
            raise RuntimeError("the server did not write what it sampled")
        time.sleep(0.05)


def shares(samples: Mapping[str, Any]) -> Mapping[str, float]:
    """Of all CPU time, by layer."""
    layers: Counter[str] = Counter()
    for stack, count in samples["stacks"]:
        layers[layer_of(stack)] += count
    if not layers:
        layers[REST] = 1  # a moment can pass without a sample: what it took is still counted
    everything, all_samples = samples["all"], layers.total()
    found = {name: layers[name] / all_samples * samples["main"] / everything for name in [*LAYERS, REST]}
    # The kernel tells its own time in ticks, so in a moment it may seem to have more than all.
    kernel = min(samples["kernel"] / everything, 1.0)
    return {**found, THREADS: 1 - samples["main"] / everything, KERNEL: kernel}


def layer_of(stack: Sequence[Sequence[str]]) -> str:
    """`stack`: file and name of each call, the innermost first."""
    for file, name in stack:
        for layer, parts in LAYERS.items():
            if any(part in file or part in name for part in parts.split()):
                return layer
    return REST


if __name__ == "__main__":
    sys.exit(main())
