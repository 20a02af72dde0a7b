"""The processes of a run: which core they have, when they are up, what they have used. Linux only."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.serving import free_port

ROOT = Path(__file__).parent.parent.parent
START_TIMEOUT = 30.0
OWN_NAMES = ("XIONIMUS_", "OPENAI_", "ANTHROPIC_", "PERPLEXITY_")


def cores() -> tuple[set[int], set[int]]:
    """One for the server alone, and those for everybody else."""
    first, *others = sorted(os.sched_getaffinity(0))
    return {first}, set(others) or {first}


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads, from the process's own clock: clock_getcpuclockid(3), in nanoseconds
    where /proc/PID/stat counts hundredths of a second.
    """
    return time.clock_gettime((~pid << 3) | 2)


def resident(pid: int) -> int:
    """Bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) * 1024


def disk(folder: Path) -> float:
    """Milliseconds at the median for a small write to be on the disk: what a commit waits for."""
    taken = []
    with (folder / "probe").open("wb") as file:
        for _ in range(100):
            file.write(bytes(4096))
            file.flush()
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1000


@dataclass
class Provider:
    """`provider.py`, running."""

    process: subprocess.Popen[bytes]
    port: int

    @classmethod
    def start(cls) -> Provider:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.provider"], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        return cls(process, int(process.stdout.readline()))

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> None:
        _end(self.process)

    def environment(self) -> dict[str, str]:
        address = f"http://127.0.0.1:{self.port}"
        return {
            "OPENAI_BASE_URL": f"{address}/v1",
            "OPENAI_API_KEY": "benchmark",
            "ANTHROPIC_BASE_URL": address,
            "ANTHROPIC_API_KEY": "benchmark",
        }


@dataclass
class Subject:
    """A server that is measured. `abilities` are the kinds of scenarios it can take part in."""

    name: str
    command: Sequence[str]
    path: Path
    abilities: frozenset[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    warm: bool = False  # has answered before
    log: Path = field(default=Path(os.devnull))

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, folder: Path) -> None:
        """Start it on its core, with `folder` to work in; nothing happens if it is running."""
        if self.process is not None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        self.warm = False
        self.port = free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN_NAMES)}
        settings = {
            "PYTHONPATH": str(self.path),
            "XIONIMUS_PORT": str(self.port),
            "XIONIMUS_DATABASE_URL": f"sqlite:///{folder / 'benchmark.db'}",
            "XIONIMUS_LOG_LEVEL": "warning",
        }
        command = [part.replace("{port}", str(self.port)) for part in self.command]
        self.log = folder / "server.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env={**kept, **settings, **self.environment}, stdout=log, stderr=log
            )
        os.sched_setaffinity(self.process.pid, CORES[0])

    def wait_until_up(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not come up:\n{self.log.read_text('utf-8', 'replace')}")
            time.sleep(0.02)

    def stop(self) -> None:
        if self.process is not None:
            _end(self.process)
            self.process = None

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=2)
        with suppress(OSError, HTTPException):
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        connection.close()
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


CORES = cores()


@dataclass(frozen=True)
class Mark:
    """A moment, and the CPU seconds used until then."""

    wall: float
    server: float
    provider: float
    load: float

    def __sub__(self, earlier: Mark) -> Mark:
        return Mark(
            self.wall - earlier.wall,
            self.server - earlier.server,
            self.provider - earlier.provider,
            self.load - earlier.load,
        )


def mark(server: int, provider: int) -> Mark:
    return Mark(time.monotonic(), cpu_seconds(server), cpu_seconds(provider), time.process_time())
