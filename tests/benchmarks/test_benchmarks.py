"""The benchmark works: a moment of every scenario, and what can be said about it without a clock."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.benchmarks.load import Crowd, Reader
from tests.benchmarks.stamps import Plan, Scanner

ROOT = Path(__file__).parent.parent.parent
ALONE = {"I2000-websocket", "I2000-poll", "R", "P", "U"}  # where no yardstick can take part
KEYS = ("A", "B", "C", "D", "E", "S", "F200", "F1000", "I2000", *sorted(ALONE))
SVG = "{http://www.w3.org/2000/svg}"

pytestmark = pytest.mark.timeout(120)  # the first test waits for the whole run
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@dataclass(frozen=True)
class Run:
    status: int
    said: str
    table: str
    brief: str
    results: dict[str, Any]
    chart: ElementTree.Element


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("benchmarks")
    command = [sys.executable, "-m", "tests.benchmarks", "all", "--tiny", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert (out / "results.json").exists(), done.stderr
    return Run(
        done.returncode,
        done.stdout,
        (out / "table.md").read_text("utf-8"),
        (out / "brief.md").read_text("utf-8"),
        json.loads((out / "results.json").read_text("utf-8")),
        ElementTree.parse(out / "chart.svg").getroot(),  # noqa: S314
    )


@linux_only
def test_every_chunk_comes_once_and_in_order(run: Run) -> None:
    assert run.results["faults"] == []
    assert run.status == 0


@linux_only
@pytest.mark.parametrize("key", KEYS)
def test_a_scenario_gives_its_figures(run: Run, key: str) -> None:
    scenario = run.results["scenarios"][key]
    assert ("plain" in scenario["subjects"]) == (key not in ALONE)
    for subject in ("server", *scenario["subjects"]):
        [figures] = scenario["subjects"][subject]["runs"]
        assert set(scenario["columns"]) <= set(figures)
        assert all(math.isfinite(figure) for figure in figures.values())


@linux_only
def test_the_table_has_every_scenario_and_even_rows(run: Run) -> None:
    assert run.said.startswith(run.table.rstrip("\n"))
    for key in KEYS:
        rows = [line for line in section(run.table, key) if line.startswith("|")]
        assert len(rows) == 2 + len(run.results["scenarios"][key]["subjects"])
        assert len({row.count("|") for row in rows}) == 1


@linux_only
def test_the_chart_has_a_bar_for_every_figure(run: Run) -> None:
    bars = [float(bar.attrib["width"]) for bar in run.chart.iter(f"{SVG}rect")]
    assert len(bars) == 1 + sum(len(each["subjects"]) for each in run.results["scenarios"].values())
    assert all(width >= 0 for width in bars)


@pytest.mark.parametrize("key", KEYS)
def test_the_brief_table_has_a_row_with_figures_for_every_scenario(run: Run, key: str) -> None:
    [row] = [line.split("|") for line in run.brief.splitlines() if line.startswith(f"| {key}: ")]
    assert len(row) == 8  # what, figures, four servers; and what is outside of the bars
    figures = row[2].split(" · ")
    assert len(row[3].split(" · ")) == len(figures)


def section(table: str, key: str) -> Iterable[str]:
    return table.partition(f"**{key}**")[2].partition("**")[0].splitlines()


# The reader's judgement.


def stamped(*numbers: int) -> bytes:
    return b"".join(b'{"content":"@%06d:%014d; abc"}' % (number, number) for number in numbers)


def fault(body: bytes, step: int, keep: bool) -> str:
    """What a reader of an answer of four chunks says about `body`, which comes in pieces of `step` bytes."""
    reader = Reader(Crowd(1, Plan(4).sequence, 4), b"", keep)
    reader.status = 200
    for start in range(0, len(body), step):
        reader.on_body(body[start : start + step])
    return reader.fault()


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("step", [1, 7, 1_000])
@pytest.mark.parametrize("numbers", [(1, 2, 3, 4), (1, 2, 3, 4, 1, 2, 3, 4)])
def test_a_whole_answer_is_whole_however_it_is_cut(numbers: tuple[int, ...], step: int, keep: bool) -> None:
    assert fault(stamped(*numbers), step, keep) == ""


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("step", [1, 1_000])
@pytest.mark.parametrize(
    "numbers",
    [(), (1, 2, 3), (1, 2, 4), (1, 2, 2, 3, 4), (2, 1, 3, 4), (1, 2, 3, 4, 4), (1, 2, 3, 4, 1, 2)],
    ids=["nothing", "cut", "lost", "doubled", "out of order", "the last twice", "half of it again"],
)
def test_what_is_lost_doubled_or_out_of_order_is_noticed(numbers: tuple[int, ...], step: int, keep: bool) -> None:
    assert fault(stamped(*numbers), step, keep) != ""


def test_a_stamp_is_found_once_though_it_comes_byte_by_byte() -> None:
    scanner = Scanner()
    body = stamped(1, 2)
    found = [stamp for place in range(len(body)) for stamp in scanner.scan(body[place : place + 1])]
    assert found == [(b"000001", b"00000000000001"), (b"000002", b"00000000000002")]


def test_a_plan_travels_in_the_name_of_a_model() -> None:
    plan = Plan(100, delay=12.5, first=200, size=64, ahead=10, burst=4)
    assert Plan.of(plan.model) == plan
    assert " " not in plan.model
