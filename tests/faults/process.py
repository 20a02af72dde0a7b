"""A server process that starts and dies often; and what the system says about a process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.serving import START_TIMEOUT, ServerProcess


class RestlessServer(ServerProcess):
    """Looks for the open port alone: asking over HTTP costs more than the start of the server itself."""

    def _wait_until_up(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + 2 * START_TIMEOUT
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended at its start:\n{self.log}")
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError(f"the server did not come up:\n{self.log}")

    def refusal(self, *under: str) -> str:
        """What a server says that refuses to start; raises subprocess.TimeoutExpired if it does not.

        `under` is a command that runs it.
        """
        command = [*under, sys.executable, "-m", "server"]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent), **self._settings()}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=START_TIMEOUT)
        assert ended.returncode != 0
        return ended.stderr


def memory(pid: int, what: str = "VmRSS") -> int:
    """Bytes: VmRSS is what it uses now, VmHWM the most since `forget_peak`."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(f"{what}:")]
    return int(line.split()[1]) * 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
