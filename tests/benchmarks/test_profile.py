"""The profile works: a moment of it, and how samples are counted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.profile import KERNEL, LAYERS, REST, THREADS, layer_of, shares

ROOT = Path(__file__).parent.parent.parent
HTTP, DECODING, *_ = LAYERS
LOOP = ("python3.11/asyncio/runners.py", "Runner.run")
FEED = ("/x/server/providers/openai.py", "AnswerReader.feed")


@pytest.mark.skipif(sys.platform != "linux", reason="samples by Linux's timers")
@pytest.mark.timeout(60)
def test_a_table_says_where_the_cpu_goes() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.profile", "E", "S", "--tiny"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert said.returncode == 0, said.stderr
    rows = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in said.stdout.splitlines()]
    assert rows[0] == ["", "E: µs/chunk", "S: ms/answer"]
    assert [name for name, *_ in rows[2:]] == [*LAYERS, REST, THREADS, "all", KERNEL.strip("*")]
    for column in (1, 2):
        *layers, everything, kernel = (float(row[column].replace(",", "")) for row in rows[2:])
        assert sum(layers) == pytest.approx(everything, rel=0.05)
        assert 0 <= kernel <= everything


def test_a_sample_belongs_to_the_innermost_call_that_is_known() -> None:
    assert layer_of([("/lib/json/scanner.py", "scan"), FEED, ("/x/httpx2/_models.py", "aiter"), LOOP]) == DECODING
    assert layer_of([("/x/server/providers/lean_http.py", "read"), FEED, LOOP]) == HTTP
    assert layer_of([LOOP]) == REST


def test_shares_are_of_all_cpu_time() -> None:
    samples = {"main": 3.0, "all": 4.0, "kernel": 1.0, "stacks": [[[FEED, LOOP], 2], [[LOOP], 1]]}
    found = shares(samples)
    assert (found[DECODING], found[REST], found[THREADS], found[KERNEL]) == (0.5, 0.25, 0.25, 0.25)
    assert shares({**samples, "kernel": 5.0})[KERNEL] == 1
    unsampled = shares({**samples, "stacks": []})
    assert (unsampled[REST], unsampled[THREADS]) == (0.75, 0.25)
