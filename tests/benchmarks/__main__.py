"""How fast the server is, beside two yardsticks on the same packages, and beside itself without a log on the disk.

    python -m tests.benchmarks C              one scenario
    python -m tests.benchmarks all            all of them, in about a quarter of an hour
    python -m tests.benchmarks all --write    the same, into the README and the folder results
    python -m tests.benchmarks C E --server /other/checkout/.venv/bin/python:/other/checkout

Servers are compared in one run, in turn, three times: the table gives the median and the spread. The server has one
core for itself; the provider and the load client share the rest. The figures of a busy machine are noise, but for
CPU time, which is nearly steady. A server that commits before it delivers waits for the disk: TMPDIR says which.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop

from tests.benchmarks.load import Crowd, Reader, request
from tests.benchmarks.processes import CORES, ROOT, Provider, Subject, disk, mark
from tests.benchmarks.report import Results
from tests.benchmarks.scenarios import SCENARIOS, Bench, Outcome, Scenario, connect, quiet_garbage
from tests.benchmarks.stamps import Plan
from tests.readme_tables import put_table

RESULTS = Path(__file__).parent / "results"
LIMIT = 600.0  # seconds for one run of a scenario
EVERYTHING = frozenset({"answers", "readers", "log", "idle-sse", "idle-websocket", "idle-poll"})
YARDSTICKS = {
    "relay": (("yardsticks", "relay", "--port", "{port}"), frozenset({"answers"})),
    "plain": (("yardsticks", "plain", "--port", "{port}"), frozenset({"answers", "readers", "idle-sse"})),
    "forgetful": (("forgetful",), frozenset({"answers"})),
}


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is ended
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    os.sched_setaffinity(0, CORES[1])
    results = Results()
    try:
        uvloop.run(run(chosen, results))
    except KeyboardInterrupt:
        print("! stopped early", file=sys.stderr)
    print(results.table())
    for sentence in [*results.warnings, *results.faults]:
        print(f"! {sentence}")
    if chosen.out is not None:
        write(results, chosen.out)
    if chosen.write:
        write_tables(results, RESULTS)
        put_table("benchmarks", results.brief())
    return 1 if results.faults else 0


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="scenarios:\n" + "\n".join(f"  {key:16} {each.title}" for key, each in SCENARIOS.items()),
    )
    found.add_argument("scenarios", nargs="+", choices=[*SCENARIOS, "all"], metavar="SCENARIO")
    found.add_argument(
        "--server",
        action="append",
        metavar="[NAME=]PYTHON[:FOLDER]",
        help="the server of this checkout, by this interpreter; may be given several times (this one)",
    )
    found.add_argument("--alone", action="store_true", help="without the yardsticks")
    found.add_argument(
        "--vendor", choices=("openai", "anthropic"), default="openai", help="whose format the server asks in"
    )
    found.add_argument("--repeat", type=int, default=3)
    found.add_argument(
        "--out", type=Path, metavar="FOLDER", help="write table.md, brief.md, results.json and chart.svg there"
    )
    found.add_argument("--write", action="store_true", help="put the figures into README.md, and the rest beside this")
    found.add_argument("--tiny", action="store_true", help="a moment of everything, to see that it works")
    return found


def write(results: Results, out: Path) -> None:
    write_tables(results, out)
    (out / "brief.md").write_text(results.brief() + "\n", "utf-8")
    (out / "results.json").write_text(json.dumps(results.json(), indent=1, ensure_ascii=False) + "\n", "utf-8")


def write_tables(results: Results, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text(results.table() + "\n", "utf-8")
    (out / "chart.svg").write_text(results.svg(), "utf-8")


async def run(chosen: argparse.Namespace, results: Results) -> None:
    keys = SCENARIOS if "all" in chosen.scenarios else dict.fromkeys(chosen.scenarios)
    scenarios = [SCENARIOS[key] for key in keys]
    if chosen.tiny:
        scenarios = [scenario.tiny() for scenario in scenarios]
    provider = Provider.start()
    subjects = [*servers(chosen.server), *([] if chosen.alone else yardsticks())]
    for subject in subjects:
        subject.environment = {**provider.environment(), **subject.environment}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        try:
            results.ceiling, results.disk = await ceiling(provider, chosen.tiny), disk(Path(folder))
            turns = Turns(provider, subjects, Path(folder), chosen.vendor, results)
            await (turns.together(scenarios) if chosen.tiny else turns.apart(scenarios, chosen.repeat))
        finally:
            for subject in subjects:
                subject.stop()
            provider.stop()


class Turns:
    """Who is measured when."""

    def __init__(
        self, provider: Provider, subjects: Sequence[Subject], folder: Path, vendor: str, results: Results
    ) -> None:
        self._provider = provider
        self._subjects = subjects
        self._folder = folder
        self._vendor = vendor
        self._results = results

    async def apart(self, scenarios: Sequence[Scenario], repeat: int) -> None:
        """Each server is started anew for each run, and has its core for itself."""
        for scenario in scenarios:
            for turn in range(repeat):
                for subject in self._able(scenario):
                    subject.start(self._folder / f"{scenario.key}-{turn}-{subject.name}")
                    await self._measure(scenario, subject)
                    subject.stop()

    async def together(self, scenarios: Sequence[Scenario]) -> None:
        """All servers are started once and stay: quick, and no measurement."""
        for subject in self._subjects:
            subject.start(self._folder / subject.name)
        for scenario in scenarios:
            for subject in self._able(scenario):
                await self._measure(scenario, subject)

    def _able(self, scenario: Scenario) -> list[Subject]:
        return [subject for subject in self._subjects if scenario.kind in subject.abilities]

    async def _measure(self, scenario: Scenario, subject: Subject) -> None:
        print(f"{scenario.key}: {subject.name} ", end="", file=sys.stderr, flush=True)
        try:
            await asyncio.to_thread(subject.wait_until_up)
            async with asyncio.timeout(LIMIT):
                outcome = await scenario.run(Bench(subject, self._provider, self._vendor))
        except TimeoutError:
            outcome = Outcome(faults=[f"not through within {LIMIT:g} s"])
        except (OSError, RuntimeError) as error:
            outcome = Outcome(faults=[f"{type(error).__name__}: {error}"])
        self._results.add(scenario, subject.name, outcome)
        first = scenario.columns[0]
        print(f"{first} {outcome.figures.get(first, float('nan')):.4g}", file=sys.stderr)


def servers(given: Sequence[str] | None) -> list[Subject]:
    return [server(each) for each in given or [sys.executable]]


def server(given: str) -> Subject:
    name, named, rest = given.rpartition("=")
    python, _, folder = rest.partition(":")
    path = Path(folder).resolve() if folder else ROOT
    python = os.path.abspath(python)  # not resolved: in a virtual environment it is a link
    return Subject(name if named else path.name if folder else "server", [python, "-m", "server"], path, EVERYTHING)


def yardsticks() -> list[Subject]:
    return [
        Subject(name, [sys.executable, "-m", f"tests.benchmarks.{module}", *rest], ROOT, abilities)
        for name, ((module, *rest), abilities) in YARDSTICKS.items()
    ]


async def ceiling(provider: Provider, tiny: bool) -> dict[str, float]:
    """What the load client reads when it reads from the provider itself, on a core that it has for itself."""
    own, rest = CORES
    os.sched_setaffinity(provider.pid, own)
    chunks = 200 if tiny else 5_000
    try:
        return {
            "pieces/s": await blasted(provider, Plan(chunks, burst=1)),
            "chunks/s": await blasted(provider, Plan(chunks, burst=64)),
        }
    finally:
        os.sched_setaffinity(provider.pid, rest)


async def blasted(provider: Provider, plan: Plan, count: int = 20) -> float:
    """Chunks for each second that the load client was at work."""
    crowd = Crowd(count, plan.sequence, plan.chunks)
    asked = request("POST", "/v1/chat/completions", {"model": plan.model}, close=False)
    with quiet_garbage():
        before = mark(provider.pid, provider.pid)
        await connect([Reader(crowd, asked) for _ in range(count)], provider.port, 0)
        await crowd.all_whole.wait()
        spent = mark(provider.pid, provider.pid) - before
    crowd.close()
    return crowd.chunks / spent.load


if __name__ == "__main__":
    sys.exit(main())
