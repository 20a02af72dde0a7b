"""The README's curl lines, pasted into a shell as they stand."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import ServerProcess, running

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
ADDRESS = "http://127.0.0.1:8000"
BLOCKS = [block for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if "curl" in block]


@pytest.fixture(scope="module")
def fresh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    # At its own pace, as whoever pastes the lines has it: what a line finds depends on that.
    with running(tmp_path_factory.mktemp("readme"), XIONIMUS_DEMO_DELAY="0.03") as process:
        yield process


def paste(block: str, server: ServerProcess) -> str:
    script = "set -e\n" + block.replace("curl ", "curl --fail-with-body --no-progress-meter ").replace(
        ADDRESS, server.url
    )
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_tour(fresh_server: ServerProcess) -> None:
    sse, others, steps, stop = (paste(block, fresh_server) for block in BLOCKS)
    assert sse.startswith("retry: 1000\nevent: ready\n")
    assert "event: complete\n" in sse
    *lines, finished = others.splitlines()
    assert [json.loads(line)["type"] for line in lines[:4]] == ["ready", "start", "chunk", "complete"]
    assert json.loads(finished)["content"] == "Hello again!"
    assert "demo" in others
    page, rest = steps.split("retry: 1000\n")
    assert json.loads(page)["events"][0]["type"] == "start"
    assert "event: start" not in rest
    assert "event: complete" in rest
    assert json.loads(stop)["status"] == "cancelled"
