"""A real server in a process of its own, for tests that talk to it over real sockets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests import plain

START_TIMEOUT = 30.0


@dataclass
class ServerProcess:
    """`python -m server` with a database of its own. `start` after `kill` finds the same database."""

    folder: Path
    environment: Mapping[str, str]
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def stopped(self) -> bool:
        return self.process is None or self.process.poll() is not None

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text("utf-8", "replace")

    def start(self) -> None:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("XIONIMUS_", "OPENAI_", "ANTHROPIC_", "PERPLEXITY_", "PYTHONDONTWRITEBYTECODE"))
        }
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "server"],
                cwd=self.folder,
                env={**inherited, "PYTHONPATH": str(Path(__file__).parent.parent), **self._settings()},
                stdout=log,
                stderr=log,
            )
        self._wait_until_up()

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def stop(self, number: int = signal.SIGTERM, timeout: float = 30.0) -> int:
        """Send a signal and wait for the end; the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout)

    def _settings(self) -> dict[str, str]:
        return {
            "XIONIMUS_PORT": str(self.port),
            "XIONIMUS_DATABASE_URL": f"sqlite:///{self.folder / 'xionimus.db'}",
            "XIONIMUS_DEMO_DELAY": "0.005",
            "XIONIMUS_SHUTDOWN_GRACE": "1",
            **self.environment,
        }

    def _wait_until_up(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended at its start:\n{self.log}")
            try:
                if plain.get(f"{self.url}/healthz").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise RuntimeError(f"the server did not come up:\n{self.log}")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def running(folder: Path, **environment: str) -> Iterator[ServerProcess]:
    """A server that is up, with settings by their names in the environment; killed at the end."""
    server = ServerProcess(folder, environment, free_port())
    server.start()
    try:
        yield server
    finally:
        server.kill()
